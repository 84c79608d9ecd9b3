/** Responses that an origin has grouped, so that one unsafe request can invalidate them together. RFC 9875. */
import { parseList } from "structured-headers";
import { fieldValue, type FieldList } from "./fields.ts";
import { isSafe } from "./messages.ts";

/** Bounds beyond what RFC 9875 §2 asks caches to support (32 groups of 32 characters). */
const groupsMax = 64;
const groupCharactersMax = 128;

/** The groups of a response, empty where the field is absent or malformed. */
export function groupsOf(
  fields: FieldList,
  name: "cache-groups" | "cache-group-invalidation" = "cache-groups",
): readonly string[] {
  const value = fieldValue(fields, name);
  if (value === undefined) return [];
  try {
    const groups = parseList(value).map(([item]) => item);
    return groups
      .filter((group): group is string => typeof group === "string" && group.length <= groupCharactersMax)
      .slice(0, groupsMax);
  } catch {
    return []; // A malformed structured field is ignored whole (RFC 9651 §4.2): the parser's way to say so is to throw.
  }
}

/**
 * The groups to invalidate after a non-error answer to an unsafe request. RFC 9875 §3; RFC 9111 §4.4 for "non-error".
 */
export function invalidatedGroups(method: string, status: number, responseFields: FieldList): readonly string[] {
  if (isSafe(method) || status < 200 || status >= 400) return [];
  return groupsOf(responseFields, "cache-group-invalidation");
}
