/**
 * The disk tier's formats: a segment file is a header and then *batches*, one behind the other; a batch is a header, a
 * table of entries, and the bytes that they speak of. Only headers and tables are read at a start.
 *
 *   response   the record of a stored response, and content too long for it behind that
 *   renewed    a newer head, whose content stays where the older one has it
 *   gone       a response is not stored any more
 *   outdated   a response has to be validated before its next use
 *
 * A batch's header and table have a checksum of their own, every record and every 64 KB of content another one, so that
 * a write that was cut short is found whatever lay there before. Numbers are little-endian. `docs/store.md` has the
 * table.
 */
import { crc32 } from "node:zlib";

/** Changes with anything here, and with the layout of records. */
export const formatVersion = 2;

export const segmentHeadBytes = 4096;
export const batchHeadBytes = 128;
export const entryBytes = 64;
/** Content is checked in pieces of so many bytes. */
export const chunkBytes: number = 64 * 1024;

const segmentMagic = 0x53_52_59_47;
const batchMagic = 0x42_52_59_47;
const batchCrcAt = batchHeadBytes - 4;

export const kinds = { response: 1, renewed: 2, gone: 3, outdated: 4 } as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

/** What a batch says of itself. */
export interface BatchHead {
  /** Of the store: batches of another one do not count. */
  readonly storeId: number;
  /** Of the segment: each use of a file has a new one, and the highest is the newest. */
  readonly generation: number;
  /** Where it begins in its file, and its length: bytes. */
  readonly at: number;
  readonly bytes: number;
  readonly entries: number;
  /** The store's position in the invalidations when it was written. */
  readonly position: number;
  /** The member's steady clock then, and by how much the wall clock was ahead of it. Seconds. */
  readonly now: number;
  readonly wallLead: number;
}

/** One thing that a batch tells. Places are bytes from the beginning of the segment file. */
export interface Entry {
  readonly kind: Kind;
  /** Of the key. */
  readonly hash: number;
  /** The response that it is about. Counted up: a newer one has a higher one. */
  readonly id: number;
  /** Of the names in Vary, and what the request said in them. */
  readonly variant: number;
  readonly metaAt: number;
  readonly metaBytes: number;
  readonly metaCrc: number;
  readonly contentAt: number;
  /** Content that lies behind the record; 0 where it lies in it. */
  readonly contentBytes: number;
  /** The response whose head this one takes the place of. */
  readonly renews: number;
}

export const nothing: Omit<Entry, "kind" | "hash" | "id"> = {
  variant: 0,
  metaAt: 0,
  metaBytes: 0,
  metaCrc: 0,
  contentAt: 0,
  contentBytes: 0,
  renews: 0,
};

/** The checksums of content: how many bytes they take. */
export function checksBytes(contentBytes: number): number {
  return Math.ceil(contentBytes / chunkBytes) * 4;
}

/** Enters the checksums of content that begins at a whole chunk, `from` bytes from its beginning. */
export function enterChecks(pieces: readonly Buffer[], from: number, checks: Buffer): void {
  let at = from;
  let crc = 0;
  for (const piece of pieces) {
    for (let begin = 0; begin < piece.length;) {
      const end = Math.min(piece.length, begin + chunkBytes - (at % chunkBytes));
      crc = crc32(piece.subarray(begin, end), crc);
      at += end - begin;
      begin = end;
      checks.writeUInt32LE(crc, Math.floor((at - 1) / chunkBytes) * 4);
      if (at % chunkBytes === 0) crc = 0;
    }
  }
}

/** Whether content that begins at a chunk, counted from 0, is as it was written. */
export function isAsWritten(content: Buffer, first: number, checks: Buffer): boolean {
  for (let at = 0, chunk = first; at < content.length; at += chunkBytes, chunk++)
    if (crc32(content.subarray(at, at + chunkBytes)) !== checks.readUInt32LE(chunk * 4)) return false;
  return true;
}

/** The head of a segment file. */
export function segmentHead(storeId: number, number: number): Buffer {
  const head = Buffer.alloc(segmentHeadBytes);
  head.writeUInt32LE(segmentMagic, 0);
  head.writeUInt32LE(formatVersion, 4);
  head.writeDoubleLE(storeId, 8);
  head.writeUInt32LE(number, 16);
  head.writeUInt32LE(crc32(head.subarray(0, 20)), 20);
  return head;
}

/** Whether these bytes are the head of this very segment. */
export function isSegmentHead(bytes: Buffer, storeId: number, number: number): boolean {
  return bytes.equals(segmentHead(storeId, number));
}

