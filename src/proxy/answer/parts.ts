/**
 * Stored parts (206): which can answer a range request without the origin, and how two of them make a larger one. RFC
 * 9111 §3.3, §3.4.
 */
import { rangeApplies } from "../../http/conditional.ts";
import { fieldValue, withoutFields, type FieldList } from "../../http/fields.ts";
import { freshenedFields } from "../../http/freshen.ts";
import { contentRangeText, selectedRanges } from "../../http/ranges.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import { etagOf, stronglyEqual } from "../../http/validators.ts";
import type { Body } from "../../store/body.ts";
import type { Part, StoredResponse } from "../../store/port.ts";
import type { Exchange } from "../../wire/exchange.ts";

/** Whether a stored response has all that the request asks for: a whole always, a part only the one range within it. */
export function covers(
  { part, head: stored }: Pick<StoredResponse, "part" | "head">,
  { head }: Pick<Exchange, "head">,
  now: number,
): boolean {
  if (part === null) return true;
  const range = head.method === "GET" ? fieldValue(head.fields, "range") : undefined;
  if (range === undefined || !rangeApplies(head.fields, stored.fields, stored.dateSeconds, now)) return false;
  const selection = selectedRanges(range, part.total);
  const [only, ...more] = selection.kind === "ranges" ? selection.ranges : [];
  return only !== undefined && more.length === 0 && only.first >= part.first && only.last <= part.last;
}

/** A part, or what has become the whole (`part` null), of two that belong together. */
export interface Combined {
  readonly head: StoredHead;
  readonly content: Buffer;
  readonly part: Part | null;
}

/** A part with its head and content. */
export interface PartOfWhole {
  readonly head: StoredHead;
  readonly body: Body;
  readonly part: Part | null;
}

/**
 * One response out of two parts of the same representation that touch or overlap: a larger part, or the whole. Null
 * where they may not be combined: without the same strong validator nobody knows that their bytes belong together.
 * RFC 9111 §3.4, RFC 9110 §15.3.7.3.
 */
export function combined(newer: PartOfWhole, older: PartOfWhole, bytesMax: number): Combined | null {
  const [a, b] = [newer.part, older.part];
  if (a === null || b === null || a.total !== b.total || !sameStrongTag(newer.head.fields, older.head.fields))
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
  return {
    head: { ...newer.head, status: whole ? 200 : 206, fields },
    content,
    part: whole ? null : { first, last, total: a.total },
  };
}

function sameStrongTag(one: FieldList, other: FieldList): boolean {
  const [a, b] = [etagOf(one), etagOf(other)];
  return a !== null && b !== null && stronglyEqual(a, b);
}
