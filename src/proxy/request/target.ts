/** From a request head to what it asks for: the URI, the cache key, the way out. RFC 9110 §7.1, RFC 9111 §2. */
import { createHash } from "node:crypto";
import { endToEndFields } from "../../http/connection-fields.ts";
import { sendsCookieOf } from "../../http/cookies.ts";
import { isForwardingClaim } from "../../http/forwarded.ts";
import { codingFor, type Coding, type CompressionRules } from "../../http/codings.ts";
import { requestDirectives } from "../../http/directives.ts";
import { fieldValue, hasField, type FieldList } from "../../http/fields.ts";
import { isReadAs, isSurely, mayBeRead } from "../../http/names-as-read.ts";
import { authority, httpUri, keptPath, uriText, type HttpUri } from "../../http/uri.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { routeOf, type CachingRules, type ForwardWay, type Route, type Routing } from "./routes.ts";

export interface Target {
  readonly uri: HttpUri;
  /** The URI as text: identity for people. */
  readonly text: string;
  readonly key: string;
  /** Null for the forward proxy. */
  readonly route: Route | null;
  readonly caching: CachingRules;
  /** Of the settings that have decided all this. */
  readonly settings: number;
  /** The content coding that the answer is to have, if it is worth it; null for none of ours. */
  readonly coding: Coding | null;
}

/** What is looked at of a request. */
export type Asking = Pick<Exchange, "head" | "client" | "body">;

export interface NoTarget {
  readonly refused: 400 | 404 | 421;
  readonly reason: string;
}

/** What the request is for, or why it cannot be answered. `forward` is known for requests from another member. */
export function targetOf(
  exchange: Asking,
  routing: Routing,
  forward: boolean | null,
  content: Buffer | null = null,
): Target | NoTarget {
  const { head, client } = exchange;
  const uri = head.form === "absolute" ? httpUri(head.target) : ownUri(head.target, head.host, client.scheme);
  if (uri === null) return { refused: 400, reason: "the target is not an http or https URI" };
  const route = forward === true || client.role === "forward" ? null : routeOf(routing.routes, uri);
  const more = { content, trusted: routing.trusts(client.address) };
  // RFC 9110 §7.4. Whoever terminates TLS before this may say so; another member has looked already.
  if (route !== null && forward === null && uri.scheme === "https" && client.scheme === "http" && !more.trusted)
    return {
      refused: 421,
      reason:
        "an https URL is asked for over a connection that is not encrypted (trust-forwarded names who may say so)",
    };
  if (route !== null) return target(uri, route, route, exchange, more);
  if (routing.forward !== null && client.role !== "reverse" && (forward ?? head.form === "absolute"))
    return target(uri, null, routing.forward, exchange, more);
  if (routing.routes.length > 0 && client.role !== "forward")
    return { refused: 404, reason: `no route leads to ${uri.host}${uri.path}` };
  return {
    refused: 400,
    reason:
      "this is a forward proxy: ask it for a whole URL, as in `curl -x http://proxy:port http://example.com/`; `--origin URL` makes it a reverse proxy",
  };
}

function target(
  uri: HttpUri,
  route: Route | null,
  { caching, settings }: Route | ForwardWay,
  exchange: Asking,
  { content, trusted }: { readonly content: Buffer | null; readonly trusted: boolean },
): Target {
  const text = uriText(uri);
  const key = cacheKey(text, uri, caching, exchange.head.fields, trusted);
  return {
    uri,
    text,
    key: content === null ? key : `${key}${contentKey(content, exchange.head.fields)}`,
    route,
    caching,
    settings,
    coding: route === null || route.compression === null ? null : codingOf(route.compression, exchange, content),
  };
}

/** Whether a request is of one user, by a cookie that its route names: it takes nothing from the store. */
export function isPersonal({ caching }: Pick<Target, "caching">, fields: FieldList): boolean {
  return sendsCookieOf(fields, caching.passCookies);
}

/** RFC 9110 §14: ranges, and conditions on exact bytes, are of the uncoded response. */
function codingOf({ codings }: CompressionRules, { head, body }: Asking, content: Buffer | null): Coding | null {
  if (content !== null || body !== null || (head.method !== "GET" && head.method !== "HEAD")) return null;
  const directives = requestDirectives(head.fields);
  // RFC 9111 §5.2.1.6; and what may not be asked for is what is stored, coded or not (§5.2.1.7).
  if (directives.has("no-transform") || directives.has("only-if-cached")) return null;
  return exact.some((name) => hasField(head.fields, name)) ? null : codingFor(head.fields, codings);
}

const exact = ["range", "if-range", "if-match", "if-unmodified-since", "upgrade"];

/** What a QUERY's content and the fields that say what it is add to the key. RFC 10008 §2.7. */
function contentKey(content: Buffer, fields: FieldList): string {
  const described = ["content-type", "content-encoding", "content-language"]
    .map((name) => fieldValue(fields, name) ?? "")
    .join("\n");
  return `\nquery:${createHash("sha256").update(described).update("\n\n").update(content).digest("base64url")}`;
}

/**
 * The primary key: the URI, as the route's configuration narrows or widens it. RFC 9111 §2. Fields count as the origin
 * gets them: not where Connection names them, or where nobody believes the client what they say (`trusted`).
 */
export function cacheKey(
  text: string,
  uri: HttpUri,
  { keyFields, ...caching }: CachingRules,
  requestFields: FieldList,
  trusted: boolean,
): string {
  let key = keyedUri(text, uri, caching);
  if (keyFields.length === 0) return key;
  const fields = endToEndFields(requestFields);
  for (const name of keyFields) {
    const value = isForwardingClaim(name) && !trusted ? undefined : fieldValue(fields, name);
    key += `\n${name}:${value ?? ""}`;
  }
  return key;
}

/** The URI as it stands in keys: without the query parameters that do not belong to them. */
export function keyedUri(text: string, { path }: HttpUri, { query }: Pick<CachingRules, "query">): string {
  const question = path.indexOf("?");
  if (query === null || question === -1) return text;
  const kept = path
    .slice(question + 1)
    .split("&")
    .filter((pair) => ("ignore" in query ? !areAllOf(pair, query.ignore) : mayBeOf(pair, query.select)));
  const base = text.slice(0, text.indexOf("?"));
  return kept.length === 0 ? base : `${base}?${kept.join("&")}`;
}

/**
 * Whether every origin reads nothing in a pair but these parameters: to those who separate pairs by semicolons too, as
 * Rack and others have, `a=1;b=2` says b as well, and what they make of it would be stored for requests without.
 */
function areAllOf(pair: string, names: ReadonlySet<string>): boolean {
  const isOne = isSurely(names);
  return pair.split(";").every((one) => isOne(one.split("=", 1)[0]!));
}

/**
 * Whether some origin may read a pair as one of these parameters: there are those who separate pairs by semicolons, and
 * those to whom other letters are the same. What only may be one belongs to the key: else a request that reads
 * otherwise at its origin would be stored for those that do not.
 */
function mayBeOf(pair: string, names: ReadonlySet<string>): boolean {
  return pair.split(";").some((one) => {
    const raw = one.split("=", 1)[0]!;
    return names.has(raw) || mayBeRead(raw, isReadAs(names));
  });
}

/** The URI of a request in origin form. */
export function ownUri(path: string, host: string, scheme: "http" | "https"): HttpUri | null {
  const place = authority(host === "" ? "localhost" : host, scheme);
  const kept = keptPath(path);
  return place === null || kept === null ? null : { scheme, ...place, path: kept };
}
