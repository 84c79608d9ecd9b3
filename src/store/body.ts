/**
 * Content as it arrives from an origin, read by any number of askers from its first byte, and kept whole where it will
 * be stored. Two modes: `keeping` copies into segments that end up in the store; `passing` holds only what the slowest
 * reader has not taken, and pauses the source beyond a window. Keeping may turn into passing, never back.
 *
 * Segments may lie in memory that is used again (the store's pages): then they are let go only when whoever they were
 * written to has taken them, down to the kernel.
 */
import { lookEvery } from "../base/look-every.ts";
import { BodyReader, type ContentSink } from "./body-reader.ts";

/** The flow from the origin. */
export interface ContentSource {
  pause(): void;
  resume(): void;
  /**
   * While content is appended: its memory stays as it is until what is returned has been called, once. Null, or absent,
   * where it does not.
   */
  keep?(): (() => void) | null;
}

/** Where the segments of content that is kept come from. */
export interface SegmentSource {
  /** The next one, to be filled; what there has to be room for was asked for before. */
  next(): Buffer;
  /** The first segments are memory of their own; those from here on are used again. */
  readonly lentFrom: number;
  /** Of those given, the oldest that was not yet let go is read by nobody any more. */
  let(): void;
}

/** Keeps the memory of segments from being used again. */
export interface Pin {
  take(): void;
  release(): void;
}

/** Content passed on without being kept may be this far ahead of its fastest reader. */
const windowBytes = 512 * 1024;
/**
 * A reader may fall this far behind while a body passes; then the source waits for it, as it would for a single one.
 */
const lagBytesMax = 16 * windowBytes;
/**
 * Who keeps the others waiting must take at least so much in so long: one stalled client must not stop all who share a
 * body.
 */
const paceBytesMin = 256 * 1024;
const paceMs = 10_000;
/** So often it is looked at in that time: while this process stood still, nobody can have taken anything. */
const paceLooks = 10;
/** Less than this is copied: keeping it would keep all that was read with it, twice as much and more. */
const keptBytesMin = 32 * 1024;
const segmentBytesMax = 256 * 1024;
const segmentBytesMin = 4 * 1024;

/** Content, arriving or complete. */
export class Body {
  /** Those dropped in passing mode are null. */
  readonly segments: (Buffer | null)[] = [];
  bytes = 0;
  complete = false;
  failed = false;
  trailers: readonly string[] = [];
  source: ContentSource | null = null;
  #passing: boolean;
  #expected: number | null;
  #open: Buffer | null = null;
  #openUsed = 0;
  #dropped = 0;
  #droppedBytes = 0;
  #paused = false;
  /** Runs while readers wait for one that is far behind. */
  #pacing: NodeJS.Timeout | null = null;
  /** Until the first reader has come, nothing is dropped: it may still be on its way. */
  #awaited = true;
  readonly #readers = new Set<BodyReader>();
  /** Readers that have written all they wanted, but not all of it has been taken. */
  readonly #settling = new Set<{ readonly neededSegment: number }>();
  readonly #room: SegmentSource | null;
  /** Segments that lie in the room, the first ones; and those of them that have been given back. */
  #roomSegments: number;
  /** By segment: lets go memory of the source's. */
  readonly #loans = new Map<number, () => void>();
  #loansFrom = Infinity;
  #given = 0;
  #pin: Pin | null = null;
  #unread: (() => void) | null = null;
  #reads: Body["read"] | null = null;

  /** `room` null: segments are memory of their own. */
  constructor(mode: "keeping" | "passing", expectedBytes: number | null, room: SegmentSource | null = null) {
    this.#passing = mode === "passing";
    this.#roomSegments = this.#passing ? 0 : Infinity;
    this.#expected = expectedBytes;
    this.#room = room;
  }

  /** A complete body in segments that stay what they are: for ever, or as long as they are pinned. */
  static of(segments: readonly Buffer[], pin: Pin | null = null): Body {
    const body = new Body("keeping", null);
    for (const segment of segments) {
      body.segments.push(segment);
      body.bytes += segment.length;
    }
    body.complete = true;
    body.#pin = pin;
    return body;
  }

  /** A complete body that lies elsewhere: `reads` sends bytes [from, to) of it to a sink. */
  static elsewhere(bytes: number, reads: Body["read"]): Body {
    const body = new Body("keeping", null);
    body.bytes = bytes;
    body.complete = true;
    body.#reads = reads;
    return body;
  }

  get isElsewhere(): boolean {
    return this.#reads !== null;
  }

