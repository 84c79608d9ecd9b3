/**
 * A cache key as the bytes that records hold, with its hash: HalfSipHash-1-3 (Aumasson and Bernstein, INDOCRYPT 2012)
 * over whole words, the last padded with zeros. Keys are latin1 text, one byte a character, since they are made of what
 * clients have sent. It was murmur3, which has pairs of eight bytes that collide whatever its seed is: 3,900 keys made
 * of such pairs (in a field of `key-fields`, which may hold any byte) stopped a thread for 0.4 s, and each search then
 * cost forty times as much.
 */

/** One key at a time: what is read of it holds until the next is set. */
export class KeyBytes {
  readonly #first: number;
  readonly #second: number;
  #buffer = Buffer.alloc(1024);
  words = new Uint32Array(this.#buffer.buffer, 0, 256);
  /** Bytes of the key, and words that hold them. */
  bytes = 0;
  wordCount = 0;
  /** Unsigned. */
  hash = 0;

  /** `seed`, a whole number below 2 ** 53, is secret: who knows it can choose keys of one hash. */
  constructor(seed: number) {
    this.#first = seed | 0;
    this.#second = Math.floor(seed / 2 ** 32) | 0;
  }

  set(key: string): this {
    const bytes = key.length;
    const wordCount = (bytes + 3) >>> 2;
    if (wordCount > this.words.length) {
      this.#buffer = Buffer.alloc(wordCount * 8);
      this.words = new Uint32Array(this.#buffer.buffer, 0, wordCount * 2);
    }
    if (wordCount > 0) this.words[wordCount - 1] = 0;
    this.#buffer.write(key, 0, bytes, "latin1");
    this.bytes = bytes;
    this.wordCount = wordCount;
    this.hash = this.#hashOf(wordCount, bytes);
    return this;
  }

  /** The four words of state are plain numbers, and a round stands here once: that is what makes it quick. */
  #hashOf(wordCount: number, bytes: number): number {
    const { words } = this;
    let a = this.#first;
    let b = this.#second;
    let c = a ^ 0x6c796765;
    let d = b ^ 0x74656462;
    // The words, the length, and three rounds more.
    const rounds = wordCount + 4;
    for (let round = 0; round < rounds; round++) {
      const block = round < wordCount ? words[round]! | 0 : round === wordCount ? bytes : 0;
      d ^= block;
      a = (a + b) | 0;
      b = ((b << 5) | (b >>> 27)) ^ a;
      a = (a << 16) | (a >>> 16);
      c = (c + d) | 0;
      d = ((d << 8) | (d >>> 24)) ^ c;
      a = (a + d) | 0;
      d = ((d << 7) | (d >>> 25)) ^ a;
      c = (c + b) | 0;
      b = ((b << 13) | (b >>> 19)) ^ c;
      c = (c << 16) | (c >>> 16);
      a ^= block;
      if (round === wordCount) c ^= 0xff;
    }
    return (b ^ d) >>> 0;
  }
}
