/**
 * Reading what is stored on the disk: short stretches by threads of our own, which wait for the disk in our place; long
 * ones by the system's, into memory of their own. So many at once; who comes then waits for its turn.
 */
import { Worker } from "node:worker_threads";
import { background } from "../../base/background.ts";
import { readWhole, type DiskIo } from "./disk-io.ts";
import { placeBytes, ReadRing, ringBytes } from "./read-ring.ts";

/** `bytes` null: they could not be read. They are to be used before this returns. */
export type ReadDone = (bytes: Buffer | null) => void;

/** Whoever reads. */
export interface Reads {
  /** Reads from a file; `done` is called later, once. */
  read(fd: number, at: number, bytes: number, done: ReadDone): void;
  close(): void;
}

/** Threads that read, and how many reads may be under way in each. */
export interface ReadThreads {
  readonly threads: number;
  readonly jobs: number;
}

/** Bytes of the budget that they take. */
export function readsBytes({ threads, jobs }: ReadThreads): number {
  return threads * ringBytes(jobs);
}

/** Reads that wait for one thread before another is asked. */
const busyMax = 8;
/** The system's own threads are for name look-ups as well. */
const systemReadsMax = 2;

/** By the system's threads alone. */
export class SystemReads implements Reads {
  readonly #io: DiskIo;
  readonly #failed: (error: Error) => void;
  readonly #turns: (() => void)[] = [];
  #reading = 0;

  /** `failed` hears of what is wrong with whoever asks. */
  constructor(io: DiskIo, failed: (error: Error) => void) {
    this.#io = io;
    this.#failed = failed;
  }

  read(fd: number, at: number, bytes: number, done: ReadDone): void {
    if (this.#reading === systemReadsMax) this.#turns.push(() => this.#read(fd, at, bytes, done));
    else this.#read(fd, at, bytes, done);
  }

  close(): void {}

  #read(fd: number, at: number, bytes: number, done: ReadDone): void {
    this.#reading++;
    const into = Buffer.allocUnsafeSlow(bytes);
    const end = (read: Buffer | null): void => {
      this.#reading--;
      this.#turns.shift()?.();
      done(read);
    };
    background(
      readWhole(this.#io, fd, into, at)
        .catch(() => false)
        .then((isWhole) => end(isWhole ? into : null)),
      this.#failed,
    );
  }
}

interface Job {
  readonly bytes: number;
  readonly done: ReadDone;
}

/** One thread, and what it has been asked for. */
class Reader {
  readonly worker: Worker;
  readonly #ring: ReadRing;
  readonly #jobs: Job[] = [];
  #added = 0;
  #finished = 0;
  #isWaiting = false;
  #isToWake = false;
  readonly #wake = (): void => {
    this.#isToWake = false;
    this.#ring.wake();
  };
  readonly #next: () => void;

  /** Without its thread nothing is read here. */
  isDead = false;
  readonly #failed: (error: Error) => void;

  /** `next` is called whenever there is room for another job. */
  constructor(jobs: number, next: () => void, failed: (error: Error) => void) {
    this.#ring = new ReadRing(new SharedArrayBuffer(ringBytes(jobs)));
    this.#next = next;
    this.#failed = failed;
    const here = import.meta.url;
    this.worker = new Worker(new URL(`./reader-thread${here.endsWith(".ts") ? ".ts" : ".js"}`, here), {
      workerData: this.#ring.memory,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    });
    this.worker.on("error", failed);
    this.worker.on("exit", () => {
      this.isDead = true;
      this.end();
    });
    this.worker.unref();
  }

  get isFull(): boolean {
    return this.#jobs.length === this.#ring.jobs;
  }

  get busy(): number {
    return this.#jobs.length;
  }

  add(fd: number, at: number, job: Job): void {
    this.#jobs.push(job);
    this.#ring.add(this.#added++, fd, at, job.bytes);
    // Once for all that is asked for in this turn: waking costs as much as reading.
    if (!this.#isToWake) {
      this.#isToWake = true;
      setImmediate(this.#wake);
    }
    if (!this.#isWaiting) background(this.#wait(), this.#failed);
  }

  end(): void {
    this.#ring.end();
    for (const { done } of this.#jobs.splice(0)) done(null);
  }

  /** Hands over what has been read, as long as something is asked for. */
  async #wait(): Promise<void> {
    this.#isWaiting = true;
    while (this.#jobs.length > 0) {
      await this.#ring.moreThan(this.#finished);
      while (this.#jobs.length > 0 && this.#ring.finished !== (this.#finished | 0)) {
        const { bytes, done } = this.#jobs[0]!;
        const result = this.#ring.result(this.#finished);
        // Its place may be used again only after this.
        try {
          done(result.bytes === bytes ? result.read : null);
        } catch (error) {
          this.#failed(error as Error);
        }
        this.#jobs.shift();
        this.#finished++;
        this.#next();
      }
    }
    this.#isWaiting = false;
  }
}

/** By threads of our own, and the system's for what is long. */
export class ThreadReads implements Reads {
  readonly #readers: readonly Reader[];
  readonly #long: SystemReads;
  readonly #turns: (() => void)[] = [];
  #isClosed = false;

  constructor({ threads, jobs }: ReadThreads, io: DiskIo, failed: (error: Error) => void) {
    this.#readers = Array.from({ length: threads }, () => new Reader(jobs, () => this.#turns.shift()?.(), failed));
    this.#long = new SystemReads(io, failed);
  }

  read(fd: number, at: number, bytes: number, done: ReadDone): void {
    if (bytes > placeBytes) return this.#long.read(fd, at, bytes, done);
    if (this.#isClosed) return queueMicrotask(() => done(null));
    // One thread is enough while it keeps up: waking two costs twice as much.
    let reader = this.#readers.find(({ isDead }) => !isDead);
    if (reader === undefined) return this.#long.read(fd, at, bytes, done);
    for (const other of this.#readers)
      if (!other.isDead && reader.busy >= busyMax && other.busy < reader.busy) reader = other;
    if (reader.isFull) {
      this.#turns.push(() => this.read(fd, at, bytes, done));
      return undefined;
    }
    return reader.add(fd, at, { bytes, done });
  }

  close(): void {
    this.#isClosed = true;
    for (const reader of this.#readers) reader.end();
    for (const turn of this.#turns.splice(0)) turn();
  }
}
