/**
 * What is written to the disk: gathered into batches, which are written one behind the other, when they are full or a
 * short time old. Nobody waits for the disk: what finds no room in the buffers is not put on it, and counted.
 */
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { DiskIndex } from "./disk-index.ts";
import { writeWhole, type DiskIo } from "./disk-io.ts";
import {
  batchHead,
  batchHeadBytes,
  checksBytes,
  enterChecks,
  entryBytes,
  kinds,
  nothing,
  segmentHead,
  segmentHeadBytes,
  type BatchHead,
  type Entry,
} from "./format.ts";
import type { Segments } from "./segments.ts";

/** A response on its way to the disk. */
export interface Written extends Pick<Entry, "hash" | "id" | "variant" | "renews"> {
  /** The record, in pieces. */
  readonly meta: readonly Buffer[];
  /** Content that does not lie in the record. */
  readonly content: readonly Buffer[];
  readonly contentBytes: number;
}

export interface DiskLogInit {
  readonly segments: Segments;
  readonly index: DiskIndex;
  readonly io: DiskIo;
  /** Of one buffer, and of how many there are. */
  readonly bufferBytes: number;
  readonly buffers: number;
  readonly head: () => Pick<BatchHead, "position" | "now" | "wallLead">;
  /** It can be found there from now on. */
  readonly written: (entry: Entry, generation: number) => void;
  /** The disk has failed: nothing more is written. */
  readonly failed: (error: NodeJS.ErrnoException) => void;
}

/** What comes is on the disk after so long at the latest, while that keeps up. */
const sealMs = 500;
/** How long readers of what is written anew are waited for. */
const readersMs = 5000;
const lookMs = 20;
const freeAtOnce = 5000;
/** Of a long response, written at once. */
const stretchBytes = 1024 * 1024;
/** Long responses that wait to be written: their content is kept from being used again meanwhile. */
const longMax = 8;
/** Of one batch. */
const entriesMax = 4096;
/** Things told that wait to be written: a disk that is so far behind has failed. */
const waitingMax = 1_000_000;

interface Batch {
  readonly buffer: Buffer | null;
  used: number;
  /** Places count from the beginning of the buffer. */
  readonly entries: Entry[];
}

interface Long {
  readonly what: Written;
  readonly done: () => void;
}

/** The end of the log. */
export class DiskLog {
  readonly counts = { responses: 0, bytes: 0, refused: 0 };
  readonly #init: DiskLogInit;
  readonly #free: Buffer[];
  readonly #queue: (Batch | Long)[] = [];
  #open: Batch = { buffer: null, used: 0, entries: [] };
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #long = 0;
  #waiting = 0;
  #ended = false;

  constructor(init: DiskLogInit) {
    this.#init = init;
    this.#free = Array.from({ length: init.buffers }, () => Buffer.allocUnsafeSlow(init.bufferBytes));
  }

