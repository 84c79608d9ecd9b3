/**
 * The lexical rules that every field shares: tokens, quoted strings, lists, digits. RFC 9110 §5.6. The only file that
 * splits lists or trims fields.
 */

const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Whether the text is a token. RFC 9110 §5.6.2. */
export function isToken(text: string): boolean {
  return tokenPattern.test(text);
}

/**
 * text[from, to) without the optional white space (space and tab only) around it: a byte such as A0, which JavaScript
 * takes for a blank, may be the end of a UTF-8 character. RFC 9110 §5.6.3.
 */
export function trimmed(text: string, from = 0, to: number = text.length): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/**
 * The elements of a list, trimmed, empty ones dropped; a separator inside a quoted string does not split. An unclosed
 * quote runs to the end, so what looks like an element inside it is never believed. RFC 9110 §5.6.1.
 */
export function listElements(text: string, separator: "," | ";" = ","): string[] {
  const elements: string[] = [];
  const mark = separator.charCodeAt(0);
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (quoted) {
      if (code === 0x5c) i++;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) {
      quoted = true;
    } else if (code === mark) {
      take(text.slice(start, i));
      start = i + 1;
    }
  }
  take(text.slice(start));
  return elements;

  function take(raw: string): void {
    const element = trimmed(raw);
    if (element !== "") elements.push(element);
  }
}

/** What lies between commas, trimmed, where a quote is a character like any other. */
export function betweenCommas(text: string): string[] {
  return text.split(",").map((piece) => trimmed(piece));
}

/** What a quoted string says, or null where the text is not exactly one. RFC 9110 §5.6.4. */
export function unquoted(text: string): string | null {
  if (text.length < 2 || text.charCodeAt(0) !== 0x22) return null;
  let value = "";
  for (let i = 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return i === text.length - 1 ? value : null;
    if (code === 0x5c) {
      i++;
      if (i >= text.length) return null;
    }
    value += text[i]!;
  }
  return null;
}

/**
 * `name=value` taken apart, the name in lower case and the value unquoted; a missing value is null. RFC 9110 §5.6.6.
 */
export function parameter(text: string): {
  readonly name: string;
  readonly value: string | null;
  readonly quoted: boolean;
} {
  const equals = text.indexOf("=");
  if (equals === -1) return { name: text.toLowerCase(), value: null, quoted: false };
  const raw = trimmed(text.slice(equals + 1));
  const inner = unquoted(raw);
  return { name: trimmed(text.slice(0, equals)).toLowerCase(), value: inner ?? raw, quoted: inner !== null };
}

/** The largest delta-seconds kept: RFC 9111 §1.2.2 asks for at least 2^31 where a value overflows. */
export const deltaSecondsMax: number = 2 ** 31;

/**
 * A non-negative whole number of seconds, overflow clamped; null for a sign, a fraction, blanks, or anything else. RFC
 * 9111 §1.2.2.
 */
export function deltaSeconds(text: string): number | null {
  if (!/^\d+$/.test(text)) return null;
  return Math.min(Number(text), deltaSecondsMax);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
