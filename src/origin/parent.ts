/**
 * Another proxy that stands between this one and the origins: plain requests go to it with the whole URI (RFC 9112
 * §3.2.2), everything else through a tunnel that it opens (CONNECT, RFC 9110 §9.3.6).
 */
import type { Socket } from "node:net";
import { ResponseReader } from "../wire/response-reader.ts";
import { OriginError } from "./origin-error.ts";
import type { Place } from "./place.ts";

/** A parent proxy. */
export interface Parent {
  readonly place: Place;
  /** Proxy-Authorization, or null. */
  readonly authorization: string | null;
  /** Hosts that are reached without it. */
  readonly spares: (host: string) => boolean;
}

/** Why a URL names no parent, and what does; null where it names one. Says nothing of the credentials in it. */
export function wrongParent(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "http:" || !text.startsWith("http://"))
    return "write http://host:port, or http://user:password@host:port";
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "")
    return "a parent has no path: write http://host:port, or http://user:password@host:port";
  return credentialsOf(url) === null
    ? "its credentials cannot be read: write what is no letter and no digit in them as %40 for @, in UTF-8"
    : null;
}

/** The parent that a URL names, `http://user:password@host:port`; `spared` as in NO_PROXY. @throws Error */
export function parentOf(text: string, spared: readonly string[]): Parent {
  const wrong = wrongParent(text);
  if (wrong !== null) throw new Error(`parent: ${wrong}`);
  const url = new URL(text);
  const credentials = credentialsOf(url) ?? "";
  return {
    place: { secure: false, host: url.hostname, port: url.port === "" ? 80 : Number(url.port) },
    authorization: credentials === "" ? null : `Basic ${Buffer.from(credentials).toString("base64")}`,
    spares: (host) => spared.some((one) => isSpared(host.toLowerCase(), one.toLowerCase())),
  };
}

/** `user:password`, each of which may be empty; "" where there are none, null where an escape in them means nothing. */
function credentialsOf({ username, password }: URL): string | null {
  if (username === "" && password === "") return "";
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    return null;
  }
}

/** A name stands for itself and all names below it; `*` for every host. */
function isSpared(host: string, spared: string): boolean {
  const name = plain(spared.replace(/^\*?\./, ""));
  const asked = plain(host);
  return spared === "*" || asked === name || asked.endsWith(`.${name}`);
}

function plain(host: string): string {
  return host.replace(/\.$/, "").replace(/^\[|\]$/g, "");
}

/**
 * Asks a parent for a tunnel on a fresh connection to it. `done` is called once; the socket is then the tunnel's, with
 * what has come already put back.
 */
export function openTunnel(
  socket: Socket,
  { authorization }: Parent,
  { host, port }: Pick<Place, "host" | "port">,
  done: (error: Error | null) => void,
): void {
  const target = `${host}:${port}`;
  const reader = new ResponseReader();
  let isOver = false;
  const end = (error: Error | null): void => {
    if (isOver) return;
    isOver = true;
    socket.off("data", data).off("end", closed).off("error", broken).off("close", closed);
    if (error === null) {
      socket.pause();
      const rest = reader.takeRest();
      if (rest.length > 0) socket.unshift(rest);
    }
    done(error);
  };
  const failed = (what: string): void =>
    end(
      new OriginError("connect", "PARENT", `the parent proxy did not open a tunnel to ${target}: ${what}`, 502, true),
    );
  const data = (bytes: Buffer): void => reader.feed(bytes);
  const closed = (): void => failed("it closed the connection");
  const broken = (error: Error): void => failed(error.message);
  socket.on("data", data).on("end", closed).on("error", broken).on("close", closed);
  reader.expect("CONNECT", {
    interim: () => {},
    head: ({ status }) => (status < 300 ? end(null) : failed(`it answered ${status}`)),
    data: () => {},
    end: () => {},
    bad: (what) => failed(what),
  });
  const credentials = authorization === null ? "" : `proxy-authorization: ${authorization}\r\n`;
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n${credentials}\r\n`, "latin1");
}
