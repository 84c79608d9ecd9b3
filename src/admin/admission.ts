/**
 * Who may do what at the admin port. Reading is open to this machine; everything else, and everybody else, needs the
 * cluster's secret: as a bearer token, or given once to the dashboard's login, for the token of a session.
 *
 * Browsers bring dangers of their own. A page elsewhere can send requests here, and can have its own name lead here:
 * what comes without the secret must be asked for by an address of this machine, and no page but the dashboard has a
 * session's token to send.
 */
import type { IncomingMessage } from "node:http";
import { hostPortOf, isLoopbackHost } from "../base/host-port.ts";
import type { Guesses } from "./guesses.ts";
import type { Sessions } from "./sessions.ts";

/** The field with a session's token. */
const tokenField = "x-gyre-token";

export type Admission =
  | { readonly admits: true; readonly by: "secret" | "session" | "machine" }
  | { readonly admits: false; readonly status: 401 | 429; readonly reason: string };

/** Who is known, and who has guessed. */
export interface Known {
  readonly sessions: Sessions;
  readonly guesses: Guesses;
}

/** Whether a request may be answered. */
export function admission(request: IncomingMessage, { sessions, guesses }: Known, nowMs: number): Admission {
  const reads = request.method === "GET" || request.method === "HEAD";
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const address = bare(request.socket.remoteAddress);
    if (guesses.mustWait(address, nowMs))
      return { admits: false, status: 429, reason: "too many wrong secrets from this address: wait a minute" };
    // The scheme in any case: RFC 9110 §11.1.
    const given = /^Bearer +(\S.*)$/i.exec(authorization)?.[1];
    if (given !== undefined && sessions.knows(given)) return { admits: true, by: "secret" };
    guesses.wrong(address, nowMs);
    return refused("that is not this cluster's secret");
  }
  const isOurs = isFromHere(request) && isSameOrigin(request);
  const token = tokenOf(request);
  if (token !== null && !reads)
    return isOurs && sessions.has(token, nowMs) ? { admits: true, by: "session" } : refused("log in again");
  if (reads && isOurs) return { admits: true, by: "machine" };
  const why = request.headers.via === undefined ? "" : " (this has come through a proxy)";
  return refused(`send the cluster's secret${why}: Authorization: Bearer SECRET`);
}

function refused(reason: string): Admission {
  return { admits: false, status: 401, reason };
}

/** Whether a request names one host, or none: which of two is meant, nobody can say. RFC 9112 §3.2. */
export function namesOneHost({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length <= 1;
}

/** The session's token that a request brings, or null. */
export function tokenOf({ headers }: IncomingMessage): string | null {
  const token = headers[tokenField];
  return typeof token === "string" ? token : null;
}

/**
 * Whether it comes from this machine, and asks for an address of this machine: a page that rebinds its name to it sends
 * the page's. What a proxy on this machine has passed on (a member is one) comes from whoever asked the proxy.
 */
export function isFromHere({ socket, headers }: IncomingMessage): boolean {
  if (headers.via !== undefined) return false;
  const host = (hostPortOf(headers.host ?? "")?.host ?? headers.host ?? "").replace(/^\[|\]$/g, "");
  const [remote, local] = [bare(socket.remoteAddress), bare(socket.localAddress)];
  return (isLoopbackHost(remote) || remote === local) && (isLoopbackHost(host) || host === local);
}

function bare(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:/, "");
}

/** Whether no browser says that another page has made it. */
export function isSameOrigin({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  return headers.origin === undefined || headers.origin === `http://${headers.host}`;
}
