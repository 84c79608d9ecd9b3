/** Bringing back what is on the disk and not in memory: once for all who wait for a key, and in time or not at all. */
import { crc32 } from "node:zlib";
import type { Recalled } from "../pages/behind.ts";
import { variantsMax } from "../port.ts";
import { flagInMemory, flagOutdatedOnDisk, type DiskIndex } from "./disk-index.ts";
import { checksBytes, chunkBytes, isAsWritten } from "./format.ts";
import type { PendingResponses } from "./pending.ts";
import type { ReadDone } from "./reads.ts";

export interface RecallNeeds {
  readonly index: DiskIndex;
  readonly pending: Pick<PendingResponses, "absent">;
  /** Null where it is not there, ends before, or has been written anew meanwhile. */
  readonly read: (generation: number, at: number, bytes: number, done: ReadDone) => void;
  readonly gone: (id: number, hash: number) => void;
  /** What is there is not what was written. @returns whether it still was to be there: it is no more. */
  readonly isBad: (hash: number, id: number) => boolean;
  /** How long is waited for a recall, where it is not a second: ms. */
  readonly recallMsMax?: number | undefined;
}

/** Content up to this size comes back into memory with its head. */
const promotedBytesMax = 256 * 1024;
/** A recall takes so long at most; then the origin is asked. */
const recallMsDefault = 1000;
/** Reads that are waited for, whoever has given up waiting: a disk that hangs is not asked for more. */
const readingMax = 512;

interface Recall {
  readonly key: string;
  readonly dones: (() => void)[];
}

/** The recalls of one tier. */
export class Recalls {
  readonly counts = { recalled: 0, late: 0, bad: 0 };
  readonly #needs: RecallNeeds;
  readonly #underWay = new Map<string, Recall>();
  #reading = 0;

  constructor(needs: RecallNeeds) {
    this.#needs = needs;
  }

