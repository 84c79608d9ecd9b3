/** Fields of a request that somebody tells of, a line each. */
import type { FieldList } from "../http/fields.ts";
import { trimmed } from "../http/grammar.ts";

const linesMax = 100;
const line = /^([\w!#$%&'*+.^`|~-]+):(.*)$/;

/** Names and values in turn; or the first line that is none. */
export function toldFields(lines: unknown): { readonly fields: FieldList } | { readonly wrong: string } {
  const fields: string[] = [];
  for (const text of Array.isArray(lines) ? lines.slice(0, linesMax) : []) {
    const [, name, value] = line.exec(String(text)) ?? [];
    if (name === undefined) return { wrong: `"${String(text)}" is no field: write "Name: value"` };
    fields.push(name.toLowerCase(), trimmed(value!));
  }
  return { fields };
}
