/** Telling an origin who asked: Forwarded and the older X-Forwarded fields. RFC 7239. */
import { fieldValue, withoutFields, type FieldList } from "./fields.ts";
import { isToken } from "./grammar.ts";

const names: ReadonlySet<string> = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
]);

/**
 * The fields with this hop added. What a client claims about others before it is kept only from those that are trusted
 * to say so; from anyone else it is dropped, since an origin would believe it.
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
  const kept = withoutFields(fields, names);
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

/** RFC 7239 §6: an IPv6 address stands in brackets and quotes. */
function node(address: string): string {
  return address.includes(":") ? `"[${address}]"` : value(address);
}

function value(text: string): string {
  return isToken(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}
