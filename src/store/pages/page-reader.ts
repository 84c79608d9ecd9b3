/**
 * A store as another thread reads it: whole responses in one piece, of which the thread that writes has said that
 * plain requests may be answered with them. Everything else is that thread's affair: what is not found here may be
 * there.
 */
import type { FieldList } from "../../http/fields.ts";
import { KeyBytes } from "./key-bytes.ts";
import { slotMask } from "./key-index.ts";
import { PageGlance } from "./page-glance.ts";
import { PageMemory } from "./page-memory.ts";
import { Published } from "./published.ts";
import { flagLive, flagNamed, float, kindMask, kindResponse, Records, word } from "./records.ts";

/** What a reading thread is given of a store. */
export interface SharedStore {
  readonly published: SharedArrayBuffer;
  readonly readers: number;
  readonly pageBytes: number;
  readonly pagesMax: number;
  readonly seed: number;
  /** The blocks of memory that there are; more may follow. */
  readonly blocks: readonly SharedArrayBuffer[];
}

/** Reads as one of a store's readers. */
export class PageReader {
  readonly #published: Published;
  readonly #reader: number;
  readonly #memory: PageMemory;
  readonly #records: Records;
  readonly #key: KeyBytes;
  readonly #glance: PageGlance;

  /** `reader` is its number among them, from 0; no two threads have the same. */
  constructor(store: SharedStore, reader: number) {
    this.#published = new Published(store.published, store.readers);
    this.#reader = reader;
    this.#memory = new PageMemory(store.pageBytes, store.pagesMax);
    this.#records = new Records(this.#memory);
    this.#key = new KeyBytes(store.seed);
    const none = (): never => {
      throw new Error("a reading thread copies what it finds");
    };
    this.#glance = new PageGlance(this.#records, { pin: none, unpin: none }, none);
    for (const block of store.blocks) this.attach(block);
  }

  /** There is one more block. */
  attach(block: SharedArrayBuffer): void {
    this.#memory.attach(block);
  }

  /**
   * Looks for what is stored under a key and may answer at once, as far as this thread can tell. What is found holds
   * until `leave` is called, which must be in the same turn, whatever happens; null: `leave` has been called.
   */
  enter(key: string, asked: FieldList): PageGlance | null {
    const published = this.#published;
    published.enter(this.#reader);
    const records = this.#records;
    const location = PageGlance.selected(records, this.#find(key), asked, this.#isKin);
    if (location !== 0) {
      const isNamed = records.has(location, flagNamed);
      if (published.isClear(records.float(location, float.heard), isNamed)) return this.#glance.at(location);
    }
    this.leave();
    return null;
  }

  /** Whether a record is one of the key that was looked for last. */
  readonly #isKin = (location: number): boolean => {
    const flags = this.#records.word(location, word.flags);
    return (
      (flags & kindMask) === kindResponse && (flags & flagLive) !== 0 && this.#records.isUnder(location, this.#key)
    );
  };

  leave(): void {
    this.#published.leave(this.#reader);
  }

  #find(key: string): number {
    const memory = this.#memory;
    const bytes = this.#key.set(key);
    const { hash } = bytes;
    const segment = this.#published.segment(hash);
    if (!memory.has(segment)) return 0;
    const words = memory.words(segment);
    const at = memory.wordAt(segment);
    // What is being moved about may seem to have no end.
    for (let step = 0, slot = hash & slotMask; step <= slotMask; step++, slot = (slot + 1) & slotMask) {
      const location = Atomics.load(words, at + slot * 2);
      if (location === 0) return 0;
      if (words[at + slot * 2 + 1] !== hash || !memory.has(location)) continue;
      const flags = this.#records.word(location, word.flags);
      if ((flags & kindMask) === kindResponse && (flags & flagLive) !== 0 && this.#records.isUnder(location, bytes))
        return location;
    }
    return 0;
  }
}
