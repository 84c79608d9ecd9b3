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
  // The slash that a beginning ends with is the first of the rest.
  const rest = own.slice(withoutSlash(from).length);
  return `${rest === "" ? to : withoutSlash(to)}${rest}${query}`;
}

/** A path that a route moves: what begins with `from` for clients begins with `to` for the origin. */
export interface Move {
  readonly from: string;
  readonly to: string;
}

/** Where both sides of a move believe themselves to be: `example.com:8080`, in lower case, without a default port. */
export interface MovePlaces {
  readonly client: string;
  /** The origin's own name, and the one that it was told. */
  readonly origin: readonly string[];
}

/** Fields that name a place of the answering side's. RFC 9110 §8.7, §10.2.2. */
const placing: ReadonlySet<string> = new Set(["location", "content-location"]);

/**
 * Fields with the places in them as clients see them: the opposite of `movedPath`, for what is a path of the moved
 * ones, and for URLs of the origin or of the client's host with such a path. What leads elsewhere is left as it is, and
 * so is what begins with the route's own path already: an origin may know it.
 */
export function turnedBack(fields: FieldList, move: Move, places: MovePlaces): FieldList {
  if (!fields.some((text, index) => index % 2 === 0 && placing.has(text))) return fields;
  return fields.map((text, index) =>
    index % 2 === 1 && placing.has(fields[index - 1]!) ? back(text, move, places) : text,
  );
}

/**
 * Fields with URLs of the origin's own place as paths, where no path is moved: clients may not be able to get there.
 * What the sense of a redirect may be is left: another scheme than the origin was asked with, or another name alone,
 * where the path is the one that was asked for, and is asked for again in the same way.
 *
 * @param redirected the path and query that a redirect has its clients ask for by the same method as before; null where
 *   it has not, or there is none.
 */
export function ownPlacesAsPaths(
  fields: FieldList,
  scheme: "http" | "https",
  { client, origin }: MovePlaces,
  redirected: string | null,
): FieldList {
  if (!fields.some((text, index) => index % 2 === 0 && placing.has(text))) return fields;
  return fields.map((text, index) => {
    const url = index % 2 === 1 && placing.has(fields[index - 1]!) ? urlOf(text) : null;
    if (url === null || url.scheme !== scheme || url.place === client || !origin.includes(url.place)) return text;
    if (anotherHosts.test(url.path)) return text;
    const path = `${url.path}${url.rest}`;
    return fields[index - 1] === "location" && path.replace(/#.*$/, "") === redirected ? text : path;
  });
}

/** An http URL with its place in lower case, without a default port; null for anything else. */
function urlOf(text: string): { scheme: string; place: string; path: string; rest: string } | null {
  const match = /^(https?):\/\/([^/?#@\\]+)(\/[^?#]*)?([?#].*)?$/i.exec(text);
  if (match === null) return null;
  const [, spelled, authority, path = "/", rest = ""] = match;
  const scheme = spelled!.toLowerCase();
  return { scheme, place: placeOf(scheme, authority!), path, rest };
}

function placeOf(scheme: string, authority: string): string {
  return authority.toLowerCase().replace(scheme === "http" ? /:80$/ : /:443$/, "");
}

function back(text: string, { from, to }: Move, { client, origin }: MovePlaces): string {
  const match = /^(?:(https?):\/\/([^/?#@]+))?(\/(?!\/)[^?#]*)?([?#].*)?$/i.exec(text);
  if (match === null) return text;
  const [, scheme, authority, path = scheme === undefined ? "" : "/", rest = ""] = match;
  if (!isUnder(path, to) || dotSegment.test(path)) return text;
  if (isUnder(path, from) && from.length >= to.length) return text;
  const moved = `${movedPath(path, path, to, from)}${rest}`;
  if (anotherHosts.test(moved)) return text;
  if (scheme === undefined) return moved;
  const place = placeOf(scheme.toLowerCase(), authority!);
  if (place === client) return `${scheme}://${authority!}${moved}`;
  // Nobody else may be able to get there.
  return origin.includes(place) ? moved : text;
}

function isUnder(path: string, beginning: string): boolean {
  if (!path.startsWith(beginning)) return false;
  return beginning.endsWith("/") || path.length === beginning.length || path[beginning.length] === "/";
}

/** What browsers read as another host's, and must not be made here: they leave tabs out. */
const anotherHosts = /^\/\t*[/\\]/;

/** What would lead elsewhere than it says, in each spelling. */
const dotSegment = /\/(?:\.|%2e){1,2}(?:\/|$)/i;

function withoutSlash(beginning: string): string {
  return beginning.endsWith("/") ? beginning.slice(0, -1) : beginning;
}
