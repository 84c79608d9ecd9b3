/** Which of the stored responses for one cache key a request selects. RFC 9111 §4.1. */
import { fieldLines, fieldValue, type FieldList } from "./fields.ts";
import { isToken, listElements, parameter } from "./grammar.ts";

/**
 * The field names of Vary in lower case, sorted and without repeats; "*" where any member is a star or cannot be read.
 */
export function varyNames(responseFields: FieldList): readonly string[] | "*" {
  const value = fieldValue(responseFields, "vary");
  if (value === undefined) return [];
  const names = new Set<string>();
  for (const element of listElements(value)) {
    if (element === "*" || !isToken(element)) return "*";
    names.add(element.toLowerCase());
  }
  return [...names].sort();
}

/** What a request says in the nominated fields, in one comparable string: equal strings select the same variant. */
export function variantOf(names: readonly string[], requestFields: FieldList): string {
  let variant = "";
  for (const name of names) {
    const value = selectingValue(name, requestFields);
    // Absent differs from empty: a field "matches if both are absent or …" (RFC 9111 §4.1).
    variant += value === null ? `${name}\n` : `${name}:${value}\n`;
  }
  return variant;
}

function selectingValue(name: string, fields: FieldList): string | null {
  const lines = fieldLines(fields, name);
  if (lines.length === 0) return null;
  const elements = listElements(lines.join(","));
  if (name === "accept-encoding") return preferences(elements, normaliseCoding);
  if (name === "accept-language") return preferences(elements, (language) => language);
  return elements.join(",");
}

/**
 * Preferences in the order of their weight, and of their names where that is equal: their order in the field means
 * nothing. RFC 9110 §12.4.2, §12.5.4.
 */
function preferences(elements: readonly string[], normalise: (value: string) => string): string {
  const weighted = elements.map((element) => {
    const [value, ...parameters] = listElements(element, ";");
    const weight = parameters.map((text) => parameter(text)).find(({ name }) => name === "q")?.value;
    const q = weight === undefined || weight === null ? 1 : Number(weight);
    return { value: normalise((value ?? "").toLowerCase()), q: Number.isFinite(q) ? q : 1 };
  });
  weighted.sort((a, b) => b.q - a.q || (a.value < b.value ? -1 : a.value > b.value ? 1 : 0));
  return weighted.map(({ value, q }) => (q === 1 ? value : `${value};q=${q}`)).join(",");
}

/** RFC 9110 §8.4.1.3: x-gzip is gzip; §8.4.1.1: x-compress is compress. */
function normaliseCoding(coding: string): string {
  return coding === "x-gzip" ? "gzip" : coding === "x-compress" ? "compress" : coding;
}
