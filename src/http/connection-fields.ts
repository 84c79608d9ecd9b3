/** Fields that belong to one connection and never travel on. RFC 9110 §7.6.1. */
import { fieldValue, withoutFields, type FieldList } from "./fields.ts";
import { listElements } from "./grammar.ts";

const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  // RFC 7540 §3.2.1
  "http2-settings",
  "trailer",
  // §11.7: challenges and credentials between a client and the proxy that asked for them; Gyre asks for none.
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
]);

/** What Connection may not nominate: hiding these would change what the message means to the next recipient. */
const neverNominated: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "content-range",
  "authorization",
  "cache-control",
  "age",
  "date",
  "etag",
  "vary",
  "via",
  "cdn-loop",
  "range",
  "expires",
  "set-cookie",
  "cookie",
]);

/** The fields that may be forwarded or stored: without the hop-by-hop ones and without those that Connection names. */
export function endToEndFields(fields: FieldList): string[] {
  const connection = fieldValue(fields, "connection");
  if (connection === undefined) return withoutFields(fields, hopByHop);
  const dropped = new Set(hopByHop);
  for (const name of listElements(connection)) {
    const lower = name.toLowerCase();
    if (!neverNominated.has(lower)) dropped.add(lower);
  }
  return withoutFields(fields, dropped);
}

/** Whether Connection (or the old Proxy-Connection) lists this option. */
export function connectionHas(fields: FieldList, option: string): boolean {
  const value = fieldValue(fields, "connection");
  return value !== undefined && listElements(value).some((element) => element.toLowerCase() === option);
}
