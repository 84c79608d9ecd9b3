/** What to do with a stored response for a request, now. RFC 9111 §4, RFC 5861. */
import { directiveSeconds, isUnqualified, type Directives } from "./directives.ts";
import { currentAge } from "./freshness.ts";
import type { StoredHead } from "./stored-head.ts";

/** Each reason with its clause, as an operator reads it. */
export const reuseReasons = {
  fresh: "RFC 9111 §4.2: current age is below the freshness lifetime",
  "max-stale": "RFC 9111 §5.2.1.2: stale, but the request accepts it (max-stale)",
  "stale-while-revalidate":
    "RFC 5861 §3: stale, within stale-while-revalidate: answered now, validated in the background",
  "request-no-cache": "RFC 9111 §5.2.1.4: the request wants it validated (no-cache)",
  "request-max-age": "RFC 9111 §5.2.1.1: older than the request accepts (max-age)",
  "request-min-fresh": "RFC 9111 §5.2.1.3: not fresh for as long as the request wants (min-fresh)",
  "no-cache": "RFC 9111 §5.2.2.4: the response must be validated before each use (no-cache)",
  stale: "RFC 9111 §4.2: current age has reached the freshness lifetime",
} as const;

/** Why what may be reused by these rules is validated all the same: a cluster's word on it is missing. */
export const doubts = {
  "cut-off": "this member does not know what the others have been told: it asks the origin first (docs/purge.md)",
  "in-doubt": "nobody knows whether it has been invalidated meanwhile: the origin is asked first (docs/purge.md)",
} as const;

/** What makes fresh responses be validated. */
export type Doubt = keyof typeof doubts;

/** Whether a reason is a doubt. */
export function isDoubt(reason: string | null): reason is Doubt {
  return reason !== null && Object.hasOwn(doubts, reason);
}

/** Which doubt there is of a stored response, if any. */
export function doubtOf(isInTouch: boolean, isOutdated: boolean): Doubt | null {
  if (!isInTouch) return "cut-off";
  return isOutdated ? "in-doubt" : null;
}

export type Reuse =
  | { readonly kind: "hit"; readonly reason: "fresh" | "max-stale" }
  | { readonly kind: "stale-while-revalidate"; readonly reason: "stale-while-revalidate" }
  | {
      readonly kind: "validate";
      readonly reason: "request-no-cache" | "request-max-age" | "request-min-fresh" | "no-cache" | "stale";
    };

export interface ReusePolicy {
  /** Whether a client may force validation (no-cache, max-age, min-fresh). */
  readonly honourReload: boolean;
  /** Seconds of stale-while-revalidate where the origin gives none. */
  readonly graceSeconds: number;
}

/** The decision for one selected stored response. `now` in seconds since the epoch. */
export function reuse(stored: StoredHead, request: Directives, now: number, policy: ReusePolicy): Reuse {
  const response = stored.directives.directives;
  const age = currentAge(stored, now);
  const left = stored.lifetime.seconds - age;
  if (policy.honourReload) {
    if (request.has("no-cache")) return { kind: "validate", reason: "request-no-cache" };
    const maxAge = directiveSeconds(request, "max-age");
    const acceptsStale = request.has("max-stale");
    if (maxAge !== undefined && age > (maxAge ?? 0) && !acceptsStale)
      return { kind: "validate", reason: "request-max-age" };
    if (maxAge === 0 && !acceptsStale) return { kind: "validate", reason: "request-max-age" };
    const minFresh = directiveSeconds(request, "min-fresh");
    if (minFresh !== undefined && minFresh !== null && left < minFresh)
      return { kind: "validate", reason: "request-min-fresh" };
  }
  if (isUnqualified(response, "no-cache")) return { kind: "validate", reason: "no-cache" };
  if (left > 0) return { kind: "hit", reason: "fresh" };
  if (forbidsStale(stored)) return { kind: "validate", reason: "stale" };
  const shared = impliesValidation(stored);
  if (request.has("max-stale") && !shared) {
    const accepted = directiveSeconds(request, "max-stale");
    const bound = request.get("max-stale") === null ? Infinity : (accepted ?? 0);
    if (-left <= bound) return { kind: "hit", reason: "max-stale" };
  }
  const grace = directiveSeconds(response, "stale-while-revalidate") ?? (shared ? 0 : policy.graceSeconds);
  if (grace > 0 && -left < grace) return { kind: "stale-while-revalidate", reason: "stale-while-revalidate" };
  return { kind: "validate", reason: "stale" };
}

/** Whether the origin forbade any stale use in so many words. RFC 9111 §4.2.4, §5.2.2.2, §5.2.2.8. */
export function forbidsStale(stored: StoredHead): boolean {
  const { directives } = stored.directives;
  return (
    directives.has("must-revalidate") || directives.has("proxy-revalidate") || isUnqualified(directives, "no-cache")
  );
}

/**
 * Whether it did so by s-maxage, which implies proxy-revalidate (RFC 9111 §5.2.2.10). An extension for stale use beside
 * it is the origin's own, more special word and counts (RFC 5861): origins are told to send `s-maxage=60,
 * stale-while-revalidate=600`.
 */
function impliesValidation(stored: StoredHead): boolean {
  return stored.directives.directives.has("s-maxage");
}

/**
 * Whether a stale response may answer because the origin failed: unreachable, unless forbidden (RFC 9111 §4.2.4);
 * answering 500, 502, 503 or 504, only within stale-if-error (RFC 5861 §4).
 */
export function staleOnError(
  stored: StoredHead,
  request: Directives,
  now: number,
  failure: "unreachable" | "server-error",
): boolean {
  if (forbidsStale(stored) || request.has("no-cache")) return false;
  const staleness = currentAge(stored, now) - stored.lifetime.seconds;
  const shared = impliesValidation(stored);
  const allowed =
    directiveSeconds(stored.directives.directives, "stale-if-error") ??
    (shared ? undefined : directiveSeconds(request, "stale-if-error"));
  if (allowed !== undefined && allowed !== null) return staleness <= allowed;
  return failure === "unreachable" && !shared;
}

/**
 * Whether what is stored can still answer somebody, fresh or stale by the origin's leave: an error of the origin must
 * not take its place then. RFC 5861 §3, §4.
 */
export function outlivesError(stored: StoredHead, now: number, graceSeconds: number): boolean {
  const policy = { honourReload: true, graceSeconds };
  return (
    reuse(stored, new Map(), now, policy).kind !== "validate" || staleOnError(stored, new Map(), now, "server-error")
  );
}

/** Statuses that stale-if-error covers. RFC 5861 §4. */
export function isServerError(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}
