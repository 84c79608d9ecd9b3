/** Which of the stored responses for one cache key a request selects. RFC 9111 §4.1. */
import { ownCopy } from "../base/own-copy.ts";
import { fieldLines, fieldValue, withoutFields, type FieldList } from "./fields.ts";
import { isToken, listElements, parameter } from "./grammar.ts";

/**
 * The field names of Vary in lower case, sorted and without repeats; "*" where any member is a star or cannot be read.
 */
export function varyNames(responseFields: FieldList): readonly string[] | "*" {
  const value = fieldValue(responseFields, "vary");
  if (value === undefined) return [];
  const nominated = new Set<string>();
  for (const element of listElements(value)) {
    if (element === "*" || !isToken(element)) return "*";
    nominated.add(element.toLowerCase());
  }
  return [...nominated].sort();
}

/** What a request says in the nominated fields, in one comparable string: equal strings select the same variant. */
export function variantOf(nominated: readonly string[], requestFields: FieldList): string {
  let variant = "";
  for (const name of nominated) {
    const value = selectingValue(name, requestFields);
    // Absent differs from empty: a field "matches if both are absent or …" (RFC 9111 §4.1).
    variant += value === null ? `${name}\n` : `${name}:${value}\n`;
  }
  return variant;
}

/** Whether a request selects a variant, as `variantOf` has written it: by what it says itself. */
export function selects(variant: string, requestFields: FieldList): boolean {
  return variant === "" || variantOf(namesIn(variant), requestFields) === variant;
}

/**
 * Whether variants, as `variantOf` has written them, are told apart by the same fields: then one excludes the other.
 */
export function areAlternatives(variant: string, other: string): boolean {
  if (variant === "" || other === "") return variant === other;
  const [own, others] = [namesIn(variant), namesIn(other)];
  return own.length === others.length && own.every((name, index) => name === others[index]);
}

const names = new Map<string, readonly string[]>();
const values = new Map<string, string>();
/** Most requests say the same few things: what those come to is kept, as long as they are short and few. */
const rememberedMax = 500;
const rememberedCharactersMax = 200;

/** The names that a variant was written with. */
function namesIn(variant: string): readonly string[] {
  const known = names.get(variant);
  if (known !== undefined) return known;
  const found = variant
    .slice(0, -1)
    .split("\n")
    .map((line) => line.split(":", 1)[0]!);
  remember(names, variant, found);
  return found;
}

/**
 * What long values come to, for a moment: a request is compared with each variant of its URI, and a stranger's list of
 * thousands of languages must be read once, not once for each.
 */
const lately = new Map<string, string>();
const latelyCharactersMax = 128 * 1024;
let latelyCharacters = 0;

function rememberLately(key: string, value: string): void {
  const characters = key.length + value.length;
  if (latelyCharacters + characters > latelyCharactersMax) {
    lately.clear();
    latelyCharacters = 0;
  }
  if (characters > latelyCharactersMax) return;
  lately.set(key, ownCopy(value));
  latelyCharacters += characters;
}

function remember<Value>(into: Map<string, Value>, key: string, value: Value): void {
  if (key.length > rememberedCharactersMax) return;
  if (into.size >= rememberedMax) into.clear();
  into.set(key, value);
}

function selectingValue(name: string, fields: FieldList): string | null {
  const lines = fieldLines(fields, name);
  if (lines.length === 0) return null;
  const text = lines.length === 1 ? lines[0]! : lines.join(",");
  const key = `${name}:${text}`;
  const isLong = key.length > rememberedCharactersMax;
  const known = (isLong ? lately : values).get(key);
  if (known !== undefined) return known;
  const value = normalised(name, listElements(text));
  if (isLong) rememberLately(key, value);
  else remember(values, key, ownCopy(value));
  return value;
}

function normalised(name: string, elements: readonly string[]): string {
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

/** The fields of a response that varies by these names as well. */
export function withVary(fields: FieldList, more: readonly string[]): string[] {
  const names = fieldLines(fields, "vary").flatMap((line) => listElements(line));
  const known = new Set(names.map((name) => name.toLowerCase()));
  const added = known.has("*") ? [] : more.filter((name) => !known.has(name.toLowerCase()));
  if (added.length === 0) return [...fields];
  return [...withoutFields(fields, varyAlone), "vary", [...names, ...added].join(", ")];
}

const varyAlone: ReadonlySet<string> = new Set(["vary"]);