  /** See `Behind.recall`. */
  recall(hash: number, key: string, back: (recalled: Recalled) => boolean, done: () => void): boolean {
    const { index } = this.#needs;
    if (!index.hasWithout(hash, flagInMemory)) return false;
    // A newer one is on its way to the disk: an older one must not answer in its place.
    if (this.#needs.pending.absent(hash).length > 0) return false;
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) {
      underWay.dones.push(done);
      return true;
    }
    const ids = this.#wanted(hash);
    if (ids.length === 0) return false;
    if (this.#reading >= readingMax) {
      this.counts.late++;
      return false;
    }
    const recall: Recall = { key, dones: [done] };
    this.#underWay.set(key, recall);
    const finish = (): void => {
      clearTimeout(timer);
      if (this.#underWay.get(key) === recall) this.#underWay.delete(key);
      for (const one of recall.dones.splice(0)) one();
    };
    const timer = setTimeout(() => {
      this.counts.late++;
      finish();
    }, this.#needs.recallMsMax ?? recallMsDefault);
    this.#recall(hash, ids, back, finish);
    return true;
  }

  /** Reads all of them, and brings back all or none: an older one must not answer in the place of a newer. */
  #recall(hash: number, ids: readonly number[], back: (recalled: Recalled) => boolean, finish: () => void): void {
    const { index } = this.#needs;
    const [only, ...more] = ids as [number];
    if (more.length === 0) {
      return this.#response(hash, only, (found) => {
        if (found !== null && found !== "bad") this.#back(hash, only, found, back);
        finish();
      });
    }
    const all = new Map<number, Pick<Recalled, "record" | "content">>();
    let left = ids.length;
    let isBad = false;
    for (const id of ids)
      this.#response(hash, id, (found) => {
        if (found === "bad") isBad = true;
        else if (found !== null) {
          const { record, content } = found;
          all.set(id, { record: Buffer.from(record), content: content === null ? null : Buffer.from(content) });
        }
        if (--left > 0) return;
        // Those that are gone by now were not wanted; those that could not be read take the others with them.
        const isWhole = !isBad && ids.every((one) => all.has(one) || index.slotOf(hash, one) === -1);
        if (isBad) for (const one of ids) this.#needs.gone(one, hash);
        // The newest first: where there is no room for it, there is none for older ones.
        for (const one of isWhole ? ids : []) {
          const read = all.get(one);
          if (read !== undefined && !this.#back(hash, one, read, back) && index.slotOf(hash, one) !== -1) break;
        }
        finish();
      });
    return undefined;
  }

  /** What has been read is stored in memory again, unless it is gone meanwhile. @returns whether it is there. */
  #back(
    hash: number,
    id: number,
    found: Pick<Recalled, "record" | "content">,
    back: (recalled: Recalled) => boolean,
  ): boolean {
    const { index } = this.#needs;
    const slot = index.slotOf(hash, id);
    if (slot === -1) return false;
    if (index.has(slot, flagInMemory)) return true;
    if (!back({ ...found, id, outdated: index.has(slot, flagOutdatedOnDisk) })) return false;
    // Making room for it may have cost it its place.
    const now = index.slotOf(hash, id);
    if (now !== -1) index.setFlag(now, flagInMemory);
    this.counts.recalled++;
    return true;
  }

  /** Those that are not in memory, the newest first; what no request would get any more goes. */
  #wanted(hash: number): number[] {
    const { index } = this.#needs;
    const slots = index.slots(hash).toSorted((a, b) => index.id(b) - index.id(a));
    const variants = new Set<number>();
    const wanted: number[] = [];
    for (const slot of slots) {
      const id = index.id(slot);
      if (index.has(slot, flagInMemory)) variants.add(index.variant(slot));
      else if (variants.has(index.variant(slot)) || wanted.length >= variantsMax) this.#needs.gone(id, hash);
      else {
        variants.add(index.variant(slot));
        wanted.push(id);
      }
    }
    return wanted;
  }

  /** Reads a response: its record, and its content where that is short. Null where it is not there any more. */
  #response(
    hash: number,
    id: number,
    done: (found: Pick<Recalled, "record" | "content"> | "bad" | null) => void,
  ): void {
    const { index } = this.#needs;
    const slot = index.slotOf(hash, id);
    const [metaAt, metaBytes, metaCrc] = [index.metaAt(slot), index.metaBytes(slot), index.metaCrc(slot)];
    const [contentAt, contentBytes] = [index.contentAt(slot), index.contentBytes(slot)];
    const [metaGeneration, generation] = [index.metaGeneration(slot), index.generation(slot)];
    // A newer head has no checksums of its own: those of its content lie with that.
    const isRenewed = contentBytes > 0 && contentAt !== metaAt + metaBytes;
    const isShort = contentBytes > 0 && contentBytes <= promotedBytesMax;
    const isTogether = isShort && !isRenewed;
    const recordBytes = metaBytes - (isRenewed ? 0 : checksBytes(contentBytes));
    const bytes = metaBytes + (isTogether ? contentBytes : 0);
    const bad = (): "bad" | null => (this.#needs.isBad(hash, id) ? "bad" : null);
    const checks = checksBytes(contentBytes);
    this.#read(metaGeneration, metaAt, bytes, (read) => {
      if (read === null || crc32(read.subarray(0, metaBytes)) !== metaCrc) return done(bad());
      const record = read.subarray(0, recordBytes);
      if (contentBytes === 0) return done({ record, content: null });
      if (isTogether) {
        const content = read.subarray(metaBytes);
        return isAsWritten(content, 0, read.subarray(recordBytes, metaBytes)) ? done({ record, content }) : done(bad());
      }
      // Where it has been read to will be read to again.
      const kept = Buffer.from(record);
      if (!isShort)
        return this.#ends(generation, { at: contentAt, bytes: contentBytes }, (isThere) =>
          done(isThere ? { record: kept, content: null } : bad()),
        );
      return this.#read(generation, contentAt - checks, checks + contentBytes, (then) => {
        const content = then?.subarray(checks) ?? null;
        if (content === null || !isAsWritten(content, 0, then!.subarray(0, checks))) return done(bad());
        return done({ record: kept, content });
      });
    });
  }

  /**
   * Looks at the first chunk and the last of content that stays: an answer is not begun where they are not as they were
   * written.
   */
  #ends(generation: number, content: { at: number; bytes: number }, done: (isThere: boolean) => void): void {
    const checksLength = checksBytes(content.bytes);
    const last = Math.ceil(content.bytes / chunkBytes) - 1;
    this.#read(generation, content.at - checksLength, checksLength + chunkBytes, (read) => {
      if (read === null || !isAsWritten(read.subarray(checksLength), 0, read)) return done(false);
      const checks = Buffer.from(read.subarray(0, checksLength));
      const from = last * chunkBytes;
      return this.#read(generation, content.at + from, content.bytes - from, (end) =>
        done(end !== null && isAsWritten(end, last, checks)),
      );
    });
  }

  #read(generation: number, at: number, bytes: number, done: ReadDone): void {
    this.#reading++;
    this.#needs.read(generation, at, bytes, (read) => {
      this.#reading--;
      done(read);
    });
  }
}
