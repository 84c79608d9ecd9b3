/**
 * Where what comes on a connection is read into. All connections share one buffer: whoever is given what it holds uses
 * it up, or copies it, before the call returns. (A buffer for each read would be 64 KB of memory outside the heap until
 * the next collection.) While a connection brings a long content it has a buffer for itself, and what has been read may
 * be kept as it is until it is let go: then the connection goes on in another buffer.
 */

const bufferBytes = 64 * 1024;
/** Reads of less than this are not worth a buffer: what they bring is copied. */
const ownBytesMin = 32 * 1024;
/** Buffers that wait to be used again. */
const freeMax = 32;
/** Idle connections that have one for themselves, since their last answer was long: so may the next be. */
const idleMax = 64;

/** A buffer, and how many keep something of what has been read into it. */
interface Memory {
  readonly buffer: Buffer;
  keepers: number;
  /** A connection reads into it. */
  inUse: boolean;
}

const shared: Memory = { buffer: Buffer.allocUnsafeSlow(bufferBytes), keepers: 0, inUse: true };
const free: Memory[] = [];
let idle = 0;

/** The reads of one connection. */
export class Reading {
  readonly #received: (bytes: Buffer) => void;
  #memory = shared;
  #lastBytes = 0;
  #isLong = false;
  /** Of the answer that comes, or came last, something came in a large piece. */
  #hadLarge = false;
  #isIdle = false;

  /** `received` is given what comes, to be used up, copied or kept at once. */
  constructor(received: (bytes: Buffer) => void) {
    this.#received = received;
  }

  /** As `net.connect` takes it. */
  get onread(): { readonly buffer: () => Buffer; readonly callback: (bytes: number) => boolean } {
    return {
      buffer: () => this.#next(),
      callback: (bytes) => {
        this.#wakes();
        this.#lastBytes = bytes;
        this.#received(this.#memory.buffer.subarray(0, bytes));
        if (bytes >= ownBytesMin) this.#hadLarge = true;
        return true;
      },
    };
  }

  /** An answer begins. Where a long content comes with it, the connection may have a buffer for itself. */
  begins(isLong: boolean): void {
    this.#isLong = isLong;
    this.#hadLarge = false;
  }

  /** The answer has ended. */
  ends(): void {
    this.#isLong = false;
  }

  /** The connection is gone. */
  over(): void {
    this.#wakes();
    this.#hadLarge = false;
  }

  /**
   * To be called while `received` is: what was read stays as it is until what is returned has been called, once. Null
   * where it does not.
   */
  keep(): (() => void) | null {
    const memory = this.#memory;
    if (memory === shared) return null;
    memory.keepers++;
    return () => {
      if (--memory.keepers === 0 && !memory.inUse) giveBack(memory);
    };
  }

  /** What the next read goes into. */
  #next(): Buffer {
    const memory = this.#memory;
    const wantsOwn = this.#isLong ? this.#lastBytes >= ownBytesMin : this.#hadLarge && this.#mayIdle();
    if (memory === shared ? wantsOwn : memory.keepers > 0 || !wantsOwn) {
      if (memory !== shared) {
        memory.inUse = false;
        if (memory.keepers === 0) giveBack(memory);
      }
      this.#memory = wantsOwn ? take() : shared;
    }
    return this.#memory.buffer;
  }

  #mayIdle(): boolean {
    if (!this.#isIdle && idle >= idleMax) return false;
    if (!this.#isIdle) idle++;
    this.#isIdle = true;
    return true;
  }

  #wakes(): void {
    if (this.#isIdle) idle--;
    this.#isIdle = false;
  }
}

function take(): Memory {
  const memory = free.pop() ?? { buffer: Buffer.allocUnsafeSlow(bufferBytes), keepers: 0, inUse: true };
  memory.inUse = true;
  return memory;
}

function giveBack(memory: Memory): void {
  if (free.length < freeMax) free.push(memory);
}
