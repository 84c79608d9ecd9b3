/** Entity tags and modification dates: comparing them, asking with them. RFC 9110 §8.8, §13. */
import { fieldValue, type FieldList } from "./fields.ts";
import { trimmed } from "./grammar.ts";

export interface EntityTag {
  readonly weak: boolean;
  /** The opaque tag with its quotes, as it is compared. */
  readonly opaque: string;
}

/** An entity tag, or null where the text is none. RFC 9110 §8.8.3. */
export function entityTag(text: string): EntityTag | null {
  const match = /^(W\/)?("[\x21\x23-\x7e\x80-\xff]*")$/.exec(trimmed(text));
  return match === null ? null : { weak: match[1] !== undefined, opaque: match[2]! };
}

/**
 * The members of an If-None-Match or If-Match list, or "*". A comma inside a tag does not split it. Malformed members
 * are passed over.
 */
export function entityTagList(value: string): readonly EntityTag[] | "*" {
  if (trimmed(value) === "*") return "*";
  const tags: EntityTag[] = [];
  const pattern = /(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g;
  for (const match of value.matchAll(pattern)) tags.push({ weak: match[1] !== undefined, opaque: match[2]! });
  return tags;
}

/** Same opaque tag, weak or not: enough for a conditional GET. RFC 9110 §8.8.3.2. */
export function weaklyEqual(one: EntityTag, other: EntityTag): boolean {
  return one.opaque === other.opaque;
}

/** Same opaque tag and neither weak: needed where bytes are combined. RFC 9110 §8.8.3.2. */
export function stronglyEqual(one: EntityTag, other: EntityTag): boolean {
  return !one.weak && !other.weak && one.opaque === other.opaque;
}

/** A response's entity tag, or null. */
export function etagOf(fields: FieldList): EntityTag | null {
  const value = fieldValue(fields, "etag");
  return value === undefined ? null : entityTag(value);
}

/** Whether the response can be validated at all. */
export function hasValidator(fields: FieldList): boolean {
  return fieldValue(fields, "etag") !== undefined || fieldValue(fields, "last-modified") !== undefined;
}
