/**
 * What to write, where a setting is of another kind than it has to be: the words of those rules that have none of their
 * own. The schema library says what it expected, in its own terms.
 */
import type { z } from "zod";

/** A sentence that says what to write, or undefined where the rule's own words stand. */
export function wording(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return wrongKind(issue.expected, issue.input);
    case "too_small": {
      const { origin, minimum, inclusive } = issue;
      if (origin === "string") return "write something, or leave it out";
      if (origin === "array") return "name at least one";
      return `write a number ${inclusive === false ? "above" : "from"} ${String(minimum)}${inclusive === false ? "" : " up"}`;
    }
    case "too_big":
      return issue.origin === "string"
        ? `it has ${String(issue.maximum)} characters at most`
        : `write a number up to ${String(issue.maximum)}`;
    case "invalid_value":
      return `write ${issue.values
        .map(String)
        .join(", ")
        .replace(/, ([^,]*)$/, " or $1")}`;
    case "invalid_format":
      if (issue.format === "starts_with") return `it begins with ${String(issue["prefix"])}`;
      return issue.format === "email" ? "write a mail address" : undefined;
    default:
      return undefined;
  }
}

/** A value that none of several forms takes: which kinds there are. */
export function kindsOf(forms: readonly (readonly z.core.$ZodIssue[])[]): string | null {
  const kinds = forms.flat().flatMap((issue) => {
    if (issue.code === "invalid_type") return [kind(issue.expected)];
    return issue.code === "invalid_value" ? issue.values.map(String) : [];
  });
  return kinds.length === 0 ? null : `write ${[...new Set(kinds)].join(", or ")}`;
}

function wrongKind(expected: string, input: unknown): string {
  if (input === undefined) return `it is missing: write ${kind(expected)}`;
  const isScalar = typeof input === "number" || typeof input === "boolean";
  return expected === "string" && isScalar
    ? `write text: in quotes, as in "${String(input)}", it is some`
    : `write ${kind(expected)}`;
}

function kind(expected: string): string {
  switch (expected) {
    case "string":
      return "text";
    case "int":
      return "a whole number";
    case "number":
      return "a number";
    case "boolean":
      return "true or false";
    case "array":
      return "a list, as in [one, another]";
    case "object":
    case "record":
      return "a map of settings, as in { name: value }";
    default:
      return expected;
  }
}
