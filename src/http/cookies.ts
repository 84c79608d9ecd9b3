/** Which cookies a request sends, for whoever says that those are of one user. */
import { fieldLines, type FieldList } from "./fields.ts";
import { trimmed } from "./grammar.ts";
import { isReadAs, mayBeRead } from "./names-as-read.ts";

/**
 * Whether a request sends a cookie of one of these names, or what some origin may read as one. RFC 6265 §4.2; there are
 * those to whom a comma separates cookies too.
 */
export function sendsCookieOf(fields: FieldList, names: readonly string[]): boolean {
  if (names.length === 0) return false;
  const isOne = isReadAs(names);
  for (const line of fieldLines(fields, "cookie"))
    for (const pair of line.split(/[;,]/)) {
      const name = trimmed(pair.split("=", 1)[0]!);
      if (name !== "" && mayBeRead(name, isOne)) return true;
    }
  return false;
}