/** A batch's header and table. */
export function batchHead(head: Omit<BatchHead, "entries">, entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(batchHeadBytes + entries.length * entryBytes);
  entries.forEach((entry, index) => writeEntry(bytes, batchHeadBytes + index * entryBytes, entry));
  bytes.writeUInt32LE(batchMagic, 0);
  bytes.writeUInt32LE(formatVersion, 4);
  bytes.writeDoubleLE(head.storeId, 8);
  bytes.writeDoubleLE(head.generation, 16);
  bytes.writeUInt32LE(head.at, 24);
  bytes.writeUInt32LE(head.bytes, 28);
  bytes.writeUInt32LE(entries.length, 32);
  bytes.writeUInt32LE(crc32(bytes.subarray(batchHeadBytes)), 36);
  bytes.writeDoubleLE(head.position, 40);
  bytes.writeDoubleLE(head.now, 48);
  bytes.writeDoubleLE(head.wallLead, 56);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, batchCrcAt)), batchCrcAt);
  return bytes;
}

/**
 * Reads a batch's header at a place of a segment file, or null where none is whole there: of this store, at this place,
 * within `segmentBytes`.
 */
export function readBatchHead(
  bytes: Buffer,
  { storeId, at, segmentBytes }: { readonly storeId: number; readonly at: number; readonly segmentBytes: number },
): (BatchHead & { readonly tableCrc: number }) | null {
  if (bytes.length < batchHeadBytes || bytes.readUInt32LE(0) !== batchMagic) return null;
  if (bytes.readUInt32LE(batchCrcAt) !== crc32(bytes.subarray(0, batchCrcAt))) return null;
  if (bytes.readUInt32LE(4) !== formatVersion) return null;
  const head = {
    storeId: bytes.readDoubleLE(8),
    generation: bytes.readDoubleLE(16),
    at: bytes.readUInt32LE(24),
    bytes: bytes.readUInt32LE(28),
    entries: bytes.readUInt32LE(32),
    tableCrc: bytes.readUInt32LE(36),
    position: bytes.readDoubleLE(40),
    now: bytes.readDoubleLE(48),
    wallLead: bytes.readDoubleLE(56),
  };
  const isHere = head.storeId === storeId && head.at === at;
  const fits = head.bytes >= batchHeadBytes + head.entries * entryBytes && at + head.bytes <= segmentBytes;
  return isHere && fits ? head : null;
}

/** The entries of a batch, or null where its table is not whole, or speaks of what lies outside of it. */
export function readEntries(table: Buffer, head: BatchHead & { readonly tableCrc: number }): readonly Entry[] | null {
  if (table.length !== head.entries * entryBytes || crc32(table) !== head.tableCrc) return null;
  const entries: Entry[] = [];
  const end = head.at + head.bytes;
  for (let index = 0; index < head.entries; index++) {
    const entry = readEntry(table, index * entryBytes);
    const isHere = (at: number, bytes: number): boolean => at >= head.at && at + bytes <= end;
    if (!isKind(entry.kind)) return null;
    if (entry.kind === kinds.response || entry.kind === kinds.renewed) {
      if (!isHere(entry.metaAt, entry.metaBytes)) return null;
      if (entry.kind === kinds.response && !isHere(entry.contentAt, entry.contentBytes)) return null;
    }
    entries.push(entry);
  }
  return entries;
}

function isKind(kind: number): kind is Kind {
  return kind >= kinds.response && kind <= kinds.outdated;
}

function writeEntry(bytes: Buffer, at: number, entry: Entry): void {
  bytes.writeUInt8(entry.kind, at);
  bytes.writeUInt32LE(entry.hash, at + 4);
  bytes.writeDoubleLE(entry.id, at + 8);
  bytes.writeUInt32LE(entry.variant, at + 16);
  bytes.writeUInt32LE(entry.metaAt, at + 20);
  bytes.writeUInt32LE(entry.metaBytes, at + 24);
  bytes.writeUInt32LE(entry.metaCrc, at + 28);
  bytes.writeUInt32LE(entry.contentAt, at + 32);
  bytes.writeUInt32LE(entry.contentBytes, at + 36);
  bytes.writeDoubleLE(entry.renews, at + 40);
}

function readEntry(bytes: Buffer, at: number): Entry {
  return {
    kind: bytes.readUInt8(at) as Kind,
    hash: bytes.readUInt32LE(at + 4),
    id: bytes.readDoubleLE(at + 8),
    variant: bytes.readUInt32LE(at + 16),
    metaAt: bytes.readUInt32LE(at + 20),
    metaBytes: bytes.readUInt32LE(at + 24),
    metaCrc: bytes.readUInt32LE(at + 28),
    contentAt: bytes.readUInt32LE(at + 32),
    contentBytes: bytes.readUInt32LE(at + 36),
    renews: bytes.readDoubleLE(at + 40),
  };
}
