/** Byte ranges of a stored representation. RFC 9110 §14. */
import { listElements } from "./grammar.ts";

/** A span of bytes, both ends included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

export type RangeSelection =
  | { readonly kind: "ignore" }
  | { readonly kind: "ranges"; readonly ranges: readonly ByteRange[] }
  | { readonly kind: "unsatisfiable" };

/**
 * More ranges than this in one request are served whole: many small overlapping ranges are an attack. RFC 9110 §14.2,
 * §17.15.
 */
export const rangesMax = 16;

/** The ranges that a Range field selects of `length` bytes. A field that cannot be read is ignored, as §14.2 allows. */
export function selectedRanges(value: string, length: number): RangeSelection {
  const match = /^bytes[ \t]*=(.*)$/i.exec(value);
  if (match === null) return { kind: "ignore" };
  const elements = listElements(match[1]!);
  if (elements.length === 0 || elements.length > rangesMax) return { kind: "ignore" };
  const ranges: ByteRange[] = [];
  for (const element of elements) {
    // Positions of any length: beyond what a number holds exactly they lie beyond every content all the same.
    const spec = /^(\d*)[ \t]*-[ \t]*(\d*)$/.exec(element);
    if (spec === null || (spec[1] === "" && spec[2] === "")) return { kind: "ignore" };
    if (spec[1] === "") {
      const suffix = Math.min(Number(spec[2]), length);
      if (suffix > 0) ranges.push({ first: length - suffix, last: length - 1 });
    } else {
      const first = Number(spec[1]);
      const last = spec[2] === "" ? length - 1 : Math.min(Number(spec[2]), length - 1);
      if (spec[2] !== "" && Number(spec[2]) < first) return { kind: "ignore" };
      if (first < length) ranges.push({ first, last });
    }
  }
  if (ranges.length === 0) return { kind: "unsatisfiable" };
  // §14.2: overlapping ranges that ask for more than there is are not worth parts of their own.
  const asked = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return ranges.length > 1 && asked > length ? { kind: "ignore" } : { kind: "ranges", ranges };
}

/** Content-Range of a part. RFC 9110 §14.4. */
export function contentRangeText(range: ByteRange, length: number): string {
  return `bytes ${range.first}-${range.last}/${length}`;
}
