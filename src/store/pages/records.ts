/**
 * What lies in pages, one behind the other: records of responses, extents of content too large for them, and gaps where
 * something has been. All begin with the number of their units, so that a page can be walked.
 *
 *   response   numbers (168 bytes) · part (24) · extents (8 each) · hashes of names (8 each) · key · what Vary selected
 * ·
 *              tags · head as HTTP/1.1 begins with it · content up to a bound
 *   extent     numbers (16 bytes: units, kind, its response and place among its extents) · content
 *
 * A record is written once. Only words of bookkeeping change: uses, what the shortcut has learnt, what has been heard
 * against it, the older record of the same key, where its extents lie; and its lifetime, where that is ended.
 * `docs/store.md` has the table.
 */
import type { KeyBytes } from "./key-bytes.ts";
import { unitBytes, type PageMemory } from "./page-memory.ts";

/** Words of 32 bits in a record's numbers. */
export const word = {
  units: 0,
  flags: 1,
  hash: 2,
  ringHash: 3,
  /** The location of the next older record of the same key, or 0. */
  older: 4,
  keyBytes: 5,
  variantBytes: 6,
  headBytes: 7,
  fieldsAt: 8,
  lengthAt: 9,
  inlineBytes: 10,
  extents: 11,
  status: 12,
  hits: 13,
  uses: 14,
  /** Forms of request that may take the shortcut, of which way of settings, under which settings. */
  forms: 15,
  way: 16,
  settings: 17,
  /** Of the view in which forms may take it. */
  epoch: 24,
  /** Bytes of tags, and (upper half) how many names it has. */
  tags: 25,
} as const;

/** Numbers of 64 bits, behind the words. Times in seconds. */
export const float = {
  freshUntil: 9,
  born: 10,
  lifetime: 11,
  copyUntil: 13,
  requestSeconds: 14,
  responseSeconds: 15,
  wallLead: 16,
  date: 17,
  contentBytes: 18,
  /** The number of the last invalidation that it has been held against. */
  heard: 19,
  /** By which it is known to what stands behind the pages; 0 where it is not. */
  behind: 20,
} as const;

/** Words of an extent, behind units and flags. */
export const extentWord = { owner: 2, index: 3 } as const;

export const kindMask = 3;
export const kindGap = 0;
export const kindResponse = 1;
export const kindExtent = 2;
/** Stored; without it, only who still reads it knows of it. */
export const flagLive = 4;
export const flagPart = 8;
export const flagInner = 16;
export const flagCopy = 32;
/** Vary names fields: which request it answers is to be asked. */
export const flagSelected = 64;
export const flagOutdated = 128;
/** With tags, or under a key that is more than a URI: invalidations by name have to be looked up. */
export const flagNamed = 256;
/** No longer here: `older` says where, `way` (which only home reads) the generation of the page there. */
export const flagMoved = 512;
/** Three bits: where its lifetime is from. */
export const sourceShift = 10;
export const sourceMask = 7;

/** Its content has stayed behind. */
export const flagElsewhere = 8192;
/** It may be kept behind the pages as well. */
export const flagLasting = 16384;

export const numbersBytes = 168;
const partBytes = 24;
const extentEntryBytes = 8;
const nameBytes = 8;
/** Bytes of an extent before its content. */
export const extentHeadBytes: number = unitBytes;

/** A piece of content outside its response's record. */
export interface Extent {
  readonly location: number;
  readonly bytes: number;
}

/** Where the sections of a record lie, in bytes from its beginning. */
export interface Sections {
  readonly extentsAt: number;
  readonly namesAt: number;
  readonly keyAt: number;
  readonly variantAt: number;
  readonly tagsAt: number;
  readonly headAt: number;
  readonly contentAt: number;
  /** Its whole length. */
  readonly bytes: number;
}

/** What decides where a record's sections lie. */
export interface Lengths {
  readonly hasPart: boolean;
  readonly extents: number;
  readonly names: number;
  readonly keyBytes: number;
  readonly variantBytes: number;
  readonly tagsBytes: number;
  readonly headBytes: number;
  readonly inlineBytes: number;
}

/** The sections of a record of these lengths. */
export function sectionsOf(lengths: Lengths): Sections {
  const extentsAt = numbersBytes + (lengths.hasPart ? partBytes : 0);
  const namesAt = extentsAt + lengths.extents * extentEntryBytes;
  const keyAt = namesAt + lengths.names * nameBytes;
  // Keys are compared word by word.
  const variantAt = keyAt + ((lengths.keyBytes + 3) & ~3);
  const tagsAt = variantAt + lengths.variantBytes;
  const headAt = tagsAt + lengths.tagsBytes;
  const contentAt = headAt + lengths.headBytes;
  return { extentsAt, namesAt, keyAt, variantAt, tagsAt, headAt, contentAt, bytes: contentAt + lengths.inlineBytes };
}

/**
 * Uses that are counted: more would only keep a response longer that nobody wants any more. Five, not three as S3-FIFO
 * by object has it: what lies in a page meets the hand sooner than it would alone (docs/decisions/0007).
 */
const usesMax = 5;

/** Reads and writes records at locations. */
export class Records {
  readonly memory: PageMemory;

