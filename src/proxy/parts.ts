/** Stored parts (206) that can answer a range request without the origin. RFC 9111 §3.3, RFC 9110 §15.3.7. */
import { rangeApplies } from "../http/conditional.ts";
import { fieldValue, withoutFields } from "../http/fields.ts";
import { freshenedFields } from "../http/freshen.ts";
import { contentRangeText, selectedRanges } from "../http/ranges.ts";
import { etagOf, stronglyEqual } from "../http/validators.ts";
import { Body } from "../store/body.ts";
import { StoredResponse } from "../store/stored-response.ts";
import type { Exchange } from "../wire/exchange.ts";

/** The stored part that holds the one range asked for, or undefined. */
export function partFor(
  selected: readonly StoredResponse[],
  exchange: Exchange,
  now: number,
): StoredResponse | undefined {
  const { head } = exchange;
  const range = head.method === "GET" ? fieldValue(head.fields, "range") : undefined;
  if (range === undefined) return undefined;
  return selected.find(({ part, head: stored }) => {
    if (part === null || !rangeApplies(head.fields, stored.fields, stored.dateSeconds, now)) return false;
    const selection = selectedRanges(range, part.total);
    const [only, ...more] = selection.kind === "ranges" ? selection.ranges : [];
    return only !== undefined && more.length === 0 && only.first >= part.first && only.last <= part.last;
  });
}

/**
 * One stored response out of two parts of the same representation that touch or overlap: a larger part, or the whole. Null
 * where they may not be combined: without the same strong validator nobody knows that their bytes belong together.
 * RFC 9111 §3.4, RFC 9110 §15.3.7.3.
 */
export function combined(newer: StoredResponse, older: StoredResponse, bytesMax: number): StoredResponse | null {
  const [a, b] = [newer.part, older.part];
  const [one, other] = [etagOf(newer.head.fields), etagOf(older.head.fields)];
  if (a === null || b === null || a.total !== b.total || one === null || other === null || !stronglyEqual(one, other))
    return null;
  if (a.first > b.last + 1 || b.first > a.last + 1 || newer.head.variant !== older.head.variant) return null;
  const [first, last] = [Math.min(a.first, b.first), Math.max(a.last, b.last)];
  const bytes = last - first + 1;
  if (bytes > bytesMax) return null;
  const content = Buffer.allocUnsafeSlow(bytes);
  older.body.joined().copy(content, b.first - first);
  newer.body.joined().copy(content, a.first - first);
  const whole = bytes === a.total;
  const fields = withoutFields(freshenedFields(older.head.fields, newer.head.fields), new Set(["content-range"]));
  if (!whole) fields.push("content-range", contentRangeText({ first, last }, a.total));
  return new StoredResponse({
    key: newer.key,
    hash: newer.hash,
    inner: newer.inner || older.inner,
    trustedEpoch: newer.trustedEpoch,
    head: { ...newer.head, status: whole ? 200 : 206, fields },
    body: Body.of(content),
    part: whole ? null : { first, last, total: a.total },
  });
}
