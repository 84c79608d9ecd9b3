/** What a cache remembers of a response beside its bytes, with everything that a decision needs worked out once. */
import { endToEndFields } from "./connection-fields.ts";
import { dateText } from "./dates.ts";
import { qualifiedNames, responseDirectives, type ResponseDirectives } from "./directives.ts";
import { withoutFields, type FieldList } from "./fields.ts";
import { bornSeconds, dateOf, freshnessLifetime, type FreshnessLifetime, type ResponseTimes } from "./freshness.ts";
import { varyNames, variantOf } from "./vary.ts";

export interface StoredHead extends ResponseTimes {
  readonly status: number;
  /** End-to-end fields, without Age and framing, without those the origin forbade a cache to keep. */
  readonly fields: FieldList;
  readonly directives: ResponseDirectives;
  /** Seconds since the epoch at which current age was 0. */
  readonly born: number;
  readonly dateSeconds: number;
  readonly lifetime: FreshnessLifetime;
  /** The request fields that select this response, and what they said. RFC 9111 §4.1. */
  readonly varyNames: readonly string[];
  readonly variant: string;
}

/** Configured changes to what an origin says of freshness. All in seconds. */
export interface FreshnessOverride {
  /** Replaces the origin's lifetime. */
  readonly lifetimeSeconds?: number | undefined;
  /** Used where the origin gives none. */
  readonly defaultSeconds?: number | undefined;
}

/** Framing is made anew for every answer, and Age is computed. RFC 9111 §5.1, RFC 9112 §6. */
const notKept: ReadonlySet<string> = new Set(["age", "content-length", "transfer-encoding"]);

/** The head to store for a response to a request. */
export function storedHead(
  requestFields: FieldList,
  status: number,
  responseFields: FieldList,
  times: ResponseTimes,
  override: FreshnessOverride = {},
): StoredHead {
  const directives = responseDirectives(responseFields);
  const dropped = new Set(notKept);
  for (const name of ["no-cache", "private"] as const) {
    for (const field of qualifiedNames(directives.directives, name) ?? []) dropped.add(field);
  }
  const names = varyNames(responseFields);
  const selecting = names === "*" ? [] : names;
  return {
    ...times,
    status,
    fields: withDate(withoutFields(endToEndFields(responseFields), dropped), responseFields, times),
    directives,
    born: bornSeconds(responseFields, times),
    dateSeconds: dateOf(responseFields, times),
    lifetime: lifetimeOf(status, responseFields, directives, times, override),
    varyNames: selecting,
    variant: variantOf(selecting, requestFields),
  };
}

function lifetimeOf(
  status: number,
  fields: FieldList,
  directives: ResponseDirectives,
  times: ResponseTimes,
  override: FreshnessOverride,
): FreshnessLifetime {
  if (override.lifetimeSeconds !== undefined) return { seconds: override.lifetimeSeconds, source: "configured" };
  const lifetime = freshnessLifetime(status, fields, directives, times);
  if (lifetime.source === "none" || lifetime.source === "heuristic") {
    if (override.defaultSeconds !== undefined) return { seconds: override.defaultSeconds, source: "configured" };
  }
  return lifetime;
}

/** RFC 9110 §6.6.1: a recipient with a clock that gets a response without Date adds one before it caches or forwards it. */
function withDate(kept: string[], received: FieldList, times: ResponseTimes): string[] {
  for (let i = 0; i < received.length; i += 2) if (received[i] === "date") return kept;
  kept.push("date", dateText(times.responseSeconds));
  return kept;
}
