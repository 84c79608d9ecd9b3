/** One asker's way through a body, from its first wanted byte to the last that has been taken. */
import type { Hold, Holder } from "../wire/holds.ts";

/** What a reader writes to; the data plane's exchanges are such. */
export interface ContentSink {
  readonly closed: boolean;
  hold(holder: Holder): Hold;
  /**
   * `taken` is called once, when the bytes are not needed any more, in whatever order; without it they never change.
   */
  write(content: Buffer, taken?: () => void): boolean;
  end(trailers?: readonly string[]): void;
  abort(): void;
}

/** What a reader sees of the body that it reads. */
export interface ReadBody {
  readonly segments: readonly (Buffer | null)[];
  readonly bytes: number;
  readonly complete: boolean;
  readonly failed: boolean;
  readonly trailers: readonly string[];
  readonly passing: boolean;
  readonly lentFrom: number;
  /** A reader has moved on, or something it wrote has been taken: there may be room again. */
  advanced(): void;
}

/** What a body wants to hear of a reader. */
export interface ReaderOptions {
  /** Whether what it writes may only change when it has been taken. */
  readonly lent: boolean;
  /** It wants no more. */
  readonly done: (complete: boolean) => void;
  /** After that: all that it has written has been taken. */
  readonly settled: () => void;
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
  readonly #body: ReadBody;
  readonly #sink: ContentSink;
  readonly #to: number | null;
  readonly #options: ReaderOptions;
  readonly #hold: Hold;
  /** The segments of what has been written and not been taken yet, in order. */
  readonly #untaken: number[] = [];
  #settled = false;

  constructor(body: ReadBody, sink: ContentSink, from: number, to: number | null, options: ReaderOptions) {
    this.#body = body;
    this.#sink = sink;
    this.#to = to;
    this.#options = options;
    this.#toSkip = from;
    this.#hold = sink.hold({
      left: () => this.#finish(false),
      drained: () => {
        this.#blocked = false;
        this.pump();
      },
    });
  }

  /** The first segment that it, or whoever it has written to, still needs. */
  get neededSegment(): number {
    return this.#untaken[0] ?? this.segment;
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
        this.#blocked = !this.#write(piece);
      }
      if (this.#offset < segment.length) continue;
      // The last segment of a body that still grows may yet get longer.
      if (this.segment === segments.length - 1 && !this.#body.complete && !this.#body.passing) break;
      this.segment++;
      this.#offset = 0;
    }
    this.#pumping = false;
    if (this.#finished) this.#settle();
    else if (this.#sink.closed) this.#finish(false);
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
    this.#options.done(complete);
    this.#settle();
  }

  #settle(): void {
    if (!this.#options.lent || this.#settled || this.#pumping || this.#untaken.length > 0) return;
    this.#settled = true;
    this.#options.settled();
  }

  #write(piece: Buffer): boolean {
    const { segment } = this;
    if (segment < this.#body.lentFrom) return this.#sink.write(piece);
    this.#untaken.push(segment);
    return this.#sink.write(piece, () => this.#taken(segment));
  }

  /** Not in the order of writing: a sink that copies small pieces has taken one while those before it still go out. */
  #taken(segment: number): void {
    this.#untaken.splice(this.#untaken.indexOf(segment), 1);
    if (this.#pumping) return;
    if (this.#finished) this.#settle();
    else this.#body.advanced();
  }
}
