/**
 * What lies on the disk, by the hash of its key: numbers in arrays of a fixed length, so that what the index costs of
 * the budget is known before anything is stored. When a segment's file is about to be written anew, what lies in it is
 * *condemned*: not found any more from then on, and freed a little at a time.
 */
import type { Entry } from "./format.ts";

/** Bytes of memory for an entry, its part of the buckets included. */
export const slotBytes = 61;

const none = 0xffff_ffff;
/** In memory as well, in a record that knows its id. */
export const flagInMemory = 1;
export const flagOutdatedOnDisk = 2;

/** What lies in one segment. */
interface SegmentSlots {
  first: number;
  last: number;
  live: number;
}

/** The index. A *slot* is an entry's place in it. */
export class DiskIndex {
  readonly slotsMax: number;
  size = 0;
  readonly #buckets: Uint32Array;
  readonly #mask: number;
  readonly #hash: Uint32Array;
  readonly #next: Uint32Array;
  /** Of the segment that its content lies in: the older one, where the head lies in another. */
  readonly #generation: Uint32Array;
  /** The slots of a segment, the oldest first. */
  readonly #nextInSegment: Uint32Array;
  readonly #previousInSegment: Uint32Array;
  readonly #metaGeneration: Uint32Array;
  readonly #metaAt: Uint32Array;
  readonly #metaBytes: Uint32Array;
  readonly #metaCrc: Uint32Array;
  readonly #contentAt: Uint32Array;
  readonly #contentBytes: Uint32Array;
  readonly #variant: Uint32Array;
  /** 0: nothing is here. */
  readonly #id: Float64Array;
  readonly #flags: Uint8Array;
  readonly #segments = new Map<number, SegmentSlots>();
  /** Segments up to this generation are not found any more. */
  #condemned = 0;
  #untouched = 0;
  /** Slots in use. */
  #taken = 0;
  #free = none;

  constructor(slotsMax: number) {
    this.slotsMax = slotsMax;
    const buckets = 2 ** Math.max(4, Math.ceil(Math.log2(slotsMax / 2)));
    this.#mask = buckets - 1;
    this.#buckets = new Uint32Array(buckets).fill(none);
    this.#hash = new Uint32Array(slotsMax);
    this.#next = new Uint32Array(slotsMax);
    this.#generation = new Uint32Array(slotsMax);
    this.#nextInSegment = new Uint32Array(slotsMax);
    this.#previousInSegment = new Uint32Array(slotsMax);
    this.#metaGeneration = new Uint32Array(slotsMax);
    this.#metaAt = new Uint32Array(slotsMax);
    this.#metaBytes = new Uint32Array(slotsMax);
    this.#metaCrc = new Uint32Array(slotsMax);
    this.#contentAt = new Uint32Array(slotsMax);
    this.#contentBytes = new Uint32Array(slotsMax);
    this.#variant = new Uint32Array(slotsMax);
    this.#id = new Float64Array(slotsMax);
    this.#flags = new Uint8Array(slotsMax);
  }

  /** Entries that can be added before what is oldest has to go. */
  get left(): number {
    return this.slotsMax - this.#taken;
  }

