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

/** The stored fields with those of the newer response in their place. Age is not kept: the freshened response is as young as its validation. */
export function freshenedFields(stored: FieldList, update: FieldList): string[] {
  const newer = withoutFields(endToEndFields(update), fixed);
  return [...withoutFields(stored, fieldNames(newer)), ...newer];
}

/**
 * Which of the stored responses that were asked about (the newest first) a 304 speaks of: with a strong validator those that
 * share it; with a weak one the newest that matches; with none, the only one that was asked about. RFC 9111 §4.3.4. The last
 * goes beyond its letter (which wants that one to lack a validator too): servers that leave ETag out of a 304 are common, and
 * our question named just one.
 */
export function selectedByNotModified<T extends { readonly fields: FieldList }>(
  asked: readonly T[],
  notModified: FieldList,
): T[] {
  const etag = etagOf(notModified);
  if (etag !== null) {
    const matching = asked.filter((stored) => {
      const own = etagOf(stored.fields);
      return own !== null && (etag.weak ? weaklyEqual(own, etag) : stronglyEqual(own, etag));
    });
    return etag.weak ? matching.slice(0, 1) : matching;
  }
  const modified = fieldValue(notModified, "last-modified");
  if (modified !== undefined)
    return asked.filter((stored) => fieldValue(stored.fields, "last-modified") === modified).slice(0, 1);
  return asked.length === 1 ? [...asked] : [];
}

/** Whether a 200 to HEAD describes the stored response, and so freshens it; if not, the stored one is out of date. RFC 9111 §4.3.5. */
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
