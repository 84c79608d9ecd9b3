/**
 * The fields of an answer as node:http2 takes them: those of a connection are left out, and of what may be there once
 * the first stands.
 */
import type { OutgoingHttpHeaders, ServerHttp2Stream, ServerStreamResponseOptions } from "node:http2";
import type { FieldList } from "../../http/fields.ts";

/** Fields of a connection, which HTTP/2 has no use for. RFC 9113 §8.2.2. */
const ofConnections: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
/** Fields that may be there once, for node:http2 too: the first stands. */
const single: ReadonlySet<string> = new Set([
  "access-control-allow-credentials",
  "access-control-max-age",
  "access-control-request-method",
  "age",
  "authorization",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "date",
  "dnt",
  "etag",
  "expires",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "range",
  "referer",
  "retry-after",
  "tk",
  "upgrade-insecure-requests",
  "user-agent",
  "x-content-type-options",
]);

/** Whether `respond` takes names and values in turn: that spares each answer two objects with all fields. */
const takesLists: boolean = isFrom(process.versions.node, [24, 7]);

/**
 * Begins an answer. @throws what node:http2 says of fields that it cannot say, and of a stream that is gone or has been
 * answered.
 */
export function respond(
  stream: ServerHttp2Stream,
  status: number,
  fields: FieldList,
  options: ServerStreamResponseOptions,
): void {
  const headers = takesLists ? listed(status, fields) : { ":status": status, ...grouped(fields) };
  stream.respond(headers as OutgoingHttpHeaders, options);
}

/** A status as HTTP/2 can say it: what is beyond the classes counts as a server's error. RFC 9110 §15. */
export function sayable(status: number): number {
  return status > 599 ? 500 : status;
}

/** Names and values in turn, behind a status. */
export function listed(status: number, fields: FieldList): (string | number)[] {
  const list: (string | number)[] = [":status", status];
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    if (ofConnections.has(name) || (single.has(name) && isNamed(list, name))) continue;
    list.push(name, fields[index + 1]!);
  }
  return list;
}

function isNamed(list: readonly (string | number)[], name: string): boolean {
  for (let index = 2; index < list.length; index += 2) if (list[index] === name) return true;
  return false;
}

/** The same by name. */
export function grouped(fields: FieldList): Record<string, string | string[]> {
  // Without a prototype: an origin may call a field "constructor".
  const all = Object.create(null) as Record<string, string | string[]>;
  for (let index = 0; index < fields.length; index += 2) {
    const [name, value] = [fields[index]!, fields[index + 1]!];
    if (ofConnections.has(name)) continue;
    const before = all[name];
    if (before === undefined) all[name] = value;
    else if (single.has(name)) continue;
    else if (typeof before === "string") all[name] = [before, value];
    else before.push(value);
  }
  return all;
}

function isFrom(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor, ownMinor] = version.split(".").map(Number) as [number, number];
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
