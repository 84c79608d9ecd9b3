/**
 * Content as it arrives from an origin, read by any number of askers from its first byte, and kept whole where it will
 * be stored. Two modes: `keeping` copies into segments that end up in the store; `passing` holds only what the slowest
 * reader has not taken, and pauses the source beyond a window. Keeping may turn into passing, never back.
 */

import type { Hold, Holder } from "../wire/holds.ts";

/** What a reader writes to; the data plane's exchanges are such. */
export interface ContentSink {
  readonly closed: boolean;
  hold(holder: Holder): Hold;
  write(content: Buffer): boolean;
  end(trailers?: readonly string[]): void;
  abort(): void;
}

/** The flow from the origin. */
export interface ContentSource {
  pause(): void;
  resume(): void;
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

  constructor(mode: "keeping" | "passing", expectedBytes: number | null) {
    this.#passing = mode === "passing";
    this.#expected = expectedBytes;
  }

  /** A complete body of one buffer that nobody will change. */
  static of(content: Buffer): Body {
    const body = new Body("keeping", content.length);
    if (content.length > 0) body.segments.push(content);
    body.bytes = content.length;
    body.complete = true;
    return body;
  }

  get passing(): boolean {
    return this.#passing;
  }

  /** Whether a reader can still begin at the first byte. */
  get whole(): boolean {
    return this.#dropped === 0 && !this.failed;
  }

  append(chunk: Buffer): void {
    if (this.#passing) this.segments.push(chunk);
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
    const reader: BodyReader = new BodyReader(this, sink, from, to, (complete) => {
      this.#readers.delete(reader);
      done(complete);
      this.#balance();
    });
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
        this.#open = Buffer.allocUnsafeSlow(bytes);
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
    if (this.#open !== null && this.#openUsed < this.#open.length) {
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
    let fastestByte = slowestByte;
    for (const reader of this.#readers) fastestByte = Math.max(fastestByte, reader.position);
    const ahead = this.bytes - Math.max(fastestByte, this.#droppedBytes);
    const lag = this.#readers.size > 1 ? this.bytes - slowestByte : 0;
    const held = lag > lagBytesMax;
    this.#pace(held || (this.#pacing !== null && lag > lagBytesMax / 2));
    if ((ahead > windowBytes || held) && !this.#paused) {
      this.#paused = true;
      this.source?.pause();
    } else if (ahead <= windowBytes / 2 && lag <= lagBytesMax / 2 && this.#paused) {
      this.#paused = false;
      this.source?.resume();
    }
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
    this.#pacing = setInterval(() => {
      const slow = [...this.#readers].filter((reader) => {
        const before = marks.get(reader);
        const behind = this.bytes - reader.position > lagBytesMax / 2;
        return behind && before !== undefined && reader.position - before < paceBytesMin;
      });
      marks = new Map([...this.#readers].map((reader) => [reader, reader.position]));
      for (const reader of slow) reader.cut();
    }, paceMs);
    this.#pacing.unref();
  }
}

/** One asker's place in a body. */
export class BodyReader {
  segment = 0;
  position = 0;
  #offset = 0;
  #finished = false;
  #pumping = false;
  /** The sink has enough until it drains: new content must not be pressed upon it. */
  #blocked = false;
  /** Bytes before the first that is wanted; they may not have come yet. */
  #toSkip: number;
  readonly #body: Body;
  readonly #sink: ContentSink;
  readonly #to: number | null;
  readonly #done: (complete: boolean) => void;
  readonly #hold: Hold;

  constructor(body: Body, sink: ContentSink, from: number, to: number | null, done: (complete: boolean) => void) {
    this.#body = body;
    this.#sink = sink;
    this.#to = to;
    this.#done = done;
    this.#toSkip = from;
    this.#hold = sink.hold({
      left: () => this.#finish(false),
      drained: () => {
        this.#blocked = false;
        this.pump();
      },
    });
  }

  /** Writes what is there until the sink has enough. */
  pump(): void {
    if (this.#finished || this.#pumping) return;
    this.#pumping = true;
    const { segments } = this.#body;
    const before = this.position;
    while (!this.#blocked && !this.#sink.closed && !this.#atEnd()) {
      const segment = segments[this.segment];
      if (segment == null) break;
      if (this.#toSkip > 0) {
        const skipped = Math.min(this.#toSkip, segment.length - this.#offset);
        this.#toSkip -= skipped;
        this.#offset += skipped;
        this.position += skipped;
      }
      const left = this.#toSkip > 0 ? 0 : this.#to === null ? Infinity : this.#to - this.position;
      const piece = segment.subarray(this.#offset, Math.min(segment.length, this.#offset + left));
      if (piece.length > 0) {
        this.position += piece.length;
        this.#offset += piece.length;
        this.#blocked = !this.#sink.write(piece);
      }
      if (this.#offset < segment.length) continue;
      // The last segment of a body that still grows may yet get longer.
      if (this.segment === segments.length - 1 && !this.#body.complete && !this.#body.passing) break;
      this.segment++;
      this.#offset = 0;
    }
    this.#pumping = false;
    if (this.#sink.closed) this.#finish(false);
    else if (this.#atEnd()) {
      this.#sink.end(this.#to === null ? this.#body.trailers : []);
      this.#finish(true);
    } else if (this.#body.failed) {
      this.#sink.abort();
      this.#finish(false);
    } else if (this.position > before) this.#body.advanced();
  }

  /** Ends the asker's answer before its time. */
  cut(): void {
    this.#sink.abort();
    this.#finish(false);
  }

  #atEnd(): boolean {
    if (this.#to !== null && this.position >= this.#to) return true;
    return this.#body.complete && this.position >= this.#body.bytes;
  }

  #finish(complete: boolean): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#hold.release();
    this.#done(complete);
  }
}
