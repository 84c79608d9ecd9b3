/**
 * The disk tier: what the pages keep is written to segments as well, and comes back when it is asked for and is not in
 * memory any more. A disk that fails, is full or does not keep up is left: the member goes on from memory.
 */
import { setTimeout } from "node:timers/promises";
import type { Mode } from "../../invalidation/invalidation.ts";
import type { Pin } from "../body.ts";
import type { Behind, Kept, Recalled } from "../pages/behind.ts";
import { diskBody } from "./disk-body.ts";
import { DiskIndex, flagInMemory, flagOutdatedOnDisk } from "./disk-index.ts";
import type { DiskIo } from "./disk-io.ts";
import { DiskLog } from "./disk-log.ts";
import { checksBytes, kinds, type BatchHead, type Entry } from "./format.ts";
import { PendingResponses } from "./pending.ts";
import { Recalls, type RecallNeeds } from "./recalls.ts";
import type { ReadDone, Reads } from "./reads.ts";
import type { Segments } from "./segments.ts";

export interface DiskTierInit extends Pick<RecallNeeds, "recallMsMax"> {
  readonly segments: Segments;
  readonly index: DiskIndex;
  readonly io: DiskIo;
  readonly reads: Reads;
  readonly seed: number;
  readonly bufferBytes: number;
  readonly buffers: number;
  /** The last id that has been given. */
  readonly lastId: number;
  readonly head: () => Pick<BatchHead, "position" | "now" | "wallLead">;
  /** The tier is off from now on, and why. */
  readonly off: (reason: string) => void;
}

export interface DiskCounts {
  /** Responses brought back. */
  readonly recalled: number;
  /** Recalls given up: the disk was too slow, or too many waited. */
  readonly late: number;
  /** What was asked for was not as it had been written, or could not be read. */
  readonly bad: number;
  /** Written, in responses and bytes; and not written for want of room in the buffers. */
  readonly written: number;
  readonly writtenBytes: number;
  readonly refused: number;
}

/** What is told of a tier. */
export type ToldDisk = Pick<DiskTier, "off" | "responses" | "bytes" | "bytesMax" | "counts">;

/** What is told of one that could not be opened. */
export function unusable(off: string, bytesMax: number): ToldDisk {
  const counts = { recalled: 0, late: 0, bad: 0, written: 0, writtenBytes: 0, refused: 0 };
  return { off, responses: 0, bytes: 0, bytesMax, counts };
}

/** A stop waits for the disk for so long. */
const closeMsMax = 10_000;
/** So many bad reads, and the disk is left. */
const badMax = 16;

/** The tier of one store. */
export class DiskTier implements Behind {
  readonly seed: number;
  readonly memoryBytes: number;
  readonly #init: DiskTierInit;
  readonly #log: DiskLog;
  /** Written, and not found on the disk yet. */
  readonly #pending = new PendingResponses();
  readonly #recalls: Recalls;
  #lastId: number;
  #off: string | null = null;

