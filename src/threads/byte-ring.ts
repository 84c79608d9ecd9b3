/**
 * Frames from one thread to another through shared memory, in order: one side writes, the other reads, neither ever
 * waits in its turn.
 *
 *   control   bytes written · bytes read · whether the reader sleeps · whether the writer waits for room
 *   data      frames: length of the content (4 bytes), kind (4), number (4), content, padded to 4 bytes
 */

const controlBytes = 256;
/** Each on a cache line of its own. */
const written = 0;
const read = 16;
const readerSleeps = 32;
const writerWaits = 48;
const headBytes = 12;

/** Memory that is not used again. */
export const plainly = (bytes: number): Buffer => Buffer.allocUnsafe(bytes);

/** One frame, as it is read. `content` is the reader's to keep. */
export type TakeFrame = (kind: number, number: number, content: Buffer) => void;

/** A ring, from either side. */
export class ByteRing {
  readonly memory: SharedArrayBuffer;
  /** Content of one frame at most, so that a few find room at once. */
  readonly contentMax: number;
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Buffer;
  readonly #size: number;

  /** `memory` comes from `ByteRing.memory`. */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#size = memory.byteLength - controlBytes;
    this.contentMax = this.#size / 4;
    this.#control = new Int32Array(memory, 0, controlBytes / 4);
    this.#words = new Int32Array(memory, controlBytes);
    this.#bytes = Buffer.from(memory, controlBytes);
  }

  /** Memory for a ring of so many bytes, a power of two. */
  static memory(bytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(controlBytes + bytes);
  }

  // ---- who writes -------------------------------------------------------------------------------------------------

  /** Adds a frame; the reader is not woken. @returns false where there is no room for it. */
  write(kind: number, number: number, content: Buffer | null): boolean {
    const control = this.#control;
    const length = content === null ? 0 : content.length;
    const whole = headBytes + ((length + 3) & ~3);
    const at = Atomics.load(control, written);
    if (this.#size - ((at - Atomics.load(control, read)) | 0) < whole) return false;
    const mask = this.#size - 1;
    const words = this.#words;
    words[(at & mask) >>> 2] = length;
    words[((at + 4) & mask) >>> 2] = kind;
    words[((at + 8) & mask) >>> 2] = number;
    if (content !== null) {
      const from = (at + headBytes) & mask;
      const before = Math.min(length, this.#size - from);
      content.copy(this.#bytes, from, 0, before);
      if (before < length) content.copy(this.#bytes, 0, before, length);
    }
    Atomics.store(control, written, (at + whole) | 0);
    return true;
  }

  /** Wakes the reader where it sleeps: to be called when all that there is to write for now has been. */
  wake(): void {
    const control = this.#control;
    // Only who sleeps says that it does not any more: said here, between its word and its sleep, it would sleep on.
    if (Atomics.load(control, readerSleeps) === 1) Atomics.notify(control, written);
  }

  /** Resolves when there may be room again for what found none. */
  async room(): Promise<void> {
    const control = this.#control;
    Atomics.store(control, writerWaits, 1);
    const seen = Atomics.load(control, read);
    // Where all has been read meanwhile, nobody is going to read more.
    if (Atomics.load(control, written) !== seen) {
      const waiting = Atomics.waitAsync(control, read, seen);
      if (waiting.async) await waiting.value;
    }
    Atomics.store(control, writerWaits, 0);
  }

  // ---- who reads --------------------------------------------------------------------------------------------------

  /** Gives frames to `take`, at most so many, their content in memory from `allocate`. @returns how many there were. */
  read(take: TakeFrame, framesMax: number, allocate: (bytes: number) => Buffer = plainly): number {
    const control = this.#control;
    const mask = this.#size - 1;
    const words = this.#words;
    const end = Atomics.load(control, written);
    let at = Atomics.load(control, read);
    let frames = 0;
    try {
      while (at !== end && frames < framesMax) {
        frames++;
        const length = words[(at & mask) >>> 2]!;
        const kind = words[((at + 4) & mask) >>> 2]!;
        const number = words[((at + 8) & mask) >>> 2]!;
        const content = allocate(length);
        const from = (at + headBytes) & mask;
        const before = Math.min(length, this.#size - from);
        this.#bytes.copy(content, 0, from, from + before);
        if (before < length) this.#bytes.copy(content, before, 0, length - before);
        at = (at + headBytes + ((length + 3) & ~3)) | 0;
        Atomics.store(control, read, at);
        take(kind, number, content);
      }
    } finally {
      if (frames > 0 && Atomics.load(control, writerWaits) === 1) Atomics.notify(control, read);
    }
    return frames;
  }

  /** Resolves when there is something to read. @returns whether it had to be waited for. */
  async something(): Promise<boolean> {
    const control = this.#control;
    const seen = Atomics.load(control, read);
    Atomics.store(control, readerSleeps, 1);
    // What has been read is what was written, until something more is.
    const waiting = Atomics.waitAsync(control, written, seen);
    if (waiting.async) await waiting.value;
    Atomics.store(control, readerSleeps, 0);
    return waiting.async;
  }
}
