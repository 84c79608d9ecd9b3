/** A start: the segments' batches are gone through in the order in which they were written, heads and tables alone. */
import { fstatSync, readSync } from "node:fs";
import { DiskIndex, flagOutdatedOnDisk } from "./disk-index.ts";
import {
  batchHeadBytes,
  entryBytes,
  isSegmentHead,
  kinds,
  readBatchHead,
  readEntries,
  segmentHeadBytes,
  type BatchHead,
  type Entry,
} from "./format.ts";
import type { Segments } from "./segments.ts";

/** What the last batch says, and the last id that was given. */
export interface Replayed {
  readonly lastId: number;
  /** What was found and has no place in the index, the oldest: hashes and ids. It must be told that it is gone. */
  readonly dropped: readonly Dropped[];
  /** There was more of that than can be told: what becomes of the rest will not be written. */
  readonly isCut: boolean;
  readonly last: Pick<BatchHead, "position" | "now" | "wallLead"> | null;
}

/** Names an entry. */
export type Dropped = Pick<Entry, "hash" | "id">;

/** Of these so many are told: the index is a little too small while it is filled, since what goes is told later. */
const droppedMax = 200_000;

interface Found {
  readonly number: number;
  readonly fd: number;
  readonly generation: number;
}

/** What is read at once: a batch's head, and a table that is mostly no longer. */
const windowBytes = 8 * 1024;

/** Puts everything into the index. @throws what the system says where a file cannot be read. */
export function replay(segments: Segments, index: DiskIndex): Replayed {
  const { storeId, segmentBytes } = segments;
  const window = Buffer.allocUnsafe(windowBytes);
  const found: Found[] = [];
  for (const { number, fd } of segments.files) {
    const head = window.subarray(0, segmentHeadBytes);
    if (readAt(fd, head, 0) !== head.length || !isSegmentHead(head, storeId, number)) continue;
    const first = batchAt(fd, segmentHeadBytes);
    if (first !== null) found.push({ number, fd, generation: first.head.generation });
  }
  found.sort((a, b) => a.generation - b.generation);
  let lastId = 0;
  let last: BatchHead | null = null;
  let isCut = false;
  const dropped: Dropped[] = [];
  /** A newer head of one of them goes as well. */
  const droppedIds = new Set<number>();
  for (const { number, fd, generation } of found) {
    let at = segmentHeadBytes;
    for (;;) {
      const batch = at + batchHeadBytes <= segmentBytes ? batchAt(fd, at) : null;
      if (batch === null || batch.head.generation !== generation) break;
      for (const entry of batch.entries) {
        lastId = Math.max(lastId, entry.id);
        const isOfDropped = entry.kind === kinds.renewed && droppedIds.has(entry.renews);
        const older = isOfDropped ? { hash: entry.hash, id: entry.id } : take(index, entry, generation);
        if (older === null) continue;
        droppedIds.add(older.id);
        if (dropped.length < droppedMax) dropped.push(older);
        else isCut = true;
      }
      last = batch.head;
      at += batch.head.bytes;
    }
    segments.found(number, generation, at);
  }
  return { lastId, last, dropped, isCut };

  function batchAt(fd: number, at: number): { readonly head: BatchHead; readonly entries: readonly Entry[] } | null {
    const length = readAt(fd, window, at);
    const head = readBatchHead(window.subarray(0, length), { storeId, at, segmentBytes });
    // What does not end within its file has been cut off since.
    if (head === null || at + head.bytes > fstatSync(fd).size) return null;
    const tableBytes = head.entries * entryBytes;
    let table = window.subarray(batchHeadBytes, batchHeadBytes + tableBytes);
    if (batchHeadBytes + tableBytes > length) {
      table = Buffer.allocUnsafe(tableBytes);
      if (readAt(fd, table, at + batchHeadBytes) !== tableBytes) return null;
    }
    const entries = readEntries(table, head);
    return entries === null ? null : { head, entries };
  }
}

/** @returns the older one that had to go for it, or null. */
function take(index: DiskIndex, entry: Entry, generation: number): Dropped | null {
  const { kind, hash, id, renews } = entry;
  if (kind === kinds.response) {
    const oldest = index.left === 0 ? index.oldest : -1;
    const older = oldest === -1 ? null : { hash: index.hash(oldest), id: index.id(oldest) };
    if (oldest !== -1) index.remove(oldest);
    index.add(entry, generation, 0);
    return older;
  }
  const slot = index.slotOf(hash, kind === kinds.renewed ? renews : id);
  if (slot === -1) return null;
  if (kind === kinds.renewed) {
    index.renew(slot, entry, generation);
    index.clearFlag(slot, flagOutdatedOnDisk);
  } else if (kind === kinds.gone) index.remove(slot);
  else index.setFlag(slot, flagOutdatedOnDisk);
  return null;
}

function readAt(fd: number, into: Buffer, at: number): number {
  let done = 0;
  while (done < into.length) {
    const bytes = readSync(fd, into, done, into.length - done, at + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}
