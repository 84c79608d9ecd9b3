/** What a member says of its part in an answer. */

const ownLine = "cache-status: ";

/** The first entry of its Cache-Status, which stands behind an origin's own; null where there is none. RFC 9211 §2. */
export function ownPartOf(block: Buffer): string | null {
  const at = block.lastIndexOf(ownLine);
  if (at === -1 || (at > 0 && block[at - 1] !== 0x0a)) return null;
  const begin = at + ownLine.length;
  // Up to the next entry; what stands in quotes may have anything in it.
  return /^(?:[^,\r"]|"(?:[^"\\\r]|\\.)*")+/.exec(block.toString("latin1", begin, begin + 400))?.[0] ?? null;
}
