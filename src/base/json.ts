/** JSON from elsewhere: what cannot be read is nothing, and for the caller to judge. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null; // The only way JSON.parse has to say "not JSON".
  }
}
