/** Fields that an operator sets or removes, and paths that he moves: small, declared, the same for every message. */
import { hasField, withoutFields, type FieldList } from "./fields.ts";
import { isToken } from "./grammar.ts";

/** What is done to the fields of a message. Names in lower case. */
export interface FieldChanges {
  readonly remove: ReadonlySet<string>;
  /** In place of those of the same name that are there. */
  readonly set: FieldList;
}

/** Framing, connections, and what this proxy says for itself: nobody else's to change. RFC 9110 §7.6, RFC 9112 §6. */
const notOurs: ReadonlySet<string> = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "content-encoding",
  "content-range",
  "host",
  "expect",
  "via",
  "cdn-loop",
  "max-forwards",
  "age",
  "date",
  "cache-status",
  "proxy-authenticate",
  "proxy-authorization",
  "etag",
  "last-modified",
  "accept-encoding",
  "range",
  "if-range",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
]);

/** Whether an operator may set or remove a field; a sentence where not. */
export function wrongFieldName(name: string): string | null {
  if (!isToken(name)) return `"${name}" is no field name`;
  return notOurs.has(name.toLowerCase()) ? `${name} frames or selects messages: it cannot be changed` : null;
}

/** Whether a text can be a field's value. RFC 9110 §5.5, without what is obsolete. */
export function isFieldText(text: string): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text);
}

/** Fields with the changes. HSTS is for https alone (RFC 6797 §7.2): elsewhere it is left out. */
export function changed(fields: FieldList, changes: FieldChanges | null, scheme: "http" | "https"): FieldList {
  if (changes === null) return fields;
  const { remove, set } = changes;
  const names = new Set([...remove, ...set.filter((_, index) => index % 2 === 0)]);
  const result = [...withoutFields(fields, names)];
  for (let at = 0; at < set.length; at += 2)
    if (set[at] !== "strict-transport-security" || scheme === "https") result.push(set[at]!, set[at + 1]!);
  return result;
}

/** Whether one of these fields is what the changes are about. */
export function areChanged(names: readonly string[], changes: FieldChanges | null): boolean {
  return changes !== null && names.some((name) => changes.remove.has(name) || hasField(changes.set, name));
}

/**
 * A path with another beginning, where the route's was: `/api/x?y` under `/api` moved to `/v2` is `/v2/x?y`. `routed`
 * is the path as the router reads it, for one that is spelled in another way.
 */
export function movedPath(path: string, routed: string, from: string, to: string): string {
  const question = path.indexOf("?");
  const query = question === -1 ? "" : path.slice(question);
  const bare = path.slice(0, path.length - query.length);
  const border = bare[from.length];
  const isAsRouted =
    bare.startsWith(from) && (from.endsWith("/") || border === undefined || border === "/") && !dotSegment.test(bare);
  const own = isAsRouted ? bare : routed;
  const rest = own.slice(from.length);
  return `${to.endsWith("/") && (rest.startsWith("/") || from.endsWith("/")) ? to.slice(0, -1) : to}${separated(rest, from, to)}${query}`;
}

/** What would lead elsewhere than it says, in each spelling. */
const dotSegment = /\/(?:\.|%2e){1,2}(?:\/|$)/i;

/** The rest of a path, with a slash before it where one is needed. */
function separated(rest: string, from: string, to: string): string {
  if (rest === "") return from.endsWith("/") && !to.endsWith("/") ? "/" : "";
  return rest.startsWith("/") ? rest : `/${rest}`;
}