  /** Whether it goes to the disk; else there is no room for it now. */
  append(what: Written): boolean {
    const metaBytes = sum(what.meta);
    const checks = checksBytes(what.contentBytes);
    const bytes = metaBytes + checks + what.contentBytes;
    // What is copied must stand in the table of the batch that it is copied to.
    if (this.#open.entries.length >= entriesMax) this.#seal();
    if (this.#ended || bytes > this.#init.bufferBytes || !this.#buffer(bytes)) {
      this.counts.refused++;
      return false;
    }
    const open = this.#open;
    const buffer = open.buffer!;
    const metaAt = open.used;
    const contentAt = metaAt + metaBytes + checks;
    copyInto(buffer, metaAt, what.meta);
    copyInto(buffer, contentAt, what.content);
    enterChecks(what.content, 0, buffer.subarray(metaAt + metaBytes, contentAt));
    open.used += bytes;
    const metaCrc = crc32(buffer.subarray(metaAt, metaAt + metaBytes + checks));
    const { hash, id, variant, renews, contentBytes } = what;
    this.#add({
      ...nothing,
      kind: renews === 0 ? kinds.response : kinds.renewed,
      hash,
      id,
      variant,
      renews,
      metaAt,
      metaBytes: metaBytes + checks,
      metaCrc,
      contentAt,
      contentBytes,
    });
    return true;
  }

  /**
   * The same for content that a buffer could not hold: it is written from where it lies, which must stay as it is until
   * `done`.
   */
  appendLong(what: Written, done: () => void): boolean {
    const bytes = batchHeadBytes + entryBytes + sum(what.meta) + checksBytes(what.contentBytes) + what.contentBytes;
    const fits = bytes <= this.#init.segments.segmentBytes - segmentHeadBytes - batchHeadBytes;
    if (this.#ended || !fits || this.#long === longMax) {
      this.counts.refused++;
      return false;
    }
    this.#seal();
    this.#long++;
    this.#enqueue({ what, done });
    return true;
  }

  /** Tells something of a response. */
  mark(kind: typeof kinds.gone | typeof kinds.outdated, hash: number, id: number): void {
    if (this.#ended) return;
    if (this.#open.entries.length >= entriesMax) this.#seal();
    this.#add({ ...nothing, kind, hash, id });
  }

  /** Writes all that has come, and resolves when that is done. */
  async flush(): Promise<void> {
    // Making room tells that something is gone, which has to be written too.
    do {
      this.#seal();
      await this.#running;
    } while (!this.#ended && this.#open.entries.length > 0);
  }

  get isWriting(): boolean {
    return this.#running !== null;
  }

  /** Nothing is taken any more. What is being written is not waited for. */
  end(): void {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const job of this.#queue.splice(0)) if ("done" in job) job.done();
    this.#open = { buffer: null, used: 0, entries: [] };
  }

  /** Makes sure that so many bytes fit in the open batch. */
  #buffer(bytes: number): boolean {
    if (this.#open.buffer !== null && this.#open.used + bytes <= this.#init.bufferBytes) return true;
    const buffer = this.#free.pop();
    if (buffer === undefined) return false;
    if (this.#open.buffer === null) this.#open = { buffer, used: 0, entries: this.#open.entries };
    else {
      this.#seal();
      this.#open = { buffer, used: 0, entries: [] };
    }
    return true;
  }

  #add(entry: Entry): void {
    this.#open.entries.push(entry);
    this.#timer ??= setTimeout(() => this.#seal(), sealMs).unref();
    if (++this.#waiting > waitingMax) this.#fail(new Error("the disk does not keep up with what has to be told to it"));
  }

  #seal(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#open.entries.length === 0) return;
    const sealed = this.#open;
    this.#open = { buffer: null, used: 0, entries: [] };
    this.#enqueue(sealed);
  }

  #enqueue(job: Batch | Long): void {
    this.#queue.push(job);
    this.#running ??= this.#run().finally(() => (this.#running = null));
  }

  async #run(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      try {
        await ("done" in job ? this.#writeLong(job) : this.#writeBatch(job));
      } catch (error) {
        this.#fail(error as NodeJS.ErrnoException);
      }
      if ("done" in job) {
        this.#long--;
        job.done();
      } else {
        this.#waiting -= job.entries.length;
        if (job.buffer !== null) this.#free.push(job.buffer);
      }
    }
  }

  async #writeBatch({ buffer, used, entries }: Batch): Promise<void> {
    const { segments, io, head } = this.#init;
    const headBytes = batchHeadBytes + entries.length * entryBytes;
    const bytes = headBytes + used;
    const { fd, generation, at } = await this.#room(
      bytes,
      entries.filter(({ kind }) => kind === kinds.response).length,
    );
    const placed = entries.map((entry) => ({
      ...entry,
      metaAt: entry.metaAt + at + headBytes,
      contentAt: entry.contentAt + at + headBytes,
    }));
    const first = batchHead({ storeId: segments.storeId, generation, at, bytes, ...head() }, placed);
    await writeWhole(io, fd, buffer === null ? [first] : [first, buffer.subarray(0, used)], at);
    await segments.mustBeThere(fd);
    this.counts.bytes += bytes;
    this.#publish(placed, generation);
  }

  /** Its head and table come last: what they speak of is there. */
  async #writeLong({ what }: Long): Promise<void> {
    const { segments, io, head } = this.#init;
    const { hash, id, variant, renews, contentBytes } = what;
    const checks = Buffer.alloc(checksBytes(contentBytes));
    const metaBytes = sum(what.meta) + checks.length;
    const headBytes = batchHeadBytes + entryBytes;
    const bytes = headBytes + metaBytes + contentBytes;
    const { fd, generation, at } = await this.#room(bytes, 1);
    const metaAt = at + headBytes;
    const contentAt = metaAt + metaBytes;
    let done = 0;
    for (const stretch of stretches(what.content)) {
      enterChecks(stretch, done, checks);
      await writeWhole(io, fd, stretch, contentAt + done);
      done += sum(stretch);
      if (this.#ended) return;
    }
    const meta = Buffer.concat([...what.meta, checks]);
    const places = { metaAt, metaBytes, metaCrc: crc32(meta), contentAt, contentBytes };
    const entry: Entry = { kind: kinds.response, hash, id, variant, renews, ...places };
    const first = batchHead({ storeId: segments.storeId, generation, at, bytes, ...head() }, [entry]);
    await writeWhole(io, fd, [first, meta], at);
    await segments.mustBeThere(fd);
    this.counts.bytes += bytes;
    this.#publish([entry], generation);
  }

  #publish(entries: readonly Entry[], generation: number): void {
    if (this.#ended) return;
    for (const entry of entries) {
      if (entry.kind === kinds.response || entry.kind === kinds.renewed) this.counts.responses++;
      this.#init.written(entry, generation);
    }
  }

  /** A place for so many bytes, and in the index for so many entries: for that, what is oldest goes. */
  async #room(bytes: number, entries: number) {
    const { segments, index } = this.#init;
    if (!segments.fits(bytes)) await this.#nextSegment();
    while (index.left < entries) {
      const slot = index.oldest;
      if (slot === -1) break;
      this.mark(kinds.gone, index.hash(slot), index.id(slot));
      index.remove(slot);
    }
    return segments.reserve(bytes);
  }

  /** Begins the oldest segment anew: a batch without anything tells that what it had does not count any more. */
  async #nextSegment(): Promise<void> {
    const { segments, index, io, head } = this.#init;
    index.condemn(segments.nextGeneration);
    while (!index.free(freeAtOnce)) await setImmediate();
    for (let waited = 0; segments.nextPins > 0 && waited < readersMs; waited += lookMs) await sleep(lookMs);
    const { number, fd, generation } = segments.advance();
    const { storeId } = segments;
    const { at } = segments.reserve(batchHeadBytes);
    const first = batchHead({ storeId, generation, at, bytes: batchHeadBytes, ...head() }, []);
    await writeWhole(io, fd, [segmentHead(storeId, number), first], 0);
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#ended) return;
    this.end();
    this.#init.failed(error);
  }
}

function sum(pieces: readonly Buffer[]): number {
  return pieces.reduce((bytes, { length }) => bytes + length, 0);
}

function copyInto(buffer: Buffer, from: number, pieces: readonly Buffer[]): void {
  let at = from;
  for (const piece of pieces) at += piece.copy(buffer, at);
}

/** Pieces that together have a megabyte each, but for the last: whole chunks. */
function* stretches(content: readonly Buffer[]): Generator<Buffer[]> {
  let stretch: Buffer[] = [];
  let bytes = 0;
  for (const piece of content) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + stretchBytes - bytes);
      stretch.push(part);
      bytes += part.length;
      at += part.length;
      if (bytes < stretchBytes) continue;
      yield stretch;
      [stretch, bytes] = [[], 0];
    }
  }
  if (bytes > 0) yield stretch;
}
