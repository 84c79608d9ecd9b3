/**
 * Who may do what at the admin port. Reading is open to this machine; everything else, and everybody else, needs the
 * cluster's secret: as a bearer token, or given once to the dashboard's login, whose session is a cookie.
 *
 * Browsers bring dangers of their own. A page elsewhere can send requests here, and can have its own name lead here:
 * what comes without the secret must be asked for by an address of this machine, and what changes something must come
 * from the dashboard itself.
 */
import type { IncomingMessage } from "node:http";
import { hostPortOf, isLoopbackHost } from "../base/host-port.ts";
import { sameText, type Sessions } from "./sessions.ts";

/** The field with a session's token. */
export const tokenField = "x-gyre-token";

export type Admission =
  | { readonly admits: true; readonly by: "secret" | "session" | "machine" }
  | { readonly admits: false; readonly status: 401 | 403; readonly reason: string };

/** Whether a request may be answered. */
export function admission(request: IncomingMessage, sessions: Sessions, nowMs: number): Admission {
  const reads = request.method === "GET" || request.method === "HEAD";
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const given = /^Bearer (.+)$/.exec(authorization)?.[1];
    return given !== undefined && sessions.knows(given)
      ? { admits: true, by: "secret" }
      : refused(401, "that is not this cluster's secret");
  }
  const token = sessionOf(request, sessions, nowMs)?.token;
  if (token !== undefined) {
    if (!isSameOrigin(request)) return refused(403, "another page may not ask for this");
    const given = request.headers[tokenField];
    if (reads || (typeof given === "string" && sameText(given, token))) return { admits: true, by: "session" };
    return refused(403, `${tokenField} is not this session's: load the page again`);
  }
  if (reads && isFromHere(request) && isSameOrigin(request)) return { admits: true, by: "machine" };
  return refused(401, "send the cluster's secret: Authorization: Bearer SECRET");
}

function refused(status: 401 | 403, reason: string): Admission {
  return { admits: false, status, reason };
}

/**
 * Whether it comes from this machine, and asks for an address of this machine: a page that rebinds its name to it sends
 * the page's.
 */
export function isFromHere({ socket, headers }: IncomingMessage): boolean {
  const host = hostPortOf(headers.host ?? "")?.host ?? headers.host ?? "";
  return isLoopbackHost((socket.remoteAddress ?? "").replace(/^::ffff:/, "")) && isLoopbackHost(host);
}

/** Whether no browser says that another page has made it. */
export function isSameOrigin({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  return headers.origin === undefined || headers.origin === `http://${headers.host}`;
}

/** Cookies know no ports: members on one machine must not take each other's. */
function cookieName({ socket }: IncomingMessage): string {
  return `gyre-session-${socket.localPort}`;
}

/** The session that a request's cookie belongs to, or null. */
export function sessionOf(
  request: IncomingMessage,
  sessions: Sessions,
  nowMs: number,
): { readonly id: string; readonly token: string } | null {
  const name = `${cookieName(request)}=`;
  const id = (request.headers.cookie ?? "")
    .split(/; */)
    .find((cookie) => cookie.startsWith(name))
    ?.slice(name.length);
  const token = id === undefined ? null : sessions.tokenOf(id, nowMs);
  return token === null ? null : { id: id!, token };
}

/** The cookie of a session; null ends it. For this page alone: neither scripts nor other sites get it. */
export function sessionCookie(request: IncomingMessage, id: string | null): string {
  return `${cookieName(request)}=${id ?? ""}; Path=/; HttpOnly; SameSite=Strict${id === null ? "; Max-Age=0" : ""}`;
}
