/** A start: the segments' batches are gone through in the order in which they were written, heads and tables alone. */
import { readSync } from "node:fs";
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
  /** Not all that was found has a place in the index: what is told of the rest will not be written. */
  readonly isCut: boolean;
  readonly last: Pick<BatchHead, "position" | "now" | "wallLead"> | null;
}

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
  for (const { number, fd, generation } of found) {
    let at = segmentHeadBytes;
    for (;;) {
      const batch = at + batchHeadBytes <= segmentBytes ? batchAt(fd, at) : null;
      if (batch === null || batch.head.generation !== generation) break;
      for (const entry of batch.entries) {
        lastId = Math.max(lastId, entry.id);
        isCut = take(index, entry, generation) || isCut;
      }
      last = batch.head;
      at += batch.head.bytes;
    }
    segments.found(number, generation, at);
  }
  return { lastId, last, isCut };

  function batchAt(fd: number, at: number): { readonly head: BatchHead; readonly entries: readonly Entry[] } | null {
    const length = readAt(fd, window, at);
    const head = readBatchHead(window.subarray(0, length), { storeId, at, segmentBytes });
    if (head === null) return null;
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

/** @returns whether something older had to go for it. */
function take(index: DiskIndex, entry: Entry, generation: number): boolean {
  const { kind, hash, id, renews } = entry;
  if (kind === kinds.response) {
    const isFull = index.left === 0;
    if (isFull) index.remove(index.oldest);
    index.add(entry, generation, 0);
    return isFull;
  }
  const slot = index.slotOf(hash, kind === kinds.renewed ? renews : id);
  if (slot === -1) return false;
  if (kind === kinds.renewed) {
    index.renew(slot, entry, generation);
    index.clearFlag(slot, flagOutdatedOnDisk);
  } else if (kind === kinds.gone) index.remove(slot);
  else index.setFlag(slot, flagOutdatedOnDisk);
  return false;
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
