/** What a cache remembers of a response beside its bytes, with everything that a decision needs worked out once. */
import { endToEndFields } from "./connection-fields.ts";
import { dateText } from "./dates.ts";
import { qualifiedNames, responseDirectives, type ResponseDirectives } from "./directives.ts";
import { withoutFields, type FieldList } from "./fields.ts";
import {
  bornSeconds,
  dateOf,
  freshnessLifetime,
  isExplicit,
  isHeuristicallyCacheable,
  receivedAt,
  type FreshnessLifetime,
  type ResponseTimes,
} from "./freshness.ts";
import { varyNames } from "./vary.ts";

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
  /** Used where the origin gives none and the status lets a cache guess. */
  readonly defaultSeconds?: number | undefined;
  /** The same for errors that tell of the resource or the origin, not of who asked or how: of all, or by status. */
  readonly negativeSeconds?: number | Readonly<Partial<Record<string, number>>> | undefined;
}

/** Framing is made anew for every answer, and Age is computed. RFC 9111 §5.1, RFC 9112 §6. */
const notKept: ReadonlySet<string> = new Set(["age", "content-length", "transfer-encoding"]);

/** With field names as their argument, these forbid to keep those fields. RFC 9111 §5.2.2.4, §5.2.2.7. */
const qualified = ["no-cache", "private"] as const;

/**
 * Errors that negative caching may keep without the origin's word. Left out are those that answer one request's
 * credentials (401, 403, 407), size (413, 431), framing (400, 408, 411, 417, 421) or rate (425, 429): they say nothing
 * to others.
 */
export const negativeStatuses: ReadonlySet<number> = new Set([404, 405, 410, 414, 500, 501, 502, 503, 504]);

/**
 * The head to store for a response to a request whose selecting fields `variantFor` puts into one comparable string.
 */
export function storedHead(
  variantFor: (names: readonly string[]) => string,
  status: number,
  responseFields: FieldList,
  times: ResponseTimes,
  override: FreshnessOverride = {},
): StoredHead {
  const directives = responseDirectives(responseFields);
  const forbidden = unkept(directives);
  const dropped = forbidden.length === 0 ? notKept : new Set([...notKept, ...forbidden]);
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
    variant: variantFor(selecting),
  };
}

/** The fields that a response forbids to keep, in lower case. RFC 9111 §5.2.2.4, §5.2.2.7. */
export function unkept({ directives }: ResponseDirectives): string[] {
  return qualified.flatMap((name) => qualifiedNames(directives, name) ?? []);
}

function lifetimeOf(
  status: number,
  fields: FieldList,
  directives: ResponseDirectives,
  times: ResponseTimes,
  override: FreshnessOverride,
): FreshnessLifetime {
  const lifetime = freshnessLifetime(status, fields, directives, times);
  const explicit = isExplicit(lifetime);
  const guessable = isHeuristicallyCacheable(status);
  const negative = explicit ? undefined : negativeSeconds(status, override);
  if (negative !== undefined) return { seconds: negative, source: "configured" };
  if (override.lifetimeSeconds !== undefined && (explicit || guessable))
    return { seconds: override.lifetimeSeconds, source: "configured" };
  if (!explicit && guessable && override.defaultSeconds !== undefined)
    return { seconds: override.defaultSeconds, source: "configured" };
  return lifetime;
}

function negativeSeconds(status: number, { negativeSeconds: given }: FreshnessOverride): number | undefined {
  if (typeof given === "object") return given[status];
  return negativeStatuses.has(status) ? given : undefined;
}

/**
 * RFC 9110 §6.6.1: a recipient with a clock that gets a response without Date adds one before it caches or forwards it.
 */
function withDate(kept: string[], received: FieldList, times: ResponseTimes): string[] {
  for (let i = 0; i < received.length; i += 2) if (received[i] === "date") return kept;
  kept.push("date", dateText(receivedAt(times)));
  return kept;
}
