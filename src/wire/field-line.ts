/** Characters of field names and values, checked one by one: the innermost loops of the parser. RFC 9110 §5.1, §5.5. */
import { ownCopy } from "../base/own-copy.ts";

/** 1: token character. 2: token character in upper case. */
const nameClass = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") nameClass[character.charCodeAt(0)] = 1;
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") nameClass[character.charCodeAt(0)] = 2;

/**
 * Names seen before, as sent, to their lower case: clients send the same few dozen. Bounded, since a stranger chooses
 * them.
 */
const known = new Map<string, string>();
const knownMax = 512;

/** A field name in lower case, or null where it is not a token. */
export function lowerName(raw: string): string | null {
  const name = known.get(raw);
  if (name !== undefined) return name;
  if (raw.length === 0) return null;
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code > 255 || nameClass[code] === 0) return null;
  }
  const lower = raw.toLowerCase();
  if (known.size < knownMax && raw.length <= 40) known.set(ownCopy(raw), ownCopy(lower));
  return lower;
}

/**
 * Whether text[start, end) holds only visible characters, blanks between them, and obs-text: no CR, LF, NUL or other
 * control.
 */
export function validValue(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 ? code !== 0x09 : code === 0x7f) return false;
  }
  return true;
}
