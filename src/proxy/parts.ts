/** Stored parts (206) that can answer a range request without the origin. RFC 9111 §3.3, RFC 9110 §15.3.7. */
import { rangeApplies } from "../http/conditional.ts";
import { fieldValue } from "../http/fields.ts";
import { selectedRanges } from "../http/ranges.ts";
import type { StoredResponse } from "../store/stored-response.ts";
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
