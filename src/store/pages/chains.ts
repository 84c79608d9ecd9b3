/** The records of each key, the newest first: the index leads to the newest, and each record to the next older one. */
import { KeyBytes } from "./key-bytes.ts";
import { KeyIndex, segmentUnits } from "./key-index.ts";
import type { PagePool } from "./page-pool.ts";
import type { Published } from "./published.ts";
import { word, type Records } from "./records.ts";

/** Upper bits of the hash that the index may use: the lower twelve are a place within a segment. */
export const depthMax = 20;

/** All chains of a store. */
export class Chains {
  readonly #records: Records;
  readonly #pool: PagePool;
  readonly #index: KeyIndex;
  readonly #key: KeyBytes;
  /** Memory for further segments of the index. */
  readonly #segments: number[] = [];

  /** Takes the pool's first page, so that nothing stored begins at location 0. */
  constructor(records: Records, pool: PagePool, seed: number, published: Published | null) {
    this.#records = records;
    this.#pool = pool;
    this.#key = new KeyBytes(seed);
    this.#takePage();
    this.#index = new KeyIndex(records.memory, depthMax, this.#segments.pop()!, published);
  }

  get indexBytes(): number {
    return this.#index.bytes;
  }

  /** The newest record of a key, or 0. */
  newest(key: string): number {
    const bytes = this.#key.set(key);
    let location = this.#index.seek(bytes.hash);
    while (location !== 0 && !this.#records.isUnder(location, bytes)) location = this.#index.next();
    return location;
  }

  /** The next older one of the same key, or 0. */
  older(location: number): number {
    return this.#records.word(location, word.older);
  }

  /** The key's bytes, with its hash: to be used before another key is asked for. */
  bytesOf(key: string): KeyBytes {
    return this.#key.set(key);
  }

  /**
   * Makes sure that one more key has a place in the index, for which others may have to go. @returns false where there
   * is none.
   */
  makeRoom(key: string): boolean {
    const { hash } = this.#key.set(key);
    while (this.#index.isFull(hash)) {
      if (this.#segments.length === 0) this.#takePage();
      const segment = this.#segments.pop();
      if (segment === undefined) break;
      // Taking a page may have emptied another, and with it the segment.
      if (this.#index.isFull(hash)) this.#index.split(hash, segment);
      else this.#segments.push(segment);
    }
    return !this.#index.isCrammed(hash);
  }

  /** The record is the newest of its key; `makeRoom` has been asked. */
  link(location: number, key: string): void {
    const newest = this.newest(key);
    this.#records.setWord(location, word.older, newest);
    if (newest === 0) this.#index.add(this.#records.word(location, word.hash), location);
    else this.#index.replace(location);
  }

  /** The same for one that may be older than some of them: `isNewer` says of which it is not. */
  insert(location: number, key: string, isNewer: (other: number) => boolean): void {
    let before = 0;
    for (let at = this.newest(key); at !== 0 && isNewer(at); at = this.older(at)) before = at;
    if (before === 0) return this.link(location, key);
    this.#records.setWord(location, word.older, this.older(before));
    this.#records.setWord(before, word.older, location);
  }

  unlink(location: number): void {
    const before = this.#seek(location);
    const older = this.older(location);
    if (before !== 0) this.#records.setWord(before, word.older, older);
    else if (older !== 0) this.#index.replace(older);
    else this.#index.remove();
  }

  /** A record lies at another location now. */
  moved(from: number, to: number): void {
    const before = this.#seek(from);
    if (before === 0) this.#index.replace(to);
    else this.#records.setWord(before, word.older, to);
  }

  clear(): void {
    this.#index.clear();
  }

  /** Finds a record's place: @returns the next newer record, or 0 where the index leads to it. */
  #seek(location: number): number {
    let newest = this.#index.seek(this.#records.word(location, word.hash));
    while (newest !== 0) {
      let before = 0;
      for (let at = newest; at !== 0; at = this.older(at)) {
        if (at === location) return before;
        before = at;
      }
      newest = this.#index.next();
    }
    throw new Error(`the record at ${location} is in no chain`);
  }

  #takePage(): void {
    const page = this.#pool.takeApart();
    if (page === -1) return;
    const { pageUnits } = this.#records.memory;
    const begin = this.#records.memory.begin(page);
    for (let at = pageUnits - segmentUnits; at > 0 || (at === 0 && begin > 0); at -= segmentUnits)
      this.#segments.push(begin + at);
  }
}
