/** Where an origin is, from its text: `http://host:port`, `https://host:port`, or `unix:/path/of/a.sock`. */
import { hostText, httpUri } from "../http/uri.ts";

/** An origin as it is dialled: scheme, host, port, or the path of a Unix socket. */
export interface Place {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Instead of host and port. */
  readonly path?: string | undefined;
}

const unixScheme = "unix:";

/** The path of a Unix socket, or null for an origin with a name or an address. */
export function socketPathOf(origin: string): string | null {
  return origin.startsWith(unixScheme) ? origin.slice(unixScheme.length) : null;
}

/** Where to connect to, or null where the text is no origin. */
export function placeOf(origin: string): Place | null {
  const path = socketPathOf(origin);
  if (path !== null) return { secure: false, host: "localhost", port: 0, path };
  if (!URL.canParse(origin)) return null;
  const { protocol, hostname, port } = new URL(origin);
  const secure = protocol === "https:";
  return { secure, host: hostname, port: port === "" ? (secure ? 443 : 80) : Number(port) };
}

/** The Host field that an origin has by itself. */
export function hostOfOrigin(origin: string): string {
  const uri = socketPathOf(origin) === null ? httpUri(origin) : null;
  return uri === null ? "localhost" : hostText(uri);
}

/** An origin as people know it: without its scheme. */
export function nameOfOrigin(origin: string): string {
  return socketPathOf(origin) === null ? origin.slice(origin.indexOf("//") + 2) : origin;
}
