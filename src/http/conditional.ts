/** A client's conditions answered from a stored response. RFC 9110 §13, RFC 9111 §4.3.2. */
import { dateSeconds } from "./dates.ts";
import { fieldValue, hasField, type FieldList } from "./fields.ts";
import { entityTag, entityTagList, etagOf, stronglyEqual, weaklyEqual } from "./validators.ts";

/**
 * What a cache may evaluate itself, and what only the origin can: If-Match and If-Unmodified-Since go on to it (RFC
 * 9110 §13.1.1).
 */
export function mustAskOrigin(requestFields: FieldList): boolean {
  return hasField(requestFields, "if-match") || hasField(requestFields, "if-unmodified-since");
}

/**
 * Whether the stored response is what the client already has: If-None-Match by weak comparison; If-Modified-Since only
 * where there is no If-None-Match. Without Last-Modified, the date of the response stands in (RFC 9111 §4.3.2).
 */
export function isNotModified(
  requestFields: FieldList,
  stored: { readonly fields: FieldList; readonly dateSeconds: number },
  now: number,
): boolean {
  const noneMatch = fieldValue(requestFields, "if-none-match");
  if (noneMatch !== undefined) {
    const tags = entityTagList(noneMatch);
    if (tags === "*") return true;
    const etag = etagOf(stored.fields);
    return etag !== null && tags.some((tag) => weaklyEqual(tag, etag));
  }
  const since = fieldValue(requestFields, "if-modified-since");
  if (since === undefined) return false;
  const sinceSeconds = dateSeconds(since, now);
  if (sinceSeconds === null) return false;
  const modified = fieldValue(stored.fields, "last-modified");
  const modifiedSeconds = modified === undefined ? stored.dateSeconds : dateSeconds(modified, now);
  return modifiedSeconds !== null && modifiedSeconds <= sinceSeconds;
}

/** Whether a Range may be honoured: there is no If-Range, or it names exactly the stored response. RFC 9110 §13.1.5. */
export function rangeApplies(
  requestFields: FieldList,
  storedFields: FieldList,
  storedDate: number,
  now: number,
): boolean {
  const condition = fieldValue(requestFields, "if-range");
  if (condition === undefined) return true;
  const tag = entityTag(condition);
  if (tag !== null) {
    const etag = etagOf(storedFields);
    return etag !== null && stronglyEqual(tag, etag);
  }
  const modified = fieldValue(storedFields, "last-modified");
  if (modified === undefined || modified !== condition) return false;
  const seconds = dateSeconds(modified, now);
  // §8.8.2.2: a date is a strong validator only when it lies at least a second before the response's own.
  return seconds !== null && storedDate - seconds >= 1;
}

const notModifiedFields = ["cache-control", "content-location", "date", "etag", "expires", "last-modified", "vary"];

/**
 * The fields of a 304 made from a stored response. RFC 9110 §15.4.5; targeted cache fields travel like Cache-Control.
 */
export function notModifiedHead(storedFields: FieldList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < storedFields.length; i += 2) {
    const name = storedFields[i]!;
    if (notModifiedFields.includes(name) || name.endsWith("-cache-control")) kept.push(name, storedFields[i + 1]!);
  }
  return kept;
}

/** The conditions that ask the origin whether this stored response is still right. RFC 9111 §4.3.1. */
export function validationFields(storedFields: FieldList): string[] {
  const conditions: string[] = [];
  const etag = fieldValue(storedFields, "etag");
  if (etag !== undefined) conditions.push("if-none-match", etag);
  const modified = fieldValue(storedFields, "last-modified");
  if (modified !== undefined) conditions.push("if-modified-since", modified);
  return conditions;
}