  constructor(memory: PageMemory) {
    this.memory = memory;
  }

  word(location: number, which: number): number {
    return this.memory.words(location)[this.memory.wordAt(location) + which]!;
  }

  setWord(location: number, which: number, value: number): void {
    this.memory.words(location)[this.memory.wordAt(location) + which] = value;
  }

  /** The same; whoever sees it, in another thread, sees all that was written before. */
  publishWord(location: number, which: number, value: number): void {
    Atomics.store(this.memory.words(location), this.memory.wordAt(location) + which, value);
  }

  float(location: number, which: number): number {
    return this.memory.floats(location)[this.memory.floatAt(location) + which]!;
  }

  setFloat(location: number, which: number, value: number): void {
    this.memory.floats(location)[this.memory.floatAt(location) + which] = value;
  }

  has(location: number, flag: number): boolean {
    return (this.word(location, word.flags) & flag) !== 0;
  }

  setFlag(location: number, flag: number): void {
    this.setWord(location, word.flags, this.word(location, word.flags) | flag);
  }

  clearFlag(location: number, flag: number): void {
    this.setWord(location, word.flags, this.word(location, word.flags) & ~flag);
  }

  /** A response has answered a request. */
  used(location: number): void {
    const words = this.memory.words(location);
    const at = this.memory.wordAt(location);
    words[at + word.hits]!++;
    if (words[at + word.uses]! < usesMax) words[at + word.uses]!++;
  }

  sections(location: number): Sections {
    const tags = this.word(location, word.tags);
    return sectionsOf({
      hasPart: this.has(location, flagPart),
      extents: this.word(location, word.extents),
      names: tags >>> 16,
      keyBytes: this.word(location, word.keyBytes),
      variantBytes: this.word(location, word.variantBytes),
      tagsBytes: tags & 0xffff,
      headBytes: this.word(location, word.headBytes),
      inlineBytes: this.word(location, word.inlineBytes),
    });
  }

  /** Whether a record is under this very key. */
  isUnder(location: number, key: KeyBytes): boolean {
    if (this.word(location, word.keyBytes) !== key.bytes) return false;
    const words = this.memory.words(location);
    const part = this.has(location, flagPart) ? partBytes : 0;
    const extents = this.word(location, word.extents) * extentEntryBytes;
    const names = (this.word(location, word.tags) >>> 16) * nameBytes;
    const at = this.memory.wordAt(location) + ((numbersBytes + part + extents + names) >>> 2);
    for (let index = 0; index < key.wordCount; index++) if (words[at + index] !== key.words[index]) return false;
    return true;
  }

  key(location: number): string {
    const { keyAt } = this.sections(location);
    return this.text(location, keyAt, this.word(location, word.keyBytes));
  }

  /** Latin1 text so many bytes from a record's beginning. */
  text(location: number, at: number, bytes: number): string {
    const from = this.memory.byteAt(location) + at;
    return this.memory.bytes(location).toString("latin1", from, from + bytes);
  }

  /** Bytes of a record, in place. */
  view(location: number, at: number, bytes: number): Buffer {
    const from = this.memory.byteAt(location) + at;
    return this.memory.bytes(location).subarray(from, from + bytes);
  }

  part(location: number): { readonly first: number; readonly last: number; readonly total: number } | null {
    if (!this.has(location, flagPart)) return null;
    const at = numbersBytes / 8;
    return {
      first: this.float(location, at),
      last: this.float(location, at + 1),
      total: this.float(location, at + 2),
    };
  }

  setPart(location: number, part: { readonly first: number; readonly last: number; readonly total: number }): void {
    const at = numbersBytes / 8;
    this.setFloat(location, at, part.first);
    this.setFloat(location, at + 1, part.last);
    this.setFloat(location, at + 2, part.total);
  }

  /** The location of a response's extent. */
  extent(location: number, index: number): number {
    return this.word(location, this.#extentWord(location, index));
  }

  /** All of them, in order. */
  extents(location: number): Extent[] {
    return Array.from({ length: this.word(location, word.extents) }, (_, index) => ({
      location: this.extent(location, index),
      bytes: this.extentBytes(location, index),
    }));
  }

  extentBytes(location: number, index: number): number {
    return this.word(location, this.#extentWord(location, index) + 1);
  }

  setExtent(location: number, index: number, extent: number, bytes: number): void {
    const at = this.#extentWord(location, index);
    this.setWord(location, at, extent);
    this.setWord(location, at + 1, bytes);
  }

  /** The hashes of its names. */
  names(location: number): Float64Array {
    const at = this.memory.floatAt(location) + this.sections(location).namesAt / 8;
    return this.memory.floats(location).subarray(at, at + (this.word(location, word.tags) >>> 16));
  }

  /** Copies everything that lies at one location to another. */
  copy(from: number, to: number): void {
    const bytes = this.word(from, word.units) * unitBytes;
    const at = this.memory.byteAt(from);
    this.memory.bytes(from).copy(this.memory.bytes(to), this.memory.byteAt(to), at, at + bytes);
  }

  #extentWord(location: number, index: number): number {
    return ((numbersBytes + (this.has(location, flagPart) ? partBytes : 0)) >>> 2) + index * 2;
  }
}
