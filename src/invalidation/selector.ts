/**
 * What an invalidation names, and how people and other members write it. Pure.
 *
 *   uri          everything stored under a URI: every variant, method, key field's value, QUERY's content, part
 *   prefix       everything whose URI begins so, letter by letter: `http://h/blog` names `/blogs` too, `/blog/` does
 * not
 *   host         everything of a host, whatever the scheme; of one port where one is named
 *   tag          everything that its origin has tagged so, of one origin or of all
 *   everything
 */
import { tagCharactersMax } from "../http/tags.ts";
import { authority, httpUri, originText, uriText } from "../http/uri.ts";

/** What an invalidation names. */
export type Selector =
  | { readonly kind: "uri"; readonly uri: string }
  | { readonly kind: "prefix"; readonly prefix: string }
  /** Lower case; `host` or `host:port`. */
  | { readonly kind: "host"; readonly host: string }
  /** `origin` null: in the whole cache. */
  | { readonly kind: "tag"; readonly tag: string; readonly origin: string | null }
  | { readonly kind: "everything" };

/** Characters of a URI or a prefix, as people write them and as members send them. */
const textMax = 16 * 1024;
/** What a request has changed may have a longer name: then all that begins as it does is named. */
const keptCharacters = 8 * 1024;
/** Of an authority; an IPv6 literal ends with its bracket. */
const portPattern = /:\d+$/;
const tagPattern = /^[\x20-\x7e\x80-\xff]+$/;

/** What people write (JSON) for each kind: exactly one of these keys, and `origin` beside a tag. */
const kinds = ["uri", "prefix", "host", "tag", "everything"] as const;

/**
 * A selector as people write it, in JSON or on a command line, or what is wrong with it: a sentence for them. Nothing
 * in it is passed over: a word that is not understood might have been meant to narrow it.
 */
export function selectorOf(value: unknown): Selector | { readonly wrong: string } {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { wrong: 'a selector is an object, as in {"uri": "http://…"}' };
  const keys = Object.keys(value);
  const unknown = keys.find((key) => key !== "origin" && !(kinds as readonly string[]).includes(key));
  if (unknown !== undefined)
    return { wrong: `"${unknown.slice(0, 100)}" is not known: ${kinds.join(", ")} are, and origin with tag` };
  const named = kinds.filter((kind) => keys.includes(kind));
  if (named.length !== 1) return { wrong: `name one of ${kinds.join(", ")}` };
  const { uri, prefix, host, tag, origin, everything } = value as Record<string, unknown>;
  if (origin !== undefined && tag === undefined) return { wrong: "origin goes with tag" };
  switch (named[0]!) {
    case "uri":
      return uriSelector(escapedUri(uri));
    case "prefix":
      return prefixSelector(escapedUri(prefix));
    case "host":
      return hostSelector(host);
    case "tag":
      return tagSelector(bytesOf(tag), origin === undefined ? null : origin);
    case "everything":
      return everything === true ? { kind: "everything" } : { wrong: "everything is true, or is not named" };
  }
}

/** The same as people write it. */
export function writtenSelector(selector: Selector): Readonly<Record<string, unknown>> {
  switch (selector.kind) {
    case "uri":
      return { uri: selector.uri };
    case "prefix":
      return { prefix: selector.prefix };
    case "host":
      return { host: selector.host };
    case "tag":
      return { tag: textOf(selector.tag), ...(selector.origin === null ? {} : { origin: selector.origin }) };
    case "everything":
      return { everything: true };
  }
}

/** A selector as another member sent it, or null. */
export function sentSelector(value: unknown): Selector | null {
  if (typeof value !== "object" || value === null) return null;
  const { kind, uri, prefix, host, tag, origin } = value as Record<string, unknown>;
  const selector =
    kind === "uri"
      ? uriSelector(uri)
      : kind === "prefix"
        ? prefixSelector(prefix)
        : kind === "host"
          ? hostSelector(host)
          : kind === "tag"
            ? tagSelector(tag, origin ?? null)
            : kind === "everything"
              ? ({ kind: "everything" } as const)
              : { wrong: "" };
  return "wrong" in selector ? null : selector;
}

