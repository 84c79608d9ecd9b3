/**
 * A cache key as the bytes that records hold, with its hash: murmur3 over whole words, the last padded with zeros. Keys
 * are latin1 text, one byte a character, since they are made of what clients have sent.
 */
import { mixed } from "../../ring/murmur3.ts";

const c1 = 0xcc9e2d51;
const c2 = 0x1b873593;

/** One key at a time: what is read of it holds until the next is set. */
export class KeyBytes {
  readonly #seed: number;
  #buffer = Buffer.alloc(1024);
  words = new Uint32Array(this.#buffer.buffer, 0, 256);
  /** Bytes of the key, and words that hold them. */
  bytes = 0;
  wordCount = 0;
  /** Unsigned. */
  hash = 0;

  /** `seed` is secret: who knows it can choose keys of one hash. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  set(key: string): this {
    const bytes = key.length;
    const wordCount = (bytes + 3) >>> 2;
    if (wordCount > this.words.length) {
      this.#buffer = Buffer.alloc(wordCount * 8);
      this.words = new Uint32Array(this.#buffer.buffer, 0, wordCount * 2);
    }
    const { words } = this;
    if (wordCount > 0) words[wordCount - 1] = 0;
    this.#buffer.write(key, 0, bytes, "latin1");
    let hash = this.#seed;
    for (let index = 0; index < wordCount; index++) {
      let block = Math.imul(words[index]!, c1);
      block = (block << 15) | (block >>> 17);
      hash ^= Math.imul(block, c2);
      hash = (hash << 13) | (hash >>> 19);
      hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
    }
    this.bytes = bytes;
    this.wordCount = wordCount;
    this.hash = mixed(hash ^ bytes);
    return this;
  }
}
