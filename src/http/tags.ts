/**
 * Names that an origin gives to responses so that they can be invalidated together: Cache-Groups (RFC 9875), and the
 * fields that caches and content networks have used before it. One name is one tag, whichever field it came in.
 *
 *   cache-groups                a list of quoted strings: "news", "front page"
 *   cache-tag                   with commas: news, front page
 *   surrogate-key               with spaces: news front-page
 *   xkey                        with commas or spaces, on several lines
 */
import { parseList } from "structured-headers";
import { fieldLines, fieldValue, hasField, type FieldList } from "./fields.ts";
import { betweenCommas, trimmed } from "./grammar.ts";
import { isSafe } from "./messages.ts";

/** Fields that carry tags. */
export const tagFields = ["cache-groups", "cache-tag", "surrogate-key", "xkey"] as const;
export type TagField = (typeof tagFields)[number];

/** Bounds beyond what RFC 9875 §2 asks caches to support (32 groups of 32 characters). */
const tagsMax = 1000;
export const tagCharactersMax = 256;
const tagsCharactersMax = 16 * 1024;

/**
 * Stands for all the tags of a response that are beyond the bounds: whatever is invalidated by tag may be among them.
 */
export const beyondTags = "\0";

const noTags: readonly string[] = [];

/** The tags of a response in these fields, each once. */
export function tagsOf(fields: FieldList, from: readonly TagField[] = tagFields): readonly string[] {
  if (!from.some((name) => hasField(fields, name))) return noTags;
  const tags = new Set<string>();
  let characters = 0;
  for (const name of from) {
    for (const tag of tagsIn(name, fields)) {
      if (tag === "" || tags.has(tag)) continue;
      if (tags.size === tagsMax || characters + tag.length > tagsCharactersMax || tag.length > tagCharactersMax)
        return [...tags, beyondTags];
      tags.add(tag);
      characters += tag.length;
    }
  }
  return [...tags];
}

/** Tags as they stand in one of the fields. */
export function tagsIn(name: string, fields: FieldList): readonly string[] {
  if (name === "cache-groups" || name === "cache-group-invalidation") return stringsIn(fieldValue(fields, name));
  const lines = fieldLines(fields, name);
  if (name === "cache-tag" || name === "cache-tags") return lines.flatMap((line) => betweenCommas(line));
  return lines.flatMap((line) => trimmed(line).split(name === "surrogate-key" ? /[ \t]+/ : /[ \t,]+/));
}

/**
 * The groups to invalidate after a non-error answer to an unsafe request. RFC 9875 §3; RFC 9111 §4.4 for "non-error".
 */
export function invalidatedGroups(method: string, status: number, responseFields: FieldList): readonly string[] {
  if (isSafe(method) || status < 200 || status >= 400) return [];
  return tagsIn("cache-group-invalidation", responseFields)
    .filter((group) => group !== "" && group.length <= tagCharactersMax)
    .slice(0, tagsMax);
}

function stringsIn(value: string | undefined): readonly string[] {
  if (value === undefined) return [];
  try {
    return parseList(value)
      .map(([item]) => item)
      .filter((item): item is string => typeof item === "string");
  } catch {
    return []; // A malformed structured field is ignored whole (RFC 9651 §4.2): the parser's way to say so is to throw.
  }
}
