/** Telling an origin who asked: Forwarded and the older X-Forwarded fields. RFC 7239. */
import { fieldValue, type FieldList } from "./fields.ts";
import { isToken } from "./grammar.ts";

/**
 * Fields beside X-Forwarded-* by which one proxy or another says who asked, how, and for what. Frameworks read them,
 * what they make of them (a redirect, an absolute link) is stored for everybody, and so nobody but a trusted proxy may
 * say them.
 */
const family: ReadonlySet<string> = new Set([
  "forwarded",
  "forwarded-for",
  "client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-real-ip",
  "x-remote-ip",
  "x-remote-addr",
  "x-originating-ip",
  "x-original-forwarded-for",
  "true-client-ip",
  "cf-connecting-ip",
  "fastly-client-ip",
]);

/** Whether a field claims something about the client or the connection before this one. */
export function isForwardingClaim(name: string): boolean {
  // CGI and its kin read an underscore as a hyphen.
  const read = name.includes("_") ? name.replaceAll("_", "-") : name;
  return read.startsWith("x-forwarded") || family.has(read) || ofPlaces.has(read);
}

/**
 * The fields with this hop added. What a client claims about others before it is kept, whole and in all its fields,
 * only from those that are trusted to say so; from anyone else the whole family is dropped, since an origin would
 * believe it.
 */
export function withForwarded(
  fields: FieldList,
  hop: {
    readonly client: string;
    readonly host: string;
    readonly scheme: "http" | "https";
    readonly trustsClient: boolean;
  },
): string[] {
  const earlier = hop.trustsClient ? fieldValue(fields, "forwarded") : undefined;
  const earlierFor = hop.trustsClient ? fieldValue(fields, "x-forwarded-for") : undefined;
  const own = `for=${node(hop.client)};host=${value(hop.host)};proto=${hop.scheme}`;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    if (!isForwardingClaim(name) || (hop.trustsClient && !madeHere.has(name))) kept.push(name, fields[i + 1]!);
  }
  kept.push(
    "forwarded",
    earlier === undefined ? own : `${earlier}, ${own}`,
    "x-forwarded-for",
    earlierFor === undefined ? hop.client : `${earlierFor}, ${hop.client}`,
    "x-forwarded-host",
    (hop.trustsClient ? fieldValue(fields, "x-forwarded-host") : undefined) ?? hop.host,
    "x-forwarded-proto",
    (hop.trustsClient ? fieldValue(fields, "x-forwarded-proto") : undefined) ?? hop.scheme,
  );
  return kept;
}

/** Claims about where a client believes itself to be: what an origin answers goes by them. */
const ofPlaces: ReadonlySet<string> = new Set([
  "x-forwarded-proto",
  "x-forwarded-protocol",
  "x-forwarded-ssl",
  "x-forwarded-scheme",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-path",
  "x-forwarded-uri",
  "x-original-host",
  "x-original-proto",
  "x-original-url",
  "x-rewrite-url",
  "x-url-scheme",
  "x-scheme",
  "x-host",
  "x-http-host-override",
  "front-end-https",
]);

/** The names of those among a request's fields. */
export function claimsOfPlace(fields: FieldList): string[] {
  return fields.filter((name, at) => at % 2 === 0 && ofPlaces.has(name.replaceAll("_", "-")));
}

/** Written anew at each hop, out of what came and what is known here. */
const madeHere: ReadonlySet<string> = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
]);

/** RFC 7239 §6: an IPv6 address stands in brackets and quotes. */
function node(address: string): string {
  return address.includes(":") ? `"[${address}]"` : value(address);
}

function value(text: string): string {
  return isToken(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}
