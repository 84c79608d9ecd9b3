/**
 * From the hash of a key to the location of its newest record: an index of numbers in the store's own pages, eight
 * bytes an entry. Entries of one hash may stand for different keys: the records settle it.
 *
 * It grows by extendible hashing (Fagin et al., TODS 1979): a directory names segments of 4,096 slots by the upper bits
 * of the hash, within a segment entries are looked for one after the other from where the lower bits point. A full
 * segment is split in two; nothing else moves, so that growing never stops the member.
 */
import { assert } from "../../base/assert.ts";
import type { PageMemory } from "./page-memory.ts";
import type { Published } from "./published.ts";

const slots = 4096;
export const slotMask: number = slots - 1;
/** Above so many entries a segment is split; where it cannot be, it may fill up to `entriesMax`. */
const splitAt = 3072;
const entriesMax = 3900;
const segmentBytes = slots * 8;

/** Units of memory that a segment takes. */
export const segmentUnits: number = segmentBytes / 16;

interface Segment {
  readonly words: Uint32Array;
  readonly location: number;
  /** Where its slots begin among the words; each is a location (0: free), then the hash. */
  readonly at: number;
  /** Upper bits of the hash that all of its entries share. */
  readonly depth: number;
  count: number;
}

/** The index of one store. */
export class KeyIndex {
  readonly #memory: PageMemory;
  readonly #depthMax: number;
  readonly #published: Published | null;
  #depth = 0;
  #directory: Segment[];
  #segments = 1;
  /** Where the last search stands. */
  #segment: Segment;
  #slot = 0;
  #hash = 0;

  /**
   * `depthMax` bounds the directory: 2 ** depthMax segments. `first` is memory for the first of them. `published` is
   * for those who read it in other threads.
   */
  constructor(memory: PageMemory, depthMax: number, first: number, published: Published | null = null) {
    this.#memory = memory;
    this.#depthMax = depthMax;
    this.#published = published;
    this.#segment = this.#empty(first, 0);
    this.#directory = [this.#segment];
    published?.place(0, 0, first);
  }

  get bytes(): number {
    return this.#segments * segmentBytes;
  }

  /** The location of the first entry of this hash, or 0. */
  seek(hash: number): number {
    const depth = this.#depth;
    const segment = this.#directory[depth === 0 ? 0 : hash >>> (32 - depth)]!;
    this.#segment = segment;
    this.#hash = hash;
    this.#slot = hash & slotMask;
    return this.#match();
  }

  /** The next entry of the same hash, or 0. */
  next(): number {
    this.#slot = (this.#slot + 1) & slotMask;
    return this.#match();
  }

  /** The entry that was found leads elsewhere from now on. */
  replace(location: number): void {
    Atomics.store(this.#segment.words, this.#segment.at + this.#slot * 2, location);
  }

  /** Takes the entry that was found away. */
  remove(): void {
    const { words, at } = this.#segment;
    let hole = this.#slot;
    // What was pushed behind the hole by it moves up, so that searches need no mark where something was.
    for (let slot = (hole + 1) & slotMask; words[at + slot * 2] !== 0; slot = (slot + 1) & slotMask) {
      const home = words[at + slot * 2 + 1]! & slotMask;
      if (((slot - home) & slotMask) < ((slot - hole) & slotMask)) continue;
      words[at + hole * 2 + 1] = words[at + slot * 2 + 1]!;
      Atomics.store(words, at + hole * 2, words[at + slot * 2]!);
      hole = slot;
    }
    Atomics.store(words, at + hole * 2, 0);
    this.#segment.count--;
  }

  /** Whether an entry of this hash should not be added before `split` has been called. */
  isFull(hash: number): boolean {
    this.seek(hash);
    return this.#segment.count >= splitAt && this.#segment.depth < this.#depthMax;
  }

  /** Whether no entry of this hash can be added at all. */
  isCrammed(hash: number): boolean {
    this.seek(hash);
    return this.#segment.count >= entriesMax;
  }

  add(hash: number, location: number): void {
    this.seek(hash);
    put(this.#segment, hash, location);
  }

  /** Makes two segments of the one that this hash belongs to; `location` is memory for the new one. */
  split(hash: number, location: number): void {
    this.seek(hash);
    const old = this.#segment;
    const isDeeper = old.depth === this.#depth;
    if (isDeeper) {
      assert(this.#depth < this.#depthMax, "the directory of the index is full");
      this.#directory = this.#directory.flatMap((segment) => [segment, segment]);
      this.#depth++;
    }
    const depth = old.depth + 1;
    const entries: number[] = [];
    for (let slot = 0; slot < slots; slot++) {
      const found = old.words[old.at + slot * 2]!;
      if (found !== 0) entries.push(found, old.words[old.at + slot * 2 + 1]!);
    }
    const lower = clear({ words: old.words, location: old.location, at: old.at, depth, count: 0 });
    const upper = this.#empty(location, depth);
    for (let index = 0; index < entries.length; index += 2) {
      const entryHash = entries[index + 1]!;
      put(((entryHash >>> (32 - depth)) & 1) === 0 ? lower : upper, entryHash, entries[index]!);
    }
    for (let place = 0; place < this.#directory.length; place++) {
      if (this.#directory[place] !== old) continue;
      this.#directory[place] = ((place >>> (this.#depth - depth)) & 1) === 0 ? lower : upper;
    }
    this.#segments++;
    this.#publish(isDeeper, upper);
  }

  /** A directory of a new depth as a whole, else what leads to a new segment. */
  #publish(isDeeper: boolean, segment: Segment): void {
    const published = this.#published;
    if (published === null) return;
    for (const [place, at] of this.#directory.entries())
      if (isDeeper || at === segment) published.place(this.#depth, place, at.location);
    if (isDeeper) published.depth = this.#depth;
  }

  /** Forgets every entry; the segments stay. */
  clear(): void {
    for (const segment of new Set(this.#directory)) clear(segment);
  }

  #match(): number {
    const { words, at } = this.#segment;
    const hash = this.#hash;
    for (let slot = this.#slot; ; slot = (slot + 1) & slotMask) {
      const location = words[at + slot * 2]!;
      if (location === 0 || words[at + slot * 2 + 1] === hash) {
        this.#slot = slot;
        return location;
      }
    }
  }

  #empty(location: number, depth: number): Segment {
    const { words, at } = { words: this.#memory.words(location), at: this.#memory.wordAt(location) };
    return clear({ words, location, at, depth, count: 0 });
  }
}

function put(segment: Segment, hash: number, location: number): void {
  const { words, at } = segment;
  let slot = hash & slotMask;
  while (words[at + slot * 2] !== 0) slot = (slot + 1) & slotMask;
  words[at + slot * 2 + 1] = hash;
  Atomics.store(words, at + slot * 2, location);
  segment.count++;
}

function clear(segment: Segment): Segment {
  segment.words.fill(0, segment.at, segment.at + slots * 2);
  segment.count = 0;
  return segment;
}
