/** MurmurHash3, x86, 32 bits: Austin Appleby's public-domain hash, by its published reference. */

const c1 = 0xcc9e2d51;
const c2 = 0x1b873593;

/**
 * Hash of the characters' low bytes; keys and member names are ASCII, for which this equals the hash of their UTF-8
 * bytes. Unsigned.
 */
export function murmur3(text: string, seed = 0): number {
  let hash = seed | 0;
  const length = text.length;
  const blocksEnd = length & ~3;
  for (let i = 0; i < blocksEnd; i += 4) {
    let block =
      (text.charCodeAt(i) & 0xff) |
      ((text.charCodeAt(i + 1) & 0xff) << 8) |
      ((text.charCodeAt(i + 2) & 0xff) << 16) |
      (text.charCodeAt(i + 3) << 24);
    block = Math.imul(block, c1);
    block = (block << 15) | (block >>> 17);
    hash ^= Math.imul(block, c2);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  const rest = length & 3;
  if (rest > 0) {
    let block = text.charCodeAt(blocksEnd) & 0xff;
    if (rest > 1) block |= (text.charCodeAt(blocksEnd + 1) & 0xff) << 8;
    if (rest > 2) block |= (text.charCodeAt(blocksEnd + 2) & 0xff) << 16;
    block = Math.imul(block, c1);
    block = (block << 15) | (block >>> 17);
    hash ^= Math.imul(block, c2);
  }
  return mixed(hash ^ length);
}

/** The final avalanche, also a good way to spread a counter. Unsigned. */
export function mixed(hash: number): number {
  let h = hash;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}
