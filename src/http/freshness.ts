/**
 * How old a response is and how long it may be used without asking. RFC 9111 §4.2. All times are seconds since the
 * epoch: ages count on a clock that never goes back, dates are read against the wall clock, and `ResponseTimes` says
 * how far the two are apart.
 */
import { dateSeconds } from "./dates.ts";
import { directiveSeconds, type ResponseDirectives } from "./directives.ts";
import { fieldLines, fieldValue, hasField, type FieldList } from "./fields.ts";
import { deltaSeconds, deltaSecondsMax, listElements } from "./grammar.ts";

/** When a response was asked for and came, by this cache's steady clock. */
export interface ResponseTimes {
  readonly requestSeconds: number;
  readonly responseSeconds: number;
  /** The wall clock's lead over the steady one at that moment, in seconds; 0 where it has never been set. */
  readonly wallLeadSeconds?: number;
}

/** The wall clock when the response came. */
export function receivedAt({ responseSeconds, wallLeadSeconds = 0 }: ResponseTimes): number {
  return responseSeconds + wallLeadSeconds;
}

/** `ended`: by a soft purge. */
export type LifetimeSource = "configured" | "s-maxage" | "max-age" | "expires" | "heuristic" | "none" | "ended";

export interface FreshnessLifetime {
  readonly seconds: number;
  readonly source: LifetimeSource;
}

/**
 * The moment at which the response would have been generated were this cache's clock the origin's: current age is now
 * minus this. RFC 9111 §4.2.3.
 *
 * The larger of two estimates wins: the origin's clock may be ahead of ours, and a cache between us may have dropped
 * Age. Either error makes a response look younger than it is, so the maximum never serves one too long.
 */
export function bornSeconds(fields: FieldList, times: ResponseTimes): number {
  const apparentAge = Math.max(0, receivedAt(times) - dateOf(fields, times));
  const correctedAge = ageField(fields) + (times.responseSeconds - times.requestSeconds);
  return times.responseSeconds - Math.max(apparentAge, correctedAge);
}

/** Seconds since the origin generated or last validated this response. RFC 9111 §4.2.3. */
export function currentAge(stored: { readonly born: number }, now: number): number {
  return Math.max(0, now - stored.born);
}

/** Whole seconds of freshness left, so that Age and this add up to the lifetime; negative where stale. */
export function freshSecondsLeft(
  stored: { readonly born: number; readonly lifetime: FreshnessLifetime },
  now: number,
): number {
  return stored.lifetime.seconds - Math.floor(currentAge(stored, now));
}

/** Age as received: the first member of a list, 0 where it is absent or no number. RFC 9111 §5.1. */
export function ageField(fields: FieldList): number {
  const line = fieldLines(fields, "age")[0];
  return (line === undefined ? null : deltaSeconds(listElements(line)[0] ?? "")) ?? 0;
}

/** The Date field, or the time of receipt where it is missing or no date; by the wall clock. RFC 9110 §6.6.1. */
export function dateOf(fields: FieldList, times: ResponseTimes): number {
  const line = fieldLines(fields, "date")[0];
  return (line === undefined ? null : dateSeconds(line, receivedAt(times))) ?? receivedAt(times);
}

/**
 * Explicit lifetime by the order of RFC 9111 §4.2.1, else a heuristic one where the status or `public` allows it
 * (§4.2.2).
 */
export function freshnessLifetime(
  status: number,
  fields: FieldList,
  { directives, source }: ResponseDirectives,
  times: ResponseTimes,
): FreshnessLifetime {
  for (const name of ["s-maxage", "max-age"] as const) {
    const seconds = directiveSeconds(directives, name);
    // An argument that cannot be read is a sign of trouble: §4.2.1 encourages to consider such a response stale.
    if (seconds !== undefined) return { seconds: seconds ?? 0, source: name };
  }
  if (source === "cache-control" && hasField(fields, "expires")) {
    const lines = fieldLines(fields, "expires");
    const expires = dateSeconds(lines[0]!, receivedAt(times));
    // §5.3: an invalid date, especially "0", is a time in the past.
    const seconds = expires === null ? 0 : Math.max(0, expires - dateOf(fields, times));
    return { seconds: Math.min(seconds, deltaSecondsMax), source: "expires" };
  }
  if (isHeuristicallyCacheable(status) || directives.has("public")) return heuristicLifetime(fields, times);
  return { seconds: 0, source: "none" };
}

/** A tenth of the time since the last modification, a day at most. RFC 9111 §4.2.2. */
function heuristicLifetime(fields: FieldList, times: ResponseTimes): FreshnessLifetime {
  const modified = fieldValue(fields, "last-modified");
  const since = modified === undefined ? null : dateSeconds(modified, receivedAt(times));
  if (since === null) return { seconds: 0, source: "none" };
  return {
    seconds: Math.min(86_400, Math.max(0, Math.floor((dateOf(fields, times) - since) / 10))),
    source: "heuristic",
  };
}

const heuristicStatuses: ReadonlySet<number> = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);

/** Whether the origin itself gave the lifetime, so that it holds for any status. */
export function isExplicit({ source }: FreshnessLifetime): boolean {
  return source === "s-maxage" || source === "max-age" || source === "expires";
}

/** Statuses whose definition lets a cache guess a lifetime. RFC 9110 §15.1. */
export function isHeuristicallyCacheable(status: number): boolean {
  return heuristicStatuses.has(status);
}
