/**
 * Cache-Control of requests and responses, and the targeted fields that stand in for it. RFC 9111 §5.2, RFC 9213.
 * A directive's name maps to its argument, or to null where it has none; the first of several wins (RFC 9111 §4.2.1).
 */
import { ownCopy } from "../base/own-copy.ts";
import { parseDictionary } from "structured-headers";
import { fieldValue, hasField, type FieldList } from "./fields.ts";
import { deltaSeconds, deltaSecondsMax, isToken, listElements, parameter } from "./grammar.ts";

export type Directives = ReadonlyMap<string, string | null>;

/**
 * A response's cache directives with the field they were read from; Expires counts only beside Cache-Control. RFC 9213
 * §2.2.
 */
export interface ResponseDirectives {
  readonly directives: Directives;
  readonly source: "cache-control" | "cdn-cache-control" | "gyre-cache-control";
}

const none: Directives = new Map();

/** Directives that make a cache keep or use less: they count even inside an element that is none. */
const restrictive: readonly string[] = ["no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate"];

/**
 * The directives of a Cache-Control field value. Never throws. What is no directive is passed over, but for the
 * restrictive words in it: `private; max-age=100` was meant to keep a response from others, and sharing it is the one
 * mistake that cannot be undone.
 */
export function directivesOf(value: string | undefined): Directives {
  if (value === undefined) return none;
  const known = read.get(value);
  if (known !== undefined) return known;
  if (value.length > readCharactersMax) return readDirectives(value);
  if (read.size === readMax) read.clear();
  const own = ownCopy(value);
  // What is no latin1 was not copied as it is.
  if (own !== value) return readDirectives(value);
  const directives = readDirectives(own);
  read.set(own, directives);
  return directives;
}

/** Values read before: origins and clients say the same few. Bounded, since a stranger chooses them. */
const read = new Map<string, Directives>();
const readMax = 256;
const readCharactersMax = 256;

function readDirectives(value: string): Directives {
  const directives = new Map<string, string | null>();
  for (const element of listElements(value)) {
    const { name, value: argument, quoted } = parameter(element);
    if (isToken(name) && !directives.has(name)) directives.set(name, argument);
    if (!isToken(name) || (argument !== null && !quoted && !isToken(argument))) {
      for (const word of restrictiveWords(element)) if (!directives.has(word)) directives.set(word, null);
    }
  }
  return directives;
}

function restrictiveWords(text: string): string[] {
  const words: readonly string[] = text.toLowerCase().match(/[a-z-]+/g) ?? [];
  return restrictive.filter((word) => words.includes(word));
}

/** A request's directives; `Pragma: no-cache` counts where Cache-Control is absent. RFC 9111 §5.4. */
export function requestDirectives(fields: FieldList): Directives {
  const value = fieldValue(fields, "cache-control");
  if (value === undefined && hasField(fields, "pragma")) {
    const pragma = listElements(fieldValue(fields, "pragma")!);
    if (pragma.some((element) => element.toLowerCase() === "no-cache")) return new Map([["no-cache", null]]);
  }
  return directivesOf(value);
}

const targetedFields = ["gyre-cache-control", "cdn-cache-control"] as const;

/**
 * The response directives that govern this cache: the first targeted field that parses and is not empty, else
 * Cache-Control. RFC 9213 §2.2.
 */
export function responseDirectives(fields: FieldList): ResponseDirectives {
  for (const name of targetedFields) {
    const value = fieldValue(fields, name);
    const directives = value === undefined ? null : targetedDirectives(value);
    if (directives !== null) return { directives, source: name };
  }
  return { directives: directivesOf(fieldValue(fields, "cache-control")), source: "cache-control" };
}

const secondsDirectives: ReadonlySet<string> = new Set([
  "max-age",
  "s-maxage",
  "stale-while-revalidate",
  "stale-if-error",
]);

/**
 * A targeted field as a structured dictionary; null where it is empty or malformed, and so has no say. A lifetime of
 * the wrong type is not consumed (§2.1), and as invalid freshness information makes the response stale (RFC 9111
 * §4.2.1).
 */
function targetedDirectives(value: string): Directives | null {
  let dictionary: ReturnType<typeof parseDictionary>;
  try {
    dictionary = parseDictionary(value);
  } catch {
    return null; // A malformed structured field is ignored whole (RFC 9651 §4.2): the parser's way to say so is to throw.
  }
  if (dictionary.size === 0) return null;
  const directives = new Map<string, string | null>();
  for (const [name, [item]] of dictionary) {
    if (secondsDirectives.has(name)) {
      const valid = typeof item === "number" && Number.isInteger(item) && item >= 0;
      directives.set(name, valid ? String(Math.min(item, deltaSecondsMax)) : null);
    } else if (item === true) {
      directives.set(name, null);
    } else if (typeof item === "string") {
      directives.set(name, item);
    } else if (item !== false) {
      directives.set(name, String(item));
    }
  }
  return directives;
}

/**
 * Seconds of a directive: undefined where it is absent, null where its argument is not delta-seconds. Quoted digits
 * count: RFC 9111 §5.2 asks recipients to accept both forms.
 */
export function directiveSeconds(directives: Directives, name: string): number | null | undefined {
  const argument = directives.get(name);
  if (argument === undefined) return undefined;
  return argument === null ? null : deltaSeconds(argument);
}

/**
 * Field names listed by `no-cache="…"` or `private="…"`, or null for the unqualified form or an absent directive. RFC
 * 9111 §5.2.2.4.
 */
export function qualifiedNames(directives: Directives, name: "no-cache" | "private"): readonly string[] | null {
  const argument = directives.get(name);
  if (argument === undefined || argument === null) return null;
  const names = listElements(argument).map((element) => element.toLowerCase());
  return names.length > 0 && names.every(isToken) ? names : null;
}

/**
 * Whether a directive is present in its unqualified form (a field-name list that cannot be read counts as unqualified).
 */
export function isUnqualified(directives: Directives, name: "no-cache" | "private"): boolean {
  return directives.has(name) && qualifiedNames(directives, name) === null;
}
