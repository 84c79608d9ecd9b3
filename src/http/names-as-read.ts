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
