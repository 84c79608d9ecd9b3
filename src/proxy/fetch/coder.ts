/**
 * Content through a coder or a decoder of zlib, which works on threads of its own, with backpressure both ways. How
 * many work at once is bounded: each takes some memory, and one that is too many is not worth it.
 */
import { constants, createBrotliCompress, createBrotliDecompress, createGunzip, createGzip } from "node:zlib";
import * as zlib from "node:zlib";
import type { Transform } from "node:stream";
import type { Coding } from "../../http/codings.ts";

/** zstd is there from Node 22.15 on. */
type Zstd = Partial<{
  createZstdCompress: (options: { params: Record<number, number> }) => Transform & Flushing;
  createZstdDecompress: (options: { params: Record<number, number> }) => Transform & Flushing;
}>;
interface Flushing {
  flush(callback?: () => void): void;
}
const zstd = zlib as unknown as Zstd & { constants: Record<string, number> };

/** Whether this Node has a coding. */
export function hasCoding(coding: Coding): boolean {
  return coding !== "zstd" || zstd.createZstdCompress !== undefined;
}

/** How hard is tried: what is stored is coded once, what is not is coded for one client. */
export type Effort = "stored" | "passing";

/** Coders and decoders at work at once. */
const workingMax = 64;
let working = 0;
/** A window of 256 KB: what a larger one gains is little, and its memory is taken by each. */
const windowBits = 18;
/** What an origin's content may need: 8 MB, RFC 9659 §3. The library would take 128 MB for each answer that says so. */
const zstdWindowBits = 23;

export interface CoderListener {
  data(chunk: Buffer): void;
  end(): void;
  failed(error: Error): void;
  /** There is room again. */
  drained(): void;
}

/** One content on its way. */
export class Coder {
  readonly #transform: Transform & Flushing;
  #flushing: NodeJS.Timeout | null = null;
  #ended = false;
  #gone = false;
  /** What has been written and is still being read. */
  readonly #untaken = new Set<() => void>();

  private constructor(transform: Transform & Flushing, listener: CoderListener) {
    this.#transform = transform;
    working++;
    transform.on("data", (chunk: Buffer) => listener.data(chunk));
    transform.on("drain", () => listener.drained());
    transform.once("end", () => {
      this.#leave();
      listener.end();
    });
    // One that is destroyed calls nobody back: what it was given is free when it has let go of it.
    transform.once("close", () => {
      for (const taken of this.#untaken) taken();
      this.#untaken.clear();
    });
    transform.once("error", (error) => {
      if (this.#gone) return;
      this.#leave();
      listener.failed(error);
    });
  }

  /** Null where too many are at work. `bytes`: of the content, where that is known. */
  static coding(coding: Coding, effort: Effort, bytes: number | null, listener: CoderListener): Coder | null {
    return working >= workingMax ? null : new Coder(coderOf(coding, effort, bytes), listener);
  }

  /** As many as there are answers of origins. */
  static decoding(coding: Coding, listener: CoderListener): Coder {
    return new Coder(decoderOf(coding), listener);
  }

  /** `taken` is called when the bytes are not needed any more. @returns false where it is slower: `drained` follows. */
  write(chunk: Buffer, taken: () => void): boolean {
    if (this.#gone) {
      taken();
      return true;
    }
    // One for each write: a reader gives the same function each time.
    const once = (): void => taken();
    this.#untaken.add(once);
    return this.#transform.write(chunk, () => {
      if (this.#untaken.delete(once)) once();
    });
  }

  /** What is written goes out within so many ms, whatever follows. */
  flushWithin(ms: number): void {
    this.#flushing ??= setTimeout(() => {
      this.#flushing = null;
      if (!this.#gone && !this.#ended) this.#transform.flush();
    }, ms).unref();
  }

  end(): void {
    this.#ended = true;
    if (!this.#gone) this.#transform.end();
  }

  pause(): void {
    this.#transform.pause();
  }

  resume(): void {
    this.#transform.resume();
  }

  /** Nobody wants it any more. */
  destroy(): void {
    if (this.#gone) return;
    this.#leave();
    this.#transform.destroy();
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    working--;
    if (this.#flushing !== null) clearTimeout(this.#flushing);
  }
}

function coderOf(coding: Coding, effort: Effort, bytes: number | null): Transform & Flushing {
  switch (coding) {
    case "zstd": {
      const { ZSTD_c_compressionLevel: level, ZSTD_c_windowLog: window } = zstd.constants;
      const params = { [level!]: effort === "stored" ? 3 : 1, [window!]: windowBits };
      return zstd.createZstdCompress!({ params });
    }
    case "br":
      return createBrotliCompress({
        params: {
          [constants.BROTLI_PARAM_QUALITY]: effort === "stored" ? 5 : 1,
          [constants.BROTLI_PARAM_LGWIN]: windowBits,
          ...(bytes === null ? {} : { [constants.BROTLI_PARAM_SIZE_HINT]: bytes }),
        },
      });
    case "gzip":
      return createGzip({ level: effort === "stored" ? 6 : 1 });
  }
}

function decoderOf(coding: Coding): Transform & Flushing {
  switch (coding) {
    case "zstd":
      return zstd.createZstdDecompress!({ params: { [zstd.constants["ZSTD_d_windowLogMax"]!]: zstdWindowBits } });
    case "br":
      return createBrotliDecompress();
    case "gzip":
      return createGunzip();
  }
}
