/**
 * The memory that a reader thread shares with whoever asks it: numbered jobs, each with a place for what is read. Jobs
 * are done in order. One side adds them, the other finishes them.
 *
 *   control   jobs added · jobs finished · whether it is over · whether the thread sleeps
 *   jobs      file descriptor, length, result; position
 *   places    what is read
 */

/** What one job may read: bytes. */
export const placeBytes: number = 80 * 1024;

const controlBytes = 64;
const jobBytes = 32;

/** Bytes of memory that a ring takes in which so many jobs may be under way. */
export function ringBytes(jobs: number): number {
  return controlBytes + jobs * (jobBytes + placeBytes);
}

const added = 0;
const finished = 1;
const over = 2;
const sleeping = 3;

/** One job, as the thread sees it. */
export interface ReadJob {
  readonly fd: number;
  readonly at: number;
  readonly bytes: number;
  readonly into: Buffer;
}

/** The ring, from either side. */
export class ReadRing {
  readonly memory: SharedArrayBuffer;
  /** Jobs under way at most. */
  readonly jobs: number;
  readonly #placesAt: number;
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #bytes: Buffer;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.jobs = Math.floor((memory.byteLength - controlBytes) / (jobBytes + placeBytes));
    this.#placesAt = controlBytes + this.jobs * jobBytes;
    this.#control = new Int32Array(memory, 0, controlBytes / 4);
    this.#words = new Int32Array(memory, controlBytes, (this.jobs * jobBytes) / 4);
    this.#floats = new Float64Array(memory, controlBytes, (this.jobs * jobBytes) / 8);
    this.#bytes = Buffer.from(memory);
  }

  // ---- who asks ---------------------------------------------------------------------------------------------------

  /** Adds a job; at most `jobs` are under way. The thread is to be woken when all that there is to add has been. */
  add(job: number, fd: number, at: number, bytes: number): void {
    const slot = job % this.jobs;
    this.#words[slot * 8] = fd;
    this.#words[slot * 8 + 1] = bytes;
    this.#floats[slot * 4 + 2] = at;
    Atomics.store(this.#control, added, (job + 1) | 0);
  }

  /** Wakes the thread where it sleeps. */
  wake(): void {
    if (Atomics.load(this.#control, sleeping) === 1) Atomics.notify(this.#control, added);
  }

  /** Jobs finished so far, as far as 32 bits count. */
  get finished(): number {
    return Atomics.load(this.#control, finished);
  }

  /** Resolves when more than these have been, or are at once. */
  async moreThan(seen: number): Promise<void> {
    const waiting = Atomics.waitAsync(this.#control, finished, seen | 0);
    if (waiting.async) await waiting.value;
  }

  /** Bytes that a job has read, -1 where it failed; and what it has read: to be used before another job is added. */
  result(job: number): { readonly bytes: number; readonly read: Buffer } {
    const slot = job % this.jobs;
    const bytes = this.#words[slot * 8 + 2]!;
    const at = this.#placesAt + slot * placeBytes;
    return { bytes, read: this.#bytes.subarray(at, at + Math.max(0, bytes)) };
  }

  /** The thread ends when it looks for the next job. */
  end(): void {
    Atomics.store(this.#control, over, 1);
    Atomics.notify(this.#control, added);
  }

  // ---- the thread -------------------------------------------------------------------------------------------------

  /** Waits until a job is there. @returns false where there will be none. */
  waitFor(job: number): boolean {
    for (;;) {
      if (Atomics.load(this.#control, over) === 1) return false;
      if (Atomics.load(this.#control, added) !== (job | 0)) return true;
      Atomics.store(this.#control, sleeping, 1);
      Atomics.wait(this.#control, added, job | 0, 1000);
      Atomics.store(this.#control, sleeping, 0);
    }
  }

  job(job: number): ReadJob {
    const slot = job % this.jobs;
    const bytes = this.#words[slot * 8 + 1]!;
    const at = this.#placesAt + slot * placeBytes;
    return {
      fd: this.#words[slot * 8]!,
      at: this.#floats[slot * 4 + 2]!,
      bytes,
      into: this.#bytes.subarray(at, at + bytes),
    };
  }

  finish(job: number, bytes: number): void {
    this.#words[(job % this.jobs) * 8 + 2] = bytes;
    Atomics.store(this.#control, finished, (job + 1) | 0);
    Atomics.notify(this.#control, finished);
  }
}
