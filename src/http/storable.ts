/** Whether a shared cache may keep a response, and if not, why not. RFC 9111 §3. */
import { isUnqualified, qualifiedNames, requestDirectives, responseDirectives, type Directives } from "./directives.ts";
import { fieldValue, hasField, type FieldList } from "./fields.ts";
import { isHeuristicallyCacheable } from "./freshness.ts";
import { isUnderstood } from "./messages.ts";
import { overridesMethod } from "./method-override.ts";
import { isStream } from "./streams.ts";
import { hasValidator } from "./validators.ts";
import { varyNames } from "./vary.ts";

/** Reasons an operator can read, each with its clause. */
export const storableReasons = {
  method: "RFC 9111 §3: the responses of the method, or of the one that X-HTTP-Method-Override names, are not stored",
  content: "RFC 9110 §9.3.1: the request had content, which is not in the key",
  outlived: "RFC 5861: an error does not take the place of what can still answer",
  "request-no-store": "RFC 9111 §5.2.1.5: the request said no-store",
  "no-store": "RFC 9111 §5.2.2.5: the response said no-store",
  private: "RFC 9111 §5.2.2.7: the response is private to one user",
  authorization: "RFC 9111 §3.5: the request carried Authorization and the response does not allow sharing",
  "set-cookie": "the response sets a cookie and the origin did not say that it may be shared",
  "vary-star": "RFC 9111 §4.1: Vary: * matches no later request",
  "must-understand": "RFC 9111 §5.2.2.3: the status is not understood",
  "partial-content": "RFC 9111 §3.3: a part without a usable Content-Range",
  "request-specific":
    "the status answers this request's own conditions, range or expectation, or its size, pace, connection or sender",
  status: "RFC 9111 §3: an interim response or a 304 is never stored",
  "no-freshness": "RFC 9111 §3: nothing explicit allows storing and the status is not heuristically cacheable",
  stream: "a stream of events or pictures is of one connection: no lifetime is guessed, or configured, for it",
  "no-use": "neither fresh for a moment nor open to validation: keeping it would serve nobody",
  configured: "the route's configuration forbids storing",
  "pass-cookies": "the request sent a cookie that pass-cookies names",
} as const;

export type NotStorable = keyof typeof storableReasons;
export type Storable = { readonly store: true } | { readonly store: false; readonly reason: NotStorable };

export interface StoringPolicy {
  /** `safe` keeps Set-Cookie only where the origin names shared caches; `rfc` by the letter of RFC 9111 §7.3. */
  readonly cookies: "safe" | "rfc";
  /** The route forbids storing. */
  readonly forbidden?: boolean;
  /** The route gives a lifetime of its own, which stands for an explicit one. */
  readonly configuredLifetime?: boolean;
  /** The request had content that is not in the key. */
  readonly content?: boolean;
  /** The response to a POST names the request's own URI as its Content-Location. */
  readonly locatedAtTarget?: boolean;
}

const safe: StoringPolicy = { cookies: "safe" };

/** The decision of RFC 9111 §3 for one request and its final response. */
export function storable(
  request: { readonly method: string; readonly fields: FieldList },
  response: { readonly status: number; readonly fields: FieldList },
  policy: StoringPolicy = safe,
): Storable {
  if (policy.forbidden === true) return no("configured");
  const { status, fields } = response;
  // QUERY comes here only with its content in the key (RFC 10008 §2.7). RFC 9110 §9.3.3: what a POST gives as the
  // representation of its own URI, with explicit freshness, answers later GETs.
  const posted = request.method === "POST" && policy.locatedAtTarget === true && status === 200;
  if (request.method !== "GET" && request.method !== "QUERY" && !posted) return no("method");
  if (overridesMethod(request)) return no("method");
  if (policy.content === true && !posted) return no("content");
  if (status < 200 || status === 304) return no("status");
  if (ofOneRequest.has(status)) return no("request-specific");
  const { directives, source } = responseDirectives(fields);
  if (requestDirectives(request.fields).has("no-store")) return no("request-no-store");
  const understood = isUnderstood(status);
  // §5.2.2.3: beside must-understand, no-store is for caches that do not know the status.
  if (directives.has("must-understand")) {
    if (!understood) return no("must-understand");
  } else if (directives.has("no-store")) return no("no-store");
  if (isUnqualified(directives, "private")) return no("private");
  if (status === 206 && !hasField(fields, "content-range")) return no("partial-content");
  if (hasField(request.fields, "authorization") && !allowsSharing(directives)) return no("authorization");
  if (
    policy.cookies === "safe" &&
    hasField(fields, "set-cookie") &&
    source === "cache-control" &&
    !namesSharedCaches(directives)
  ) {
    return no("set-cookie");
  }
  if (varyNames(fields) === "*") return no("vary-star");
  const hasLifetime =
    directives.has("max-age") ||
    directives.has("s-maxage") ||
    (source === "cache-control" && hasField(fields, "expires"));
  if (!hasLifetime && isStream(fields)) return no("stream");
  if (policy.configuredLifetime === true && !posted) return { store: true };
  const explicit = hasLifetime || directives.has("public");
  if (posted && !directives.has("max-age") && !directives.has("s-maxage") && !hasField(fields, "expires"))
    return no("method");
  if (!explicit && !isHeuristicallyCacheable(status)) return no("no-freshness");
  if (isUnqualified(directives, "no-cache") && !hasValidator(fields)) return no("no-use");
  if (!explicit && !hasValidator(fields)) return no("no-use");
  return { store: true };
}

/**
 * These answer one request's conditions, range or expectation, its size, pace or connection, its sender's rate or
 * network, none of which is in the key: kept, they would poison it. The last four must not be stored whatever they say
 * of it (RFC 6585 §3 to §6).
 */
const ofOneRequest: ReadonlySet<number> = new Set([408, 412, 413, 416, 417, 421, 425, 426, 428, 429, 431, 511]);

/** RFC 9111 §3.5. */
function allowsSharing(directives: Directives): boolean {
  return directives.has("must-revalidate") || namesSharedCaches(directives);
}

function namesSharedCaches(directives: Directives): boolean {
  if (directives.has("public") || directives.has("s-maxage")) return true;
  const hidden = [...(qualifiedNames(directives, "private") ?? []), ...(qualifiedNames(directives, "no-cache") ?? [])];
  return hidden.includes("set-cookie");
}

function no(reason: NotStorable): Storable {
  return { store: false, reason };
}

/** The total and the place of a part, or null where Content-Range cannot be read. RFC 9110 §14.4. */
export function contentRange(
  fields: FieldList,
): { readonly first: number; readonly last: number; readonly total: number | null } | null {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(fieldValue(fields, "content-range") ?? "");
  if (match === null) return null;
  const [first, last, total] = [Number(match[1]), Number(match[2]), match[3] === "*" ? null : Number(match[3])];
  return last >= first && (total === null || last < total) ? { first, last, total } : null;
}
