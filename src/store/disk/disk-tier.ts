/**
 * The disk tier: what the pages keep is written to segments as well, and comes back when it is asked for and is not in
 * memory any more. A disk that fails, is full or does not keep up is left: the member goes on from memory.
 */
import { crc32 } from "node:zlib";
import type { Mode } from "../../invalidation/invalidation.ts";
import type { Pin } from "../body.ts";
import { variantsMax } from "../port.ts";
import type { Behind, Kept, Recalled } from "../pages/behind.ts";
import { diskBody } from "./disk-body.ts";
import { DiskIndex, flagInMemory, flagOutdatedOnDisk } from "./disk-index.ts";
import type { DiskIo } from "./disk-io.ts";
import { DiskLog } from "./disk-log.ts";
import { checksBytes, chunkBytes, kinds, type BatchHead, type Entry } from "./format.ts";
import { PendingResponses } from "./pending.ts";
import type { ReadDone, Reads } from "./reads.ts";
import type { Segments } from "./segments.ts";

export interface DiskTierInit {
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
  /** Responses brought back, and how many requests had to wait for that. */
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

/** Content up to this size comes back into memory with its head. */
const promotedBytesMax = 256 * 1024;
/** A recall takes so long at most; then the origin is asked. */
const recallMsMax = 1000;
/** Keys that are looked for at once. */
const waitingMax = 4096;
/** So many bad reads, and the disk is left. */
const badMax = 16;

interface Recall {
  readonly key: string;
  readonly dones: (() => void)[];
}

/** The tier of one store. */
export class DiskTier implements Behind {
  readonly seed: number;
  readonly memoryBytes: number;
  readonly #init: DiskTierInit;
  readonly #log: DiskLog;
  /** Written, and not found on the disk yet. */
  readonly #pending = new PendingResponses();
  readonly #recalls = new Map<string, Recall>();
  readonly #counts = { recalled: 0, late: 0, bad: 0 };
  #lastId: number;
  #off: string | null = null;

