/**
 * http and https URIs: the identity of a stored response, and what an origin is asked for. RFC 9110 §4.2.3. Scheme,
 * host and port in normal form, path and query as sent.
 */
import ipaddr from "ipaddr.js";
import { ownCopy } from "../base/own-copy.ts";

export interface HttpUri {
  readonly scheme: "http" | "https";
  /** Lower case; an IPv6 literal with its brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query, never empty, never with a fragment. */
  readonly path: string;
}

/** No escapes: a name that reads differently to the resolver than to us is how rules on names are evaded. */
const hostPattern = /^[a-z0-9._~!$&'()*+,;=-]+$/;
/**
 * A last label of digits (or 0x…) is read as an IPv4 address by resolvers, in forms that few expect: only the plain one
 * is one.
 */
const numericPattern = /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/;

/** A host and its port. */
export interface Authority {
  readonly host: string;
  readonly port: number;
}

/** Those read before, by how they were said: clients ask for the same few. Bounded, since a stranger chooses them. */
const known = { http: new Map<string, Authority>(), https: new Map<string, Authority>() } as const;
const knownMax = 1024;
/** Characters of one that is remembered: longer names are nobody's. RFC 1035 §2.3.4. */
const rememberedMax = 255 + ":65535".length;

/**
 * `host[:port]` read strictly, or null: user information, empty hosts and odd ports are errors, never repaired. RFC
 * 9110 §4.2.1, §4.2.4.
 */
export function authority(text: string, scheme: "http" | "https"): Authority | null {
  const before = known[scheme].get(text);
  if (before !== undefined) return before;
  const read = readAuthority(text, scheme);
  if (read !== null && text.length <= rememberedMax && known[scheme].size < knownMax)
    known[scheme].set(ownCopy(text), { host: ownCopy(read.host), port: read.port });
  return read;
}

function readAuthority(text: string, scheme: "http" | "https"): Authority | null {
  const lower = text.toLowerCase();
  const bracket = lower.startsWith("[") ? lower.indexOf("]") : -1;
  if (lower.startsWith("[") && bracket === -1) return null;
  const colon = lower.indexOf(":", bracket + 1);
  const host = colon === -1 ? lower : lower.slice(0, colon);
  const portText = colon === -1 ? "" : lower.slice(colon + 1);
  if (bracket === -1 ? !hostPattern.test(host) || (numericPattern.test(host) && !isIpv4(host)) : !isIpv6Literal(host))
    return null;
  if (portText === "") return { host, port: scheme === "http" ? 80 : 443 };
  if (!/^\d{1,5}$/.test(portText)) return null;
  const port = Number(portText);
  return port > 0 && port <= 65_535 ? { host, port } : null;
}

/** An absolute http or https URI, or null where it is none. */
export function httpUri(text: string): HttpUri | null {
  const match = /^(https?):\/\/([^/?#]+)([/?][^#]*)?$/i.exec(text);
  if (match === null) return null;
  const scheme = match[1]!.toLowerCase() as "http" | "https";
  const place = authority(match[2]!, scheme);
  const path = keptPath(match[3] ?? "/");
  return place === null || path === null ? null : { scheme, ...place, path };
}

/** The URI as text, default ports left out. */
export function uriText(uri: HttpUri): string {
  return `${originText(uri)}${uri.path}`;
}

/** Scheme, host and port: `http://example.com` or `https://example.com:8443`. RFC 6454. */
export function originText(uri: Pick<HttpUri, "scheme" | "host" | "port">): string {
  return `${uri.scheme}://${hostText(uri)}`;
}

/** The Host field value for a URI: without a default port. RFC 9110 §7.2. */
export function hostText({ scheme, host, port }: Pick<HttpUri, "scheme" | "host" | "port">): string {
  return port === (scheme === "http" ? 80 : 443) ? host : `${host}:${port}`;
}

/**
 * Path and query as the bytes that the client sent, or null where a character can stand in none. A proxy must not
 * change them (RFC 9110 §7.7): signatures cover them, and origins tell `%2F` from `%2f`. A stray percent sign is data.
 * Bytes above 127 are escaped, so that nothing behind this sees them.
 */
export function keptPath(text: string): string | null {
  if (!needsWork.test(text)) return text;
  if (/[\x00-\x20\x7f#]/.test(text)) return null;
  const escaped = text.replace(
    /[\x80-\xff]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
  return /[^\x21-\x7e]/.test(escaped) ? null : escaped.startsWith("/") ? escaped : `/${escaped}`;
}

/** What calls for a look: a path without it, beginning with "/", is kept as it is. */
const needsWork = /[^\x21-\x7e]|#|^[^/]|^$/;

/**
 * The path as a router reads it, without its query: escapes of unreserved characters decoded, dot segments removed.
 * Which origin a request goes to must not depend on how its path is spelled: `/api/../admin` is not below `/api`. RFC
 * 3986 §6.2.2.
 */
export function routedPath(path: string): string {
  const question = path.indexOf("?");
  const bare = question === -1 ? path : path.slice(0, question);
  if (!/%|\/\./.test(bare)) return bare;
  const decoded = bare.replace(/%([0-9a-f]{2})/gi, (escape, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escape.toUpperCase();
  });
  return withoutDotSegments(decoded);
}

/**
 * Whether a host means "this machine" to whoever resolves it: loopback and link-local literals, and the names that
 * stand for them. RFC 6761 §6.3.
 */
export function isLoopbackName(host: string): boolean {
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  const literal = name.startsWith("[") ? name.slice(1, -1) : name;
  if (!ipaddr.isValid(literal)) return false;
  const range = ipaddr.process(literal).range();
  return range === "loopback" || range === "linkLocal" || range === "unspecified";
}

/** RFC 3986 §5.2.4. */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "." || segment === "..") {
      if (segment === "..") kept.pop();
      if (last) kept.push("");
    } else kept.push(segment);
  }
  return `/${kept.join("/")}`;
}

function isIpv6Literal(host: string): boolean {
  const inner = host.slice(1, -1);
  if (!host.endsWith("]") || !/^[0-9a-f:.]+$/.test(inner)) return false;
  const halves = inner.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [halfIndex, half] of halves.entries()) {
    if (half === "") continue;
    const parts = half.split(":");
    for (const [index, part] of parts.entries()) {
      const dotted = part.includes(".");
      if (dotted) {
        if (halfIndex !== halves.length - 1 || index !== parts.length - 1 || !isIpv4(part)) return false;
        groups += 2;
      } else if (/^[0-9a-f]{1,4}$/.test(part)) groups++;
      else return false;
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}