/** What people write beyond ASCII is sent as UTF-8, and escaped; a fragment is not sent at all. */
function escapedUri(text: unknown): unknown {
  if (typeof text !== "string") return text;
  return text
    .replace(/#.*$/s, "")
    .replace(/[^\x00-\x7f]+/g, (some) => Array.from(new TextEncoder().encode(some), escapeOf).join(""));
}

function escapeOf(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Text as origins send it in a field: the bytes of UTF-8, each a character. */
function bytesOf(text: unknown): unknown {
  if (typeof text !== "string" || !/[^\x00-\x7f]/.test(text)) return text;
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** Such bytes as text, where they are UTF-8. */
function textOf(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
  } catch {
    return bytes; // The decoder's way to say that it is something else.
  }
}

/** Everything under one URI. */
export function uriSelector(text: unknown): Selector | { readonly wrong: string } {
  const uri = typeof text === "string" && text.length <= textMax ? httpUri(text) : null;
  return uri === null
    ? { wrong: `${quoted(text)} is not an http or https URL${whyNot(text)}` }
    : { kind: "uri", uri: uriText(uri) };
}

/** Everything whose URI begins with a text that names scheme and host. */
function prefixSelector(text: unknown): Selector | { readonly wrong: string } {
  const uri = typeof text === "string" && text.length <= textMax ? httpUri(text) : null;
  return uri === null
    ? { wrong: `${quoted(text)} is no prefix: write scheme and host, as in https://example.com/blog/` }
    : { kind: "prefix", prefix: uriText(uri) };
}

/** Everything of a host. */
function hostSelector(text: unknown): Selector | { readonly wrong: string } {
  const isPlain = typeof text === "string" && text.length <= 300 && !text.includes("*");
  const place = isPlain ? authority(text, "http") : null;
  if (place === null)
    return { wrong: `${quoted(text)} is not a host: write example.com, or example.com:8080; there are no wildcards` };
  const hasPort = portPattern.test(text as string);
  return { kind: "host", host: hasPort ? `${place.host}:${place.port}` : place.host };
}

/** Everything with a tag. */
export function tagSelector(tag: unknown, origin: unknown): Selector | { readonly wrong: string } {
  if (typeof tag !== "string" || tag.length > tagCharactersMax || !tagPattern.test(tag))
    return { wrong: `${quoted(tag)} is not a tag: 1 to ${tagCharactersMax} printable characters` };
  if (origin === null) return { kind: "tag", tag, origin: null };
  const uri = typeof origin === "string" ? httpUri(origin) : null;
  return uri === null || uri.path !== "/"
    ? { wrong: `${quoted(origin)} is not an origin: write scheme, host and port, as in https://example.com` }
    : { kind: "tag", tag, origin: originText(uri) };
}

/** The same, no longer than others take: a name that is too long becomes a prefix of itself. */
export function shortened(selector: Selector): Selector {
  return selector.kind === "uri" && selector.uri.length > textMax
    ? { kind: "prefix", prefix: selector.uri.slice(0, keptCharacters) }
    : selector;
}

/** A selector for people. */
export function selectorText(selector: Selector): string {
  switch (selector.kind) {
    case "uri":
      return selector.uri;
    case "prefix":
      return `prefix ${selector.prefix}`;
    case "host":
      return `host ${selector.host}`;
    case "tag":
      return `tag ${textOf(selector.tag)}${selector.origin === null ? "" : ` of ${selector.origin}`}`;
    case "everything":
      return "everything";
  }
}

/** Whether a key's URI is among those that a prefix, a host or everything names. */
export function namesKey(selector: Selector, key: string): boolean {
  switch (selector.kind) {
    case "everything":
      return true;
    case "prefix":
      return key.startsWith(selector.prefix);
    case "host":
      return isOfHost(selector.host, key);
    default:
      return false;
  }
}

function isOfHost(host: string, key: string): boolean {
  const at = key.indexOf("//") + 2;
  const end = key.indexOf("/", at);
  const place = key.slice(at, end === -1 ? undefined : end);
  if (place === host) return true;
  const port = portPattern.exec(place)?.[0] ?? null;
  // Without a port any will do; a key names none where it is the scheme's own.
  if (!portPattern.test(host)) return port !== null && place.slice(0, -port.length) === host;
  return port === null && `${place}:${key.startsWith("https") ? 443 : 80}` === host;
}

/** What most likely is wrong with it. */
function whyNot(text: unknown): string {
  if (typeof text !== "string") return "";
  if (text.length > textMax) return `: longer than ${textMax} characters`;
  if (/\s/.test(text)) return ": it has a space in it";
  if (/^https?:\/\/[^/?#]*@/i.test(text)) return ": it has a user's name in it";
  if (!/^https?:\/\//i.test(text)) return ": it begins with http:// or https://";
  return ": look at its host and port";
}

function quoted(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  return `"${text.slice(0, 100)}"`;
}
