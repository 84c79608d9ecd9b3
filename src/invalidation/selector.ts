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

/** Characters of a URI, a prefix, a host. */
const textMax = 16 * 1024;
/** Of an authority; an IPv6 literal ends with its bracket. */
const portPattern = /:\d+$/;
const tagPattern = /^[\x20-\x7e\x80-\xff]+$/;

/** A selector as it came from elsewhere (JSON), or what is wrong with it: a sentence for people. */
export function selectorOf(value: unknown): Selector | { readonly wrong: string } {
  if (typeof value !== "object" || value === null)
    return { wrong: 'a selector is an object, as in {"uri": "http://…"}' };
  const { kind, uri, url, prefix, host, tag, origin, everything } = value as Record<string, unknown>;
  const named = kind ?? kindNamed({ uri: uri ?? url, prefix, host, tag, everything });
  switch (named) {
    case "uri":
      return uriSelector(uri ?? url);
    case "prefix":
      return prefixSelector(prefix);
    case "host":
      return hostSelector(host);
    case "tag":
      return tagSelector(tag, origin ?? null);
    case "everything":
      return { kind: "everything" };
    default:
      return { wrong: "name one of uri, prefix, host, tag, everything" };
  }
}

/** Everything under one URI. */
export function uriSelector(text: unknown): Selector | { readonly wrong: string } {
  const uri = typeof text === "string" && text.length <= textMax ? httpUri(text) : null;
  return uri === null ? { wrong: `${quoted(text)} is not an http or https URL` } : { kind: "uri", uri: uriText(uri) };
}

/** Everything whose URI begins with a text that names scheme and host. */
export function prefixSelector(text: unknown): Selector | { readonly wrong: string } {
  const uri = typeof text === "string" && text.length <= textMax ? httpUri(text) : null;
  return uri === null
    ? { wrong: `${quoted(text)} is no prefix: write scheme and host, as in https://example.com/blog/` }
    : { kind: "prefix", prefix: uriText(uri) };
}

/** Everything of a host. */
export function hostSelector(text: unknown): Selector | { readonly wrong: string } {
  const place = typeof text === "string" && text.length <= 300 ? authority(text, "http") : null;
  if (place === null) return { wrong: `${quoted(text)} is not a host: write example.com, or example.com:8080` };
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

/** A selector for people. */
export function selectorText(selector: Selector): string {
  switch (selector.kind) {
    case "uri":
      return selector.uri;
    case "prefix":
      return `${selector.prefix}*`;
    case "host":
      return `host ${selector.host}`;
    case "tag":
      return `tag ${selector.tag}${selector.origin === null ? "" : ` of ${selector.origin}`}`;
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

function kindNamed(named: Readonly<Record<string, unknown>>): string | null {
  const kinds = Object.keys(named).filter((kind) => named[kind] !== undefined);
  return kinds.length === 1 ? kinds[0]! : null;
}

function quoted(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  return `"${text.slice(0, 100)}"`;
}
