/** Updating stored responses from a 304 or a HEAD. RFC 9111 §3.2, §4.3.4, §4.3.5. */
import { endToEndFields } from "./connection-fields.ts";
import { fieldNames, fieldValue, withoutFields, type FieldList } from "./fields.ts";
import { etagOf, stronglyEqual, weaklyEqual } from "./validators.ts";

/** What describes the stored bytes themselves and so cannot change without them. RFC 9111 §3.2. */
const fixed: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-range",
  "transfer-encoding",
  "age",
]);

/**
 * The stored fields with those of the newer response in their place. Age is not kept: the freshened response is as
 * young as its validation.
 */
export function freshenedFields(stored: FieldList, update: FieldList): string[] {
  const newer = withoutFields(endToEndFields(update), fixed);
  return [...withoutFields(stored, fieldNames(newer)), ...newer];
}

/**
 * Whether a 304 speaks of the stored response that was asked about. RFC 9111 §4.3.4: a strong validator of the 304 must
 * be the stored one's too; a weak one matches weakly; without any, our question named just this one, and servers that
 * leave ETag out of a 304 are common. An origin that drops the `W/` (a compressing proxy before it does) still means
 * the same response where Last-Modified agrees: asking for all of it each time would help nobody.
 */
export function isSelectedByNotModified(stored: FieldList, notModified: FieldList): boolean {
  const etag = etagOf(notModified);
  const modified = fieldValue(notModified, "last-modified");
  const sameDate = modified !== undefined && modified === fieldValue(stored, "last-modified");
  if (etag !== null) {
    const own = etagOf(stored);
    if (own === null || !weaklyEqual(own, etag)) return false;
    return etag.weak || stronglyEqual(own, etag) || sameDate;
  }
  return modified === undefined || sameDate;
}

/**
 * Whether a 200 to HEAD describes the stored response, and so freshens it; if not, the stored one is out of date. RFC
 * 9111 §4.3.5.
 */
export function headDescribes(
  stored: { readonly fields: FieldList; readonly bodyBytes: number },
  head: FieldList,
): boolean {
  for (const name of ["etag", "last-modified"]) {
    const value = fieldValue(head, name);
    if (value !== undefined && value !== fieldValue(stored.fields, name)) return false;
  }
  const length = fieldValue(head, "content-length");
  return length === undefined || Number(length) === stored.bodyBytes;
}
