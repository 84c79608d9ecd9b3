/**
 * What threads that only read a store must know beside its pages, in memory that they share with the one that writes:
 * where the index lies, up to which invalidation all has been heard, and who is reading just now.
 *
 *   read     enter → look in the index → compare the key → copy out → leave; never across a turn of the loop
 *   publish  write the record, then its place in the index
 *   retire   take its records out of the index, then `retire()`: a stamp
 *   reuse    a page's memory only when whoever was reading at its stamp has left since
 *
 * An index that is being changed may hide an entry for a moment: a false miss, which goes to the thread that writes.
 * It never shows what is not stored: a place in it always leads to a record, and the record's key decides.
 */

const epochWord = 0;
const heardWord = 1;
const depthWord = 2;
const broadWord = 3;
/** Words before the readers' own, and of each: a cache line, so that they do not slow each other down. */
const headWords = 16;
const readerWords = 16;
/** An epoch of a reader that is outside. */
const outside = 0;

/** Shared words of a store. */
export class Published {
  readonly memory: SharedArrayBuffer;
  readonly readers: number;
  readonly #words: Int32Array;
  /**
   * The directory of the index at every depth it has had: that of depth d is 2 ** d locations of segments, from 2 ** d
   * on. Whoever still reads an old one finds less.
   */
  readonly #directory: Uint32Array;

  constructor(memory: SharedArrayBuffer, readers: number) {
    this.memory = memory;
    this.readers = readers;
    const directoryAt = (headWords + readers * readerWords) * 4;
    this.#words = new Int32Array(memory, 0, directoryAt / 4);
    this.#directory = new Uint32Array(memory, directoryAt);
  }

  /** For an index whose directory grows to 2 ** depthMax places. The system gives it memory as it is touched. */
  static for(readers: number, depthMax: number): Published {
    const bytes = (headWords + readers * readerWords + 2 ** (depthMax + 1)) * 4;
    const published = new Published(new SharedArrayBuffer(bytes), readers);
    Atomics.store(published.#words, epochWord, 1);
    return published;
  }

  // ---- who writes -------------------------------------------------------------------------------------------------

  /** All invalidations up to `position` have been heard; the last that concerns more than names is `broad`. */
  hear(position: number, broad: number): void {
    Atomics.store(this.#words, broadWord, broad | 0);
    Atomics.store(this.#words, heardWord, position | 0);
  }

  /** One place of the directory at a depth. */
  place(depth: number, at: number, location: number): void {
    Atomics.store(this.#directory, 2 ** depth + at, location);
  }

  /** The directory in use from now on; all of its places have been given. */
  set depth(depth: number) {
    Atomics.store(this.#words, depthWord, depth);
  }

  /** What has just been taken out of the index may be read by whoever is inside: @returns the stamp to wait for. */
  retire(): number {
    const epoch = (Atomics.add(this.#words, epochWord, 1) + 1) | 0;
    return epoch === outside ? this.retire() : epoch;
  }

  /** Whether nobody reads any more what was retired then. */
  hasPassed(stamp: number): boolean {
    for (let reader = 0; reader < this.readers; reader++) {
      const entered = Atomics.load(this.#words, headWords + reader * readerWords);
      if (entered !== outside && ((entered - stamp) | 0) < 0) return false;
    }
    return true;
  }

  // ---- who reads --------------------------------------------------------------------------------------------------

  enter(reader: number): void {
    const epoch = Atomics.load(this.#words, epochWord);
    Atomics.store(this.#words, headWords + reader * readerWords, epoch === outside ? 1 : epoch);
  }

  leave(reader: number): void {
    Atomics.store(this.#words, headWords + reader * readerWords, outside);
  }

  /**
   * Whether nothing can have been heard against a record since it was looked at last; `isNamed`: what is invalidated by
   * name has to be looked up for it.
   */
  isClear(since: number, isNamed: boolean): boolean {
    const heard = Atomics.load(this.#words, heardWord);
    return (since | 0) === heard || (!isNamed && (((since | 0) - Atomics.load(this.#words, broadWord)) | 0) >= 0);
  }

  /** Where the segment lies that entries of a hash are in. */
  segment(hash: number): number {
    const depth = Atomics.load(this.#words, depthWord);
    return Atomics.load(this.#directory, 2 ** depth + (depth === 0 ? 0 : hash >>> (32 - depth)));
  }
}