  /** Adds a response whose record and content lie in one segment. @returns false where the index is full. */
  add(entry: Entry, generation: number, flags: number): boolean {
    const slot = this.#free === none ? this.#untouched : this.#free;
    if (slot === this.slotsMax) return false;
    if (this.#free === none) this.#untouched++;
    else this.#free = this.#next[slot]!;
    const bucket = entry.hash & this.#mask;
    this.#hash[slot] = entry.hash;
    this.#next[slot] = this.#buckets[bucket]!;
    this.#buckets[bucket] = slot;
    this.#generation[slot] = generation;
    const segment = this.#segmentOf(generation);
    this.#nextInSegment[slot] = none;
    this.#previousInSegment[slot] = segment.last;
    if (segment.last === none) segment.first = slot;
    else this.#nextInSegment[segment.last] = slot;
    segment.last = slot;
    segment.live++;
    this.#contentAt[slot] = entry.contentAt;
    this.#contentBytes[slot] = entry.contentBytes;
    this.#flags[slot] = flags;
    this.#setHead(slot, entry, generation);
    this.size++;
    this.#taken++;
    return true;
  }

  /** A newer head for what a slot has. */
  renew(slot: number, entry: Entry, generation: number): void {
    this.#setHead(slot, entry, generation);
  }

  /** The slots of a hash, in no order. Other keys may have the same one. */
  slots(hash: number): number[] {
    const found: number[] = [];
    for (let slot = this.#buckets[hash & this.#mask]!; slot !== none; slot = this.#next[slot]!)
      if (this.#hash[slot] === hash && this.#generation[slot]! > this.#condemned) found.push(slot);
    return found;
  }

  /** Whether a hash has a slot without a flag. */
  hasWithout(hash: number, flag: number): boolean {
    for (let slot = this.#buckets[hash & this.#mask]!; slot !== none; slot = this.#next[slot]!)
      if (this.#hash[slot] === hash && (this.#flags[slot]! & flag) === 0 && this.#generation[slot]! > this.#condemned)
        return true;
    return false;
  }

  /** The slot of a response, or -1. */
  slotOf(hash: number, id: number): number {
    for (let slot = this.#buckets[hash & this.#mask]!; slot !== none; slot = this.#next[slot]!)
      if (this.#id[slot] === id) return this.#generation[slot]! > this.#condemned ? slot : -1;
    return -1;
  }

  /** It is not stored any more. */
  remove(slot: number): void {
    const segment = this.#segments.get(this.#generation[slot]!)!;
    segment.live--;
    this.size--;
    this.#release(slot, segment);
  }

  /** The slot of what was written longest ago, or -1. */
  get oldest(): number {
    let oldest = Infinity;
    for (const [generation, { first }] of this.#segments)
      if (generation > this.#condemned && generation < oldest && first !== none) oldest = generation;
    return this.#segments.get(oldest)?.first ?? -1;
  }

  hash(slot: number): number {
    return this.#hash[slot]!;
  }

  id(slot: number): number {
    return this.#id[slot]!;
  }
  variant(slot: number): number {
    return this.#variant[slot]!;
  }
  generation(slot: number): number {
    return this.#generation[slot]!;
  }
  metaGeneration(slot: number): number {
    return this.#metaGeneration[slot]!;
  }
  metaAt(slot: number): number {
    return this.#metaAt[slot]!;
  }
  metaBytes(slot: number): number {
    return this.#metaBytes[slot]!;
  }
  metaCrc(slot: number): number {
    return this.#metaCrc[slot]!;
  }
  contentAt(slot: number): number {
    return this.#contentAt[slot]!;
  }
  contentBytes(slot: number): number {
    return this.#contentBytes[slot]!;
  }
  has(slot: number, flag: number): boolean {
    return (this.#flags[slot]! & flag) !== 0;
  }
  setFlag(slot: number, flag: number): void {
    this.#flags[slot]! |= flag;
  }
  clearFlag(slot: number, flag: number): void {
    this.#flags[slot]! &= ~flag;
  }

  /** From now on nothing in segments up to this generation is found. */
  condemn(generation: number): void {
    this.#condemned = Math.max(this.#condemned, generation);
    // They are not counted any more at once, whenever their slots are freed.
    for (const [one, segment] of this.#segments) {
      if (one > this.#condemned) continue;
      this.size -= segment.live;
      segment.live = 0;
    }
  }

  /** Frees about so many slots of what is condemned. @returns whether all are. */
  free(about: number): boolean {
    let left = about;
    for (const [generation, segment] of this.#segments) {
      if (generation > this.#condemned) continue;
      while (segment.first !== none) {
        if (left-- === 0) return false;
        this.#release(segment.first, segment);
      }
      this.#segments.delete(generation);
    }
    return true;
  }

  #setHead(slot: number, entry: Entry, generation: number): void {
    this.#metaGeneration[slot] = generation;
    this.#metaAt[slot] = entry.metaAt;
    this.#metaBytes[slot] = entry.metaBytes;
    this.#metaCrc[slot] = entry.metaCrc;
    this.#variant[slot] = entry.variant;
    this.#id[slot] = entry.id;
  }

  #segmentOf(generation: number): SegmentSlots {
    let segment = this.#segments.get(generation);
    if (segment === undefined) {
      segment = { first: none, last: none, live: 0 };
      this.#segments.set(generation, segment);
    }
    return segment;
  }

  #release(slot: number, segment: SegmentSlots): void {
    this.#unlink(slot);
    const [next, previous] = [this.#nextInSegment[slot]!, this.#previousInSegment[slot]!];
    if (previous === none) segment.first = next;
    else this.#nextInSegment[previous] = next;
    if (next === none) segment.last = previous;
    else this.#previousInSegment[next] = previous;
    this.#id[slot] = 0;
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#taken--;
  }

  #unlink(slot: number): void {
    const bucket = this.#hash[slot]! & this.#mask;
    let at = this.#buckets[bucket]!;
    if (at === slot) {
      this.#buckets[bucket] = this.#next[slot]!;
      return;
    }
    while (this.#next[at] !== slot) at = this.#next[at]!;
    this.#next[at] = this.#next[slot]!;
  }
}