  /** Whether it is complete, and here in one piece at most: it can be given at once. */
  get isAtHand(): boolean {
    return this.complete && this.#reads === null && this.segments.length <= 1;
  }

  /** Whether segments may be used again once nobody needs them. */
  get #lent(): boolean {
    // A source that has ended lends nothing more, but what it has lent before may still be read.
    const isLoaned = this.source?.keep !== undefined || this.#loansFrom !== Infinity;
    return this.#room !== null || this.#pin !== null || isLoaned;
  }

  /** The first segment that is used again once nobody needs it. */
  get lentFrom(): number {
    if (this.#pin !== null) return 0;
    return this.#room === null ? this.#loansFrom : Math.min(this.#room.lentFrom, this.#loansFrom);
  }

  /**
   * Holds the only segment while it is written as a whole: to be called before that. @returns what to call when it has
   * been taken, or undefined where the memory is nobody else's.
   */
  lend(): (() => void) | undefined {
    if (this.lentFrom > 0) return undefined;
    const reader = new Lent(() => {
      this.#settling.delete(reader);
      this.#pin?.release();
      this.#letGo();
    });
    this.#pin?.take();
    this.#settling.add(reader);
    return reader.taken;
  }

  /** Nobody will begin to read any more: `unread` is called when those who do, if any, have had it all. */
  whenUnread(unread: () => void): void {
    this.#unread = unread;
    this.#letGo();
  }

  get passing(): boolean {
    return this.#passing;
  }

  /** Whether a reader can still begin at the first byte. */
  get whole(): boolean {
    return this.#dropped === 0 && !this.failed;
  }

  /** Adds content; it is copied, or kept where the source lets it be kept. */
  append(chunk: Buffer): void {
    if (this.#passing) this.segments.push(this.#held(chunk));
    else this.#keep(chunk);
    this.bytes += chunk.length;
    for (const reader of this.#readers) reader.pump();
    this.#balance();
  }

  finish(trailers: readonly string[] = []): void {
    this.complete = true;
    this.trailers = trailers;
    // The flow has ended: a stored body must not keep its fetch, and with it a whole request, alive.
    this.source = null;
    this.#closeSegment();
    for (const reader of this.#readers) reader.pump();
  }

  fail(): void {
    if (this.complete) return;
    this.failed = true;
    this.source = null;
    this.#pace(false);
    for (const reader of this.#readers) reader.pump();
  }

  /** It will not be stored after all: from now on only what somebody still has to read is held. */
  pass(): void {
    if (this.#passing || this.complete) return;
    this.#closeSegment();
    this.#roomSegments = this.segments.length;
    this.#passing = true;
    this.#balance();
  }

  /**
   * Sends bytes [from, to) to a sink, as they come; `to` null means up to the end. `done` is called once, however it
   * ends.
   */
  read(sink: ContentSink, from: number, to: number | null, done: (complete: boolean) => void): void {
    this.#awaited = false;
    if (sink.closed) {
      done(false);
      this.#balance();
      return;
    }
    if (this.#reads !== null) return this.#reads(sink, from, to, done);
    const lent = this.#lent;
    const reader: BodyReader = new BodyReader(this, sink, from, to, {
      lent,
      done: (complete) => {
        this.#readers.delete(reader);
        if (lent) this.#settling.add(reader);
        done(complete);
        this.#balance();
      },
      settled: () => {
        this.#settling.delete(reader);
        this.#pin?.release();
        this.#balance();
        this.#letGo();
      },
    });
    this.#pin?.take();
    this.#readers.add(reader);
    reader.pump();
  }

  /** A reader has moved on: there may be room again. */
  advanced(): void {
    if (this.#passing) this.#balance();
  }

  /** All of it in one buffer; a copy only where it lies in several. */
  joined(): Buffer {
    return this.segments.length === 1 ? this.segments[0]! : Buffer.concat(this.segments as Buffer[]);
  }

  #held(chunk: Buffer): Buffer {
    const release = chunk.length < keptBytesMin ? null : (this.source?.keep?.() ?? null);
    if (release === null) return Buffer.from(chunk);
    const segment = this.segments.length;
    this.#loans.set(segment, release);
    this.#loansFrom = Math.min(this.#loansFrom, segment);
    return chunk;
  }

  #keep(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#open === null) {
        const left = this.#expected === null ? null : this.#expected - this.bytes - at;
        const grown = Math.max(segmentBytesMin, Math.min(segmentBytesMax, this.bytes));
        const bytes =
          left !== null && left > 0
            ? Math.min(left, segmentBytesMax)
            : Math.max(grown, Math.min(chunk.length - at, segmentBytesMax));
        this.#open = this.#room?.next() ?? Buffer.allocUnsafeSlow(bytes);
        this.#openUsed = 0;
        this.segments.push(this.#open.subarray(0, 0));
      }
      const taken = Math.min(chunk.length - at, this.#open.length - this.#openUsed);
      chunk.copy(this.#open, this.#openUsed, at, at + taken);
      this.#openUsed += taken;
      at += taken;
      this.segments[this.segments.length - 1] = this.#open.subarray(0, this.#openUsed);
      if (this.#openUsed === this.#open.length) this.#open = null;
    }
  }

  /** Gives back what a last segment did not need. */
  #closeSegment(): void {
    // In the store's room it is the store that takes back the rest.
    if (this.#room === null && this.#open !== null && this.#openUsed < this.#open.length) {
      const exact = Buffer.allocUnsafeSlow(this.#openUsed);
      this.#open.copy(exact, 0, 0, this.#openUsed);
      if (this.#openUsed === 0) this.segments.pop();
      else this.segments[this.segments.length - 1] = exact;
    }
    this.#open = null;
  }

  #balance(): void {
    if (!this.#passing || this.failed) return;
    let slowestSegment = this.#awaited ? 0 : this.segments.length;
    let slowestByte = this.#awaited ? 0 : this.bytes;
    for (const reader of this.#readers) {
      slowestSegment = Math.min(slowestSegment, reader.segment);
      slowestByte = Math.min(slowestByte, reader.position);
    }
    while (this.#dropped < slowestSegment) {
      this.#droppedBytes += this.segments[this.#dropped]!.length;
      this.segments[this.#dropped++] = null;
    }
    this.#giveBack();
    let fastestByte = slowestByte;
    for (const reader of this.#readers) fastestByte = Math.max(fastestByte, reader.position);
    const ahead = this.bytes - Math.max(fastestByte, this.#droppedBytes);
    const lag = this.#readers.size > 1 ? this.bytes - slowestByte : 0;
    const held = lag > lagBytesMax;
    this.#pace(held || (this.#pacing !== null && lag > lagBytesMax / 2));
    if ((ahead > windowBytes || held) && !this.#paused) {
      this.#paused = true;
      this.source?.pause();
    } else if (
      ahead <= windowBytes / 2 &&
      lag <= (this.#pacing === null ? lagBytesMax : lagBytesMax / 2) &&
      this.#paused
    ) {
      this.#paused = false;
      this.source?.resume();
    }
  }

  /** Memory whose content has been read, and taken by all whom it was written to. */
  #giveBack(): void {
    if (this.#room === null && this.#loansFrom === Infinity) return;
    let needed = this.#dropped;
    for (const reader of this.#readers) needed = Math.min(needed, reader.neededSegment);
    for (const reader of this.#settling) needed = Math.min(needed, reader.neededSegment);
    for (; this.#given < needed; this.#given++) {
      if (this.#given < this.#roomSegments) this.#room?.let();
      else this.#loans.get(this.#given)?.();
      this.#loans.delete(this.#given);
    }
  }

  #letGo(): void {
    if (this.#unread === null || this.#readers.size > 0 || this.#settling.size > 0) return;
    const unread = this.#unread;
    this.#unread = null;
    unread();
  }

  /** Watches, while others wait, that whoever is behind moves on; who does not is cut. */
  #pace(watch: boolean): void {
    if (!watch || this.complete || this.failed) {
      if (this.#pacing !== null) clearInterval(this.#pacing);
      this.#pacing = null;
      return;
    }
    if (this.#pacing !== null) return;
    let marks = new Map([...this.#readers].map((reader) => [reader, reader.position]));
    let looks = 0;
    this.#pacing = lookEvery(paceMs / paceLooks, () => {
      if (++looks % paceLooks !== 0) return;
      const slow = [...this.#readers].filter((reader) => {
        const before = marks.get(reader);
        const behind = this.bytes - reader.position > lagBytesMax / 2;
        return behind && before !== undefined && reader.position - before < paceBytesMin;
      });
      marks = new Map([...this.#readers].map((reader) => [reader, reader.position]));
      for (const reader of slow) reader.cut();
    });
  }
}

/** A whole segment on its way. */
class Lent {
  readonly neededSegment = 0;
  readonly taken: () => void;

  constructor(taken: () => void) {
    this.taken = taken;
  }
}
