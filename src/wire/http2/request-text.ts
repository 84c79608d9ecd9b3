/**
 * A request of HTTP/2 as the text of one of HTTP/1.1, which is then read by the strict parser like any other: whatever
 * would be refused there is refused here. What only HTTP/2 could get through is refused first: nothing of a value can
 * become a line of its own. RFC 9113 §8.2, §8.3; RFC 8441 for WebSockets.
 */
import { randomBytes } from "node:crypto";
import { trimmed } from "../../http/grammar.ts";
import { authority } from "../../http/uri.ts";
import { overheadBytesMax } from "../chunked.ts";
import { lowerName, validValue } from "../field-line.ts";

/** What follows a request's head, and how. */
export type RequestFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** A tunnel: bytes as they are, when it has been opened. */
  | { readonly kind: "tunnel"; readonly by: "connect" | "websocket" };

export interface RequestText {
  readonly method: string;
  /** Request line and field lines, each with its CRLF; the empty line is left out. */
  readonly text: string;
  readonly framing: RequestFraming;
}

/** A request that makes no sense, with what is wrong with it. RFC 9113 §8.1.1. */
export interface Malformed {
  readonly malformed: string;
}

/** Where a request has come in. */
export interface RequestPlace {
  readonly scheme: "http" | "https";
  /** Only the forward proxy is there: a target is a whole URL. */
  readonly role?: "forward" | "reverse" | undefined;
}

/** Of a connection, not of a message. RFC 9113 §8.2.2. */
const ofConnections: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** What a request says before its fields. RFC 9113 §8.3.1, RFC 8441 §4. */
const pseudoNames: readonly string[] = [":method", ":scheme", ":authority", ":path", ":protocol"];
const [methodAt, schemeAt, authorityAt, pathAt, protocolAt] = [0, 1, 2, 3, 4] as const;

/** `raw`: names and values in turn, as they came; `isWhole`: no content follows. */
export function requestText(
  raw: readonly string[],
  { scheme, role }: RequestPlace,
  isWhole: boolean,
): RequestText | Malformed {
  const pseudo: (string | null)[] = [null, null, null, null, null];
  let fields = "";
  let isBehind = false;
  let host: string | null = null;
  let length: string | null = null;
  let cookies: string | null = null;
  for (let index = 0; index < raw.length; index += 2) {
    const [name, value] = [raw[index]!, raw[index + 1]!];
    if (!validValue(value, 0, value.length) || value !== trimmed(value))
      return malformed(`${named(name)} holds a character that no field may hold`);
    if (name.startsWith(":")) {
      const which = pseudoNames.indexOf(name);
      if (which === -1) return malformed(`${named(name)} is no pseudo-field of a request`);
      if (pseudo[which] !== null) return malformed(`${name} comes twice`);
      if (isBehind) return malformed(`${name} comes behind a field`);
      pseudo[which] = value;
      continue;
    }
    isBehind = true;
    if (lowerName(name) !== name) return malformed(`${named(name)} is no field name in lower case`);
    if (ofConnections.has(name)) return malformed(`${name} belongs to a connection, not to a request`);
    if (name === "te" && value.toLowerCase() !== "trailers") return malformed("te can only be trailers");
    if (name === "host") {
      if (host !== null) return malformed("more than one host");
      host = value;
      continue;
    }
    if (name === "content-length") {
      if (length !== null) return malformed("more than one content-length");
      if (!/^\d{1,15}$/.test(value)) return malformed("content-length is not one plain number");
      length = value;
    }
    // RFC 8441 §5: a WebSocket over HTTP/2 has none, and the one over HTTP/1.1 that is made of it its own.
    if (name === "sec-websocket-key" && pseudo[protocolAt] !== null) continue;
    // Crumbs are one field for everybody else. RFC 9113 §8.2.3.
    if (name === "cookie") cookies = cookies === null ? value : `${cookies}; ${value}`;
    else fields += `${name}: ${value}\r\n`;
  }
  if (cookies !== null) fields += `cookie: ${cookies}\r\n`;
  const place = placeOf(pseudo[authorityAt]!, host);
  if (typeof place !== "string") return place;
  const method = pseudo[methodAt] ?? "";
  const protocol = pseudo[protocolAt]!;
  if (method === "CONNECT" && protocol === null) {
    if (pseudo[pathAt] !== null || pseudo[schemeAt] !== null) return malformed("CONNECT has neither :path nor :scheme");
    return {
      method,
      text: `CONNECT ${place} HTTP/1.1\r\nhost: ${place}\r\n${fields}`,
      framing: { kind: "tunnel", by: "connect" },
    };
  }
  const path = pseudo[pathAt] ?? "";
  const asked = pseudo[schemeAt] ?? "";
  if (method === "" || path === "" || asked === "") return malformed("a request has :method, :scheme and :path");
  if (/[^\x21-\x7e\x80-\xff]/.test(method + path)) return malformed(":method or :path holds a blank");
  if (!path.startsWith("/") && !(path === "*" && method === "OPTIONS")) return malformed(":path does not begin with /");
  if (asked !== "http" && asked !== "https") return malformed(`:scheme ${named(asked)} is not http or https`);
  if (place === "") return malformed("neither :authority nor host");
  // Another scheme than the connection's can only be meant for a proxy, and so can anything where only that is.
  const isAbsolute = (role === "forward" || asked !== scheme) && path !== "*";
  const target = isAbsolute ? `${asked}://${place}${path}` : path;
  if (protocol !== null) return webSocket({ method, protocol, target, place, fields, length });
  if (isWhole) {
    if (length !== null && length !== "0") return malformed("content-length, and no content");
    return { method, text: `${method} ${target} HTTP/1.1\r\nhost: ${place}\r\n${fields}`, framing: { kind: "none" } };
  }
  const begin = `${method} ${target} HTTP/1.1\r\nhost: ${place}\r\n`;
  if (length !== null) return { method, text: `${begin}${fields}`, framing: { kind: "length", bytes: Number(length) } };
  return { method, text: `${begin}transfer-encoding: chunked\r\n${fields}`, framing: { kind: "chunked" } };
}

