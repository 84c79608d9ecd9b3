/**
 * Stops the process on a bug: what a client, an origin or a peer may cause is never asserted, but returned or refused.
 */
export function assert(condition: unknown, meaning: string): asserts condition {
  if (!condition) throw new Error(`bug: ${meaning}`);
}