  constructor(init: DiskTierInit, memoryBytes: number) {
    this.#init = init;
    this.seed = init.seed;
    this.memoryBytes = memoryBytes;
    this.#lastId = init.lastId;
    this.#recalls = new Recalls({
      index: init.index,
      pending: this.#pending,
      read: (generation, at, bytes, done) => this.#read(generation, at, bytes, done),
      gone: (id, hash) => this.gone(id, hash),
      isBad: (hash, id) => this.#isBad(hash, id),
      recallMsMax: init.recallMsMax,
    });
    this.#log = new DiskLog({
      ...init,
      written: (entry, generation) => this.#written(entry, generation),
      failed: (error) => this.#fail(`writing failed: ${error.message}`),
    });
  }

  /** Why it is off, or null. */
  get off(): string | null {
    return this.#off;
  }

  get responses(): number {
    return this.#off === null ? this.#init.index.size : 0;
  }

  get bytes(): number {
    return this.#off === null ? this.#init.segments.usedBytes : 0;
  }

  get bytesMax(): number {
    return this.#init.segments.count * this.#init.segments.segmentBytes;
  }

  get counts(): DiskCounts {
    const { responses, bytes, refused } = this.#log.counts;
    return { ...this.#recalls.counts, written: responses, writtenBytes: bytes, refused };
  }

  keep(kept: Kept, hold: Pin | null): number {
    if (this.#off !== null) return 0;
    const id = this.#lastId + 1;
    const what = { ...kept, id, renews: 0 };
    const bytes =
      kept.meta.reduce((sum, { length }) => sum + length, checksBytes(kept.contentBytes)) + kept.contentBytes;
    if (hold !== null && bytes > this.#init.bufferBytes / 2) {
      hold.take();
      if (!this.#log.appendLong(what, () => hold.release())) {
        hold.release();
        return 0;
      }
    } else if (!this.#log.append(what)) return 0;
    this.#lastId = id;
    this.#pending.add(id, kept.hash, kept.variant, 0);
    return id;
  }

  renew(id: number, { hash, variant, meta }: Omit<Kept, "content" | "contentBytes">): number {
    if (this.#slotOf(id, hash) === -1) return 0;
    const newer = this.#lastId + 1;
    if (!this.#log.append({ hash, variant, meta, content: [], contentBytes: 0, id: newer, renews: id })) return 0;
    this.#lastId = newer;
    this.#pending.add(newer, hash, variant, id);
    return newer;
  }

  gone(id: number, hash: number): void {
    if (this.#off !== null) return;
    const pending = this.#pending.get(id, hash);
    if (pending !== undefined) pending.gone = true;
    const slot = this.#slotOf(id, hash);
    if (slot !== -1) this.#init.index.remove(slot);
    if (slot !== -1 || pending !== undefined) this.#log.mark(kinds.gone, hash, id);
  }

  /** What a start has found, and has no place for. */
  tellGone(dropped: readonly { readonly hash: number; readonly id: number }[]): void {
    for (const { hash, id } of dropped) this.#log.mark(kinds.gone, hash, id);
  }

  replaced(hash: number, variant: number): void {
    if (this.#off !== null) return;
    const { index } = this.#init;
    for (const slot of index.slots(hash))
      if (index.variant(slot) === variant && !index.has(slot, flagInMemory)) this.gone(index.id(slot), hash);
    for (const one of this.#pending.absent(hash)) if (one.variant === variant) this.gone(one.id, hash);
  }

  invalidated(hash: number, mode: Mode): number {
    if (this.#off !== null) return 0;
    const { index } = this.#init;
    const ids = index
      .slots(hash)
      .filter((slot) => !index.has(slot, flagInMemory))
      .map((slot) => index.id(slot));
    for (const { id } of this.#pending.absent(hash)) if (!ids.includes(id)) ids.push(id);
    for (const id of ids) {
      if (mode === "drop") this.gone(id, hash);
      else this.outdated(id, hash);
    }
    return ids.length;
  }

  evicted(id: number, hash: number): void {
    const pending = this.#pending.get(id, hash);
    if (pending !== undefined) pending.evicted = true;
    // What is known by an older head on the disk is not looked for before the newer one can be found.
    const slot = this.#off === null ? this.#init.index.slotOf(hash, id) : -1;
    if (slot !== -1) this.#init.index.clearFlag(slot, flagInMemory);
  }

  outdated(id: number, hash: number): void {
    if (this.#off !== null) return;
    const pending = this.#pending.get(id, hash);
    if (pending !== undefined) pending.outdated = true;
    const slot = this.#init.index.slotOf(hash, id);
    if (slot !== -1) this.#init.index.setFlag(slot, flagOutdatedOnDisk);
    this.#log.mark(kinds.outdated, hash, id);
  }

  has(id: number, hash: number): boolean {
    return this.#slotOf(id, hash) !== -1;
  }

  content(id: number, hash: number, bytes: number): ReturnType<Behind["content"]> {
    const { index, segments } = this.#init;
    const slot = this.#slotOf(id, hash);
    const generation = slot === -1 ? 0 : index.generation(slot);
    const at = slot === -1 ? 0 : index.contentAt(slot);
    const place = slot === -1 ? null : { at, checksAt: at - checksBytes(bytes), bytes };
    const body = diskBody(bytes, place, {
      read: (from, length) =>
        new Promise((resolve) =>
          // Short stretches lie where others will be read to.
          this.#read(generation, from, length, (read) => resolve(read === null ? null : Buffer.from(read))),
        ),
      bad: () => {
        // Older ones, which it was to answer instead of, must not take its place.
        if (this.#isBad(hash, id)) this.invalidated(hash, "drop");
      },
    });
    return { body, pin: { take: () => segments.pin(generation), release: () => segments.unpin(generation) } };
  }

  absent(hash: number): number {
    if (this.#off !== null) return 0;
    const { index } = this.#init;
    return index.slots(hash).filter((slot) => !index.has(slot, flagInMemory)).length;
  }

  recall(hash: number, key: string, back: (recalled: Recalled) => boolean, done: () => void): boolean {
    // What is told once it is off does not reach the index: nothing may come back from there then.
    const ifStillOn = (recalled: Recalled): boolean => this.#off === null && back(recalled);
    return this.#off === null && this.#recalls.recall(hash, key, ifStillOn, done);
  }

  /** Resolves when what has come so far is on the disk, or the tier is off. */
  flush(): Promise<void> {
    return this.#log.flush();
  }

  /** Writes what is left. Nothing is taken any more. @returns whether all is on the disk. */
  async close(): Promise<boolean> {
    if (this.#off === null) {
      const written = this.#log.flush().then(() => this.#init.segments.sync());
      const late = setTimeout(closeMsMax, "late", { ref: false });
      const ended = await Promise.race([written, late]).catch((error: Error) => this.#fail(error.message));
      if (ended === "late") this.#fail("it does not answer");
    }
    const isWhole = this.#off === null;
    this.#off ??= "closed";
    this.#log.end();
    this.#init.reads.close();
    return isWhole;
  }

  /** Whether something is still being written: then files must not be closed. */
  get isWriting(): boolean {
    return this.#log.isWriting;
  }

  /** Where a response lies, or, as long as its newer head is on its way, where its content does. */
  #slotOf(id: number, hash: number): number {
    if (this.#off !== null) return -1;
    let known = id;
    for (;;) {
      const slot = this.#init.index.slotOf(hash, known);
      const renews = slot === -1 ? (this.#pending.get(known, hash)?.renews ?? 0) : 0;
      if (renews === 0) return slot;
      known = renews;
    }
  }

  /**
   * Reads from a segment. Null where it is not there, ends before, or has been written anew meanwhile. Answers in
   * progress come to their end also where the tier is off: a disk that is full can be read.
   */
  #read(generation: number, at: number, bytes: number, done: ReadDone): void {
    const { reads, segments } = this.#init;
    const fd = segments.fd(generation);
    if (fd === -1) return queueMicrotask(() => done(null));
    return reads.read(fd, at, bytes, (read) => done(segments.fd(generation) === fd ? read : null));
  }

  /** What is there is not what was written. @returns whether it still was to be there: it is no more. */
  #isBad(hash: number, id: number): boolean {
    if (this.#off !== null) return false;
    // As long as its newer head is on its way, the content lies where the older one says.
    const slot = this.#slotOf(id, hash);
    // Its segment has been written anew meanwhile: nothing is wrong.
    if (slot === -1) return false;
    const known = this.#init.index.id(slot);
    this.gone(id, hash);
    if (known !== id) this.gone(known, hash);
    if (++this.#recalls.counts.bad >= badMax)
      this.#fail(`${badMax} responses could not be read as they had been written`);
    return true;
  }

  #written(entry: Entry, generation: number): void {
    const { index } = this.#init;
    const { kind, hash, id } = entry;
    if (kind !== kinds.response && kind !== kinds.renewed) return;
    const pending = this.#pending.take(id, hash);
    if (pending === undefined || pending.gone) return;
    if (kind === kinds.renewed) {
      const slot = index.slotOf(hash, entry.renews);
      if (slot === -1) return;
      index.renew(slot, entry, generation);
      if (pending.evicted) index.clearFlag(slot, flagInMemory);
      if (pending.outdated) index.setFlag(slot, flagOutdatedOnDisk);
      else index.clearFlag(slot, flagOutdatedOnDisk);
      return;
    }
    const flags = (pending.evicted ? 0 : flagInMemory) | (pending.outdated ? flagOutdatedOnDisk : 0);
    index.add(entry, generation, flags);
  }

  #fail(reason: string): void {
    if (this.#off !== null) return;
    this.#off = reason;
    this.#log.end();
    this.#pending.clear();
    this.#init.off(reason);
  }
}