/** RFC 8441 §5: in HTTP/1.1 the same is asked for by an upgrade. */
function webSocket(request: {
  readonly method: string;
  readonly protocol: string;
  readonly target: string;
  readonly place: string;
  readonly fields: string;
  readonly length: string | null;
}): RequestText | Malformed {
  const { method, protocol, target, place, fields, length } = request;
  if (method !== "CONNECT" || protocol !== "websocket") return malformed(`:protocol ${named(protocol)} is not known`);
  if (length !== null) return malformed("a WebSocket has no content-length");
  const key = randomBytes(16).toString("base64");
  return {
    method: "GET",
    text:
      `GET ${target} HTTP/1.1\r\nhost: ${place}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
      `sec-websocket-key: ${key}\r\n${fields}`,
    framing: { kind: "tunnel", by: "websocket" },
  };
}

/** RFC 9113 §8.3.1: who differs between :authority and host could be two. */
function placeOf(place: string | null, host: string | null): string | Malformed {
  if (place !== null && host !== null && place.toLowerCase() !== host.toLowerCase())
    return malformed(":authority and host differ");
  const text = place ?? host ?? "";
  if (text !== "" && authority(text, "http") === null) return malformed(":authority is not host[:port]");
  return text;
}

/** The lines of trailers, or what is wrong with them. */
export function trailerText(raw: readonly string[]): string | Malformed {
  let text = "";
  for (let index = 0; index < raw.length; index += 2) {
    const [name, value] = [raw[index]!, raw[index + 1]!];
    if (lowerName(name) !== name || ofConnections.has(name)) return malformed(`${named(name)} is no trailer`);
    if (!validValue(value, 0, value.length)) return malformed(`${name} holds a character that no field may hold`);
    text += `${name}: ${value}\r\n`;
    // A byte can stand for a field of 4 KB.
    if (text.length > overheadBytesMax) return malformed("trailers without end");
  }
  return text;
}

/** A stranger's name for people: short, and nothing that a terminal would act on. */
function named(name: string): string {
  return JSON.stringify(name.slice(0, 40));
}

function malformed(what: string): Malformed {
  return { malformed: what };
}
