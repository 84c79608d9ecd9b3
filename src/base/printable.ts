/**
 * Text that strangers may have had a part in, for a terminal: a field's value, an origin's reason, the name that
 * somebody gave at the peer port. Terminals act on control characters, those of eight bits too (C1: U+009B is ESC [).
 */

/** All but line feeds, tabs, and what sets a style. */
const controls = /\x1b(?!\[[\d;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]/g;

/** The text with its control characters as JSON would escape them: within JSON it says what it said. */
export function printable(text: string): string {
  return text.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
