/** Content that stays on the disk: read a stretch at a time, checked, and written to whoever asks. */
import { background } from "../../base/background.ts";
import { Body } from "../body.ts";
import type { ContentSink } from "../body-reader.ts";
import { checksBytes, chunkBytes, isAsWritten } from "./format.ts";

/** Where content lies: bytes from the beginning of its segment. */
export interface ContentPlace {
  readonly at: number;
  /** Its checksums. */
  readonly checksAt: number;
  readonly bytes: number;
}

export interface ContentReading {
  /** @returns null where it is not there, or cannot be read. */
  readonly read: (at: number, bytes: number) => Promise<Buffer | null>;
  /** What is there is not what was written, or cannot be read: nothing is said where it is there no more. */
  readonly bad: () => void;
}

/** Chunks read at once. */
const chunksAtOnce = 2;
/** A read that takes longer ends the answer. */
const readMsMax = 10_000;

/** The body of such content; `place` null where it is not there any more. */
export function diskBody(bytes: number, place: ContentPlace | null, reading: ContentReading): Body {
  let checks: Promise<Buffer | null> | null = null;
  return Body.elsewhere(bytes, (sink, from, to, done) => {
    if (place === null) {
      sink.abort();
      return done(false);
    }
    checks ??= checksOf(place, reading);
    background(
      new DiskReading(place, reading, sink).run(checks, from, to ?? bytes).then((complete) => {
        if (complete && !sink.closed) sink.end();
        else if (!sink.closed) sink.abort();
        done(complete);
      }),
      () => {
        sink.abort();
        done(false);
      },
    );
  });
}

function checksOf({ checksAt, bytes }: ContentPlace, { read }: ContentReading): Promise<Buffer | null> {
  return read(checksAt, checksBytes(bytes));
}

/** One asker's way through it. */
class DiskReading {
  readonly #place: ContentPlace;
  readonly #reading: ContentReading;
  readonly #sink: ContentSink;

  constructor(place: ContentPlace, reading: ContentReading, sink: ContentSink) {
    this.#place = place;
    this.#reading = reading;
    this.#sink = sink;
  }

  /** Writes bytes [from, to). @returns whether all of them have been. */
  async run(checking: Promise<Buffer | null>, from: number, to: number): Promise<boolean> {
    const sink = this.#sink;
    const { at, bytes } = this.#place;
    const flow = new Flow();
    const hold = sink.hold(flow);
    try {
      const checks = await flow.orLeft(checking);
      if (checks === "left") return false;
      if (checks === null) return this.#isBad();
      for (let position = from; position < to;) {
        if (sink.closed) return false;
        const first = Math.floor(position / chunkBytes);
        const begin = first * chunkBytes;
        const end = Math.min(bytes, begin + chunksAtOnce * chunkBytes, Math.ceil(to / chunkBytes) * chunkBytes);
        const stretch = await flow.orLeft(this.#reading.read(at + begin, end - begin));
        if (stretch === "left") return false;
        if (stretch === null || !isAsWritten(stretch, first, checks)) return this.#isBad();
        if (sink.closed) return false;
        const piece = stretch.subarray(position - begin, Math.min(end, to) - begin);
        position += piece.length;
        if (!sink.write(piece) && !(await flow.goesOn())) return false;
      }
      return true;
    } finally {
      hold.release();
    }
  }

  #isBad(): false {
    this.#reading.bad();
    return false;
  }
}

/** Waits for an asker to have room again, and for the disk as long as the asker does. */
class Flow {
  #wake: ((goesOn: boolean) => void) | null = null;
  #leave: (() => void) | null = null;

  left(): void {
    this.#wake?.(false);
    this.#leave?.();
  }

  drained(): void {
    this.#wake?.(true);
  }

  goesOn(): Promise<boolean> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  /** What comes, or "left" where the asker has left before, or the disk is too slow. */
  orLeft<T>(coming: Promise<T>): Promise<T | "left"> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve("left"), readMsMax);
      this.#leave = () => resolve("left");
      coming.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}
