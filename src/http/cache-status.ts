/** How a cache says what it did: the Cache-Status field. RFC 9211. */
import { isToken } from "./grammar.ts";

/** Why a request went forward, in RFC 9211 §2.2's own words. */
export type Forward = "bypass" | "method" | "uri-miss" | "vary-miss" | "miss" | "request" | "stale" | "partial";

/** How a request ended at one member: `hit` or `forward`, never both (RFC 9211 §2.1). */
export interface Outcome {
  readonly hit: boolean;
  readonly forward?: Forward | undefined;
  /** Status of the answer that the forwarded request got. */
  readonly forwardStatus?: number | undefined;
  readonly stored?: boolean | undefined;
  readonly collapsed?: boolean | undefined;
  /** Seconds of freshness left; negative where stale. */
  readonly ttlSeconds?: number | undefined;
  readonly key?: string | undefined;
  readonly detail?: string | undefined;
}

/** The Cache-Status member for an outcome. */
export function cacheStatus(member: string, outcome: Outcome): string {
  let text = isToken(member) && /^[A-Za-z*]/.test(member) ? member : quoted(member);
  if (outcome.hit) text += "; hit";
  if (outcome.forward !== undefined) text += `; fwd=${outcome.forward}`;
  if (outcome.forwardStatus !== undefined) text += `; fwd-status=${outcome.forwardStatus}`;
  if (outcome.stored === true) text += "; stored";
  if (outcome.collapsed === true) text += "; collapsed";
  if (outcome.ttlSeconds !== undefined) text += `; ttl=${Math.trunc(outcome.ttlSeconds)}`;
  if (outcome.key !== undefined) text += `; key=${quoted(outcome.key)}`;
  if (outcome.detail !== undefined)
    text += `; detail=${isToken(outcome.detail) && /^[A-Za-z*]/.test(outcome.detail) ? outcome.detail : quoted(outcome.detail)}`;
  return text;
}

/** The one word for metrics and logs: `hit`, or the forward reason; `none` where the request was refused. */
export function outcomeLabel(outcome: Outcome): string {
  return outcome.hit ? "hit" : (outcome.forward ?? "none");
}

/** A structured-field string: printable ASCII only. RFC 9651 §4.1.6. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}
