/**
 * Names in requests (of query parameters, of cookies) as whoever reads them may understand them. Where a name decides
 * what is stored for whom, what only may be it has to count as it.
 */

/** Whether some origin may read what stands before an equals sign as a name that `isOne` knows, in `nameAsAnyReads`. */
export function mayBeRead(raw: string, isOne: (name: string) => boolean): boolean {
  try {
    const name = decodeURIComponent(raw.replaceAll("+", " "));
    // `a[]` and `a[b]` are more of `a`.
    return isOne(nameAsAnyReads(name)) || isOne(nameAsAnyReads(name.split("[", 1)[0]!));
  } catch {
    return true;
  }
}

/**
 * A name in the one form of all that origins take for the same: ASP.NET knows no case, PHP leaves blanks around it out,
 * ends it at NUL, and makes underscores of blanks, dots and brackets.
 */
export function nameAsAnyReads(name: string): string {
  return name
    .split("\0", 1)[0]!
    .replace(/^ +| +$/g, "")
    .replace(/[ .[]/g, "_")
    .toLowerCase();
}

/** Names as they are configured; one that ends in `*` stands for all that begin so. */
export type Names = readonly string[] | ReadonlySet<string>;

type IsOne = (name: string) => boolean;
const asAnyReads = new WeakMap<Names, IsOne>();
const asTheyStand = new WeakMap<Names, IsOne>();

/** Whether a name, in `nameAsAnyReads`, is one of these: worked out once of a configuration's. */
export function isReadAs(names: Names): IsOne {
  return remembered(asAnyReads, names, nameAsAnyReads);
}

/** Whether a name is one of these to whoever reads it: as it stands, and so beginning as it stands. */
export function isSurely(names: Names): IsOne {
  return remembered(asTheyStand, names, (name) => name);
}

function remembered(known: WeakMap<Names, IsOne>, names: Names, form: (name: string) => string): IsOne {
  let isOne = known.get(names);
  if (isOne === undefined) {
    const whole = new Set([...names].filter((name) => !name.endsWith("*")).map(form));
    const begun = [...names].filter((name) => name.endsWith("*")).map((name) => form(name.slice(0, -1)));
    known.set(names, (isOne = (name) => whole.has(name) || begun.some((beginning) => name.startsWith(beginning))));
  }
  return isOne;
}
