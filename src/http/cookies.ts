/** Which cookies a request sends, for whoever says that those are of one user. */
import { fieldLines, type FieldList } from "./fields.ts";
import { trimmed } from "./grammar.ts";
import { mayBeRead, nameAsAnyReads } from "./names-as-read.ts";

/** Names of cookies; one that ends in `*` stands for all that begin so. */
export type CookieNames = readonly string[];

/**
 * Whether a request sends a cookie of one of these names, or what some origin may read as one. RFC 6265 §4.2; there are
 * those to whom a comma separates cookies too.
 */
export function sendsCookieOf(fields: FieldList, names: CookieNames): boolean {
  if (names.length === 0) return false;
  for (const line of fieldLines(fields, "cookie"))
    for (const pair of line.split(/[;,]/)) {
      const name = trimmed(pair.split("=", 1)[0]!);
      if (name !== "" && mayBeRead(name, isOneOf(names))) return true;
    }
  return false;
}

const known = new WeakMap<CookieNames, (name: string) => boolean>();

/** Worked out once of a configuration's names. */
function isOneOf(names: CookieNames): (name: string) => boolean {
  let isOne = known.get(names);
  if (isOne === undefined) {
    const whole = new Set(names.filter((name) => !name.endsWith("*")).map(nameAsAnyReads));
    const begun = names.filter((name) => name.endsWith("*")).map((name) => nameAsAnyReads(name.slice(0, -1)));
    known.set(names, (isOne = (name) => whole.has(name) || begun.some((beginning) => name.startsWith(beginning))));
  }
  return isOne;
}