  constructor(init: DiskTierInit, memoryBytes: number) {
    this.#init = init;
    this.seed = init.seed;
    this.memoryBytes = memoryBytes;
    this.#lastId = init.lastId;
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
    return { ...this.#counts, written: responses, writtenBytes: bytes, refused };
  }

  get lastId(): number {
    return this.#lastId;
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
    return this.#given(id, kept);
  }

  renew(id: number, { hash, variant, meta }: Omit<Kept, "content" | "contentBytes">): number {
    const { index } = this.#init;
    const slot = this.#off === null ? index.slotOf(hash, id) : -1;
    if (slot === -1) return 0;
    const newer = this.#lastId + 1;
    if (!this.#log.append({ hash, variant, meta, content: [], contentBytes: 0, id: newer, renews: id })) return 0;
    index.setId(slot, newer);
    index.clearFlag(slot, flagOutdatedOnDisk);
    return this.#given(newer, { hash, variant });
  }

  gone(id: number, hash: number): void {
    if (this.#off !== null) return;
    const pending = this.#pending.get(id, hash);
    if (pending !== undefined) pending.gone = true;
    const slot = this.#init.index.slotOf(hash, id);
    if (slot !== -1) this.#init.index.remove(slot);
    if (slot !== -1 || pending !== undefined) this.#log.mark(kinds.gone, hash, id);
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
    return this.#off === null && this.#init.index.slotOf(hash, id) !== -1;
  }

  content(id: number, hash: number, bytes: number): ReturnType<Behind["content"]> {
    const { index, segments } = this.#init;
    const slot = this.#off === null ? index.slotOf(hash, id) : -1;
    const generation = slot === -1 ? 0 : index.generation(slot);
    const place =
      slot === -1
        ? null
        : {
            generation,
            at: index.contentAt(slot),
            checksAt: index.contentAt(slot) - checksBytes(bytes),
            bytes,
          };
    const body = diskBody(bytes, place, {
      read: (at, length) =>
        new Promise((resolve) =>
          // Short stretches lie where others will be read to.
          this.#read(generation, at, length, (read) => resolve(read === null ? null : Buffer.from(read))),
        ),
      bad: () => this.#isBad(hash, id),
    });
    return { body, pin: { take: () => segments.pin(generation), release: () => segments.unpin(generation) } };
  }

  absent(hash: number): number {
    if (this.#off !== null) return 0;
    const { index } = this.#init;
    return index.slots(hash).filter((slot) => !index.has(slot, flagInMemory)).length;
  }

  recall(hash: number, key: string, back: (recalled: Recalled) => boolean, done: () => void): boolean {
    const { index } = this.#init;
    if (this.#off !== null || !index.hasWithout(hash, flagInMemory)) return false;
    const underWay = this.#recalls.get(key);
    if (underWay !== undefined) {
      underWay.dones.push(done);
      return true;
    }
    const ids = this.#wanted(hash);
    if (ids.length === 0) return false;
    if (this.#recalls.size >= waitingMax) {
      this.#counts.late++;
      return false;
    }
    const recall: Recall = { key, dones: [done] };
    this.#recalls.set(key, recall);
    const finish = (): void => {
      clearTimeout(timer);
      if (this.#recalls.get(key) === recall) this.#recalls.delete(key);
      for (const one of recall.dones.splice(0)) one();
    };
    const timer = setTimeout(() => {
      this.#counts.late++;
      finish();
    }, recallMsMax);
    this.#recall(hash, ids, back, finish);
    return true;
  }

  /** Resolves when what has come so far is on the disk, or the tier is off. */
  flush(): Promise<void> {
    return this.#log.flush();
  }

  /** Writes what is left. Nothing is taken any more. @returns whether all is on the disk. */
  async close(): Promise<boolean> {
    if (this.#off === null) {
      await this.#log.flush();
      await this.#init.segments.sync().catch((error: Error) => this.#fail(`writing failed: ${error.message}`));
    }
    const isWhole = this.#off === null;
    this.#off ??= "closed";
    this.#log.end();
    this.#init.reads.close();
    return isWhole;
  }

  /** One after the other, the oldest first: the newest is looked at first, and must be found so. */
  #recall(hash: number, ids: number[], back: (recalled: Recalled) => boolean, finish: () => void): void {
    const { index } = this.#init;
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      const one = id;
      const slot = this.#off === null ? index.slotOf(hash, one) : -1;
      if (slot === -1) continue;
      return this.#response(slot, hash, one, (found) => {
        // It may be gone meanwhile, or stored anew.
        const now = this.#off === null ? index.slotOf(hash, one) : -1;
        const isWanted = found !== null && now !== -1 && !index.has(now, flagInMemory);
        if (isWanted && back({ ...found, id: one, outdated: index.has(now, flagOutdatedOnDisk) })) {
          index.setFlag(now, flagInMemory);
          this.#counts.recalled++;
        }
        this.#recall(hash, ids, back, finish);
      });
    }
    return finish();
  }

  /** Those that are not in memory, the newest first; what no request would get any more goes. */
  #wanted(hash: number): number[] {
    const { index } = this.#init;
    const slots = index.slots(hash).toSorted((a, b) => index.id(b) - index.id(a));
    const variants = new Set<number>();
    const wanted: number[] = [];
    for (const slot of slots) {
      const id = index.id(slot);
      if (index.has(slot, flagInMemory)) variants.add(index.variant(slot));
      else if (variants.has(index.variant(slot)) || wanted.length >= variantsMax) this.gone(id, hash);
      else {
        variants.add(index.variant(slot));
        wanted.push(id);
      }
    }
    return wanted;
  }

  /** Reads a response: its record, and its content where that is short. */
  #response(
    slot: number,
    hash: number,
    id: number,
    done: (found: Pick<Recalled, "record" | "content"> | null) => void,
  ): void {
    const { index } = this.#init;
    const [metaAt, metaBytes, metaCrc] = [index.metaAt(slot), index.metaBytes(slot), index.metaCrc(slot)];
    const [contentAt, contentBytes] = [index.contentAt(slot), index.contentBytes(slot)];
    // A newer head has no checksums of its own: those of its content lie with that.
    const isRenewed = contentBytes > 0 && contentAt !== metaAt + metaBytes;
    const isTogether = contentBytes > 0 && contentBytes <= promotedBytesMax && !isRenewed;
    const recordBytes = metaBytes - (isRenewed ? 0 : checksBytes(contentBytes));
    const bytes = metaBytes + (isTogether ? contentBytes : 0);
    this.#read(index.metaGeneration(slot), metaAt, bytes, (read) => {
      if (read === null || crc32(read.subarray(0, metaBytes)) !== metaCrc) return done(this.#isBad(hash, id));
      const record = read.subarray(0, recordBytes);
      if (!isTogether) return done({ record, content: null });
      const content = read.subarray(metaBytes);
      for (let at = 0; at < contentBytes; at += chunkBytes) {
        const expected = read.readUInt32LE(recordBytes + (at / chunkBytes) * 4);
        if (crc32(content.subarray(at, at + chunkBytes)) !== expected) return done(this.#isBad(hash, id));
      }
      return done({ record, content });
    });
  }

  /** Reads from a segment. Null where it is not there, ends before, or has been written anew meanwhile. */
  #read(generation: number, at: number, bytes: number, done: ReadDone): void {
    const { reads, segments } = this.#init;
    const fd = this.#off === null ? segments.fd(generation) : -1;
    if (fd === -1) return queueMicrotask(() => done(null));
    return reads.read(fd, at, bytes, (read) => done(segments.fd(generation) === fd ? read : null));
  }

  /** What is there is not what was written. */
  #isBad(hash: number, id: number): null {
    if (this.#off !== null) return null;
    const slot = this.#init.index.slotOf(hash, id);
    // Its segment has been written anew meanwhile: nothing is wrong.
    if (slot === -1) return null;
    this.#init.index.remove(slot);
    this.#log.mark(kinds.gone, hash, id);
    if (++this.#counts.bad >= badMax) this.#fail(`${badMax} responses could not be read as they had been written`);
    return null;
  }

  #given(id: number, { hash, variant }: Pick<Kept, "hash" | "variant">): number {
    this.#lastId = id;
    this.#pending.add(id, hash, variant);
    return id;
  }

  #written(entry: Entry, generation: number): void {
    const { index } = this.#init;
    const { kind, hash, id } = entry;
    if (kind !== kinds.response && kind !== kinds.renewed) return;
    const pending = this.#pending.take(id, hash);
    if (pending === undefined || pending.gone) return;
    if (kind === kinds.renewed) {
      const slot = index.slotOf(hash, id);
      if (slot !== -1) index.renew(slot, entry, generation);
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
