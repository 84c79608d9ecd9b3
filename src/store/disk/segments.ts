/**
 * The segment files of a disk tier: a ring. What is new is written behind what was written last; when the last file is
 * full, the oldest is written anew from its beginning. Every use of a file is a *generation* of its own.
 */
import { closeSync, fdatasync, fstat, openSync, readdirSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { segmentHead, segmentHeadBytes } from "./format.ts";

/** A file, and what it is used for now. */
interface Segment {
  readonly number: number;
  /** -1: closed. */
  fd: number;
  /** 0: nothing has been written to it. */
  generation: number;
  /** Readers of what it has now. */
  pins: number;
  /** Of its last batch: bytes from the beginning of the file. */
  end: number;
}

/** Number, generation and end of a segment in use. */
export type SegmentUse = readonly [number, number, number];

/** Room in a segment. */
export interface Reserved {
  readonly fd: number;
  readonly generation: number;
  readonly at: number;
}

export interface SegmentsInit {
  readonly folder: string;
  readonly storeId: number;
  readonly segmentBytes: number;
  readonly count: number;
}

const namePattern = /^seg-(\d{5})$/;

/** The name of a segment's file. */
export function segmentName(number: number): string {
  return `seg-${String(number).padStart(5, "0")}`;
}

/** The numbers of the segment files in a folder, in order. */
export function segmentNumbers(folder: string): number[] {
  const numbers = readdirSync(folder).flatMap((name) => {
    const match = namePattern.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  return numbers.toSorted((a, b) => a - b);
}

/** All segments of one store. */
export class Segments {
  readonly segmentBytes: number;
  readonly storeId: number;
  readonly #segments: Segment[];
  readonly #byGeneration = new Map<number, Segment>();
  #current: Segment | null = null;
  #lastGeneration = 0;

  /**
   * Opens the files that are there, makes those that are not, and removes those beyond `count`. @throws what the system
   * says.
   */
  constructor({ folder, storeId, segmentBytes, count }: SegmentsInit) {
    this.storeId = storeId;
    this.segmentBytes = segmentBytes;
    const there = new Set(segmentNumbers(folder));
    for (const number of there) if (number >= count) unlinkSync(join(folder, segmentName(number)));
    this.#segments = [];
    try {
      for (let number = 0; number < count; number++) {
        const path = join(folder, segmentName(number));
        const fd = there.has(number) ? openSync(path, "r+") : this.#made(path, number);
        this.#segments.push({ number, fd, generation: 0, pins: 0, end: 0 });
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get count(): number {
    return this.#segments.length;
  }

  get files(): readonly { readonly number: number; readonly fd: number }[] {
    return this.#segments;
  }

  /** What is in use: number, generation and end of each, as a stop in order tells the next start. */
  get used(): readonly SegmentUse[] {
    return [...this.#byGeneration.values()]
      .map((segment) => [segment.number, segment.generation, segment.end] as const)
      .toSorted((a, b) => a[1] - b[1]);
  }

  /** Bytes that may be read: whole files, but for the last. */
  get usedBytes(): number {
    return [...this.#byGeneration.values()].reduce((sum, { end }) => sum + end, 0);
  }

  /** What has been found in a file at the start. */
  found(number: number, generation: number, end: number): void {
    const segment = this.#segments[number]!;
    segment.generation = generation;
    segment.end = end;
    this.#byGeneration.set(generation, segment);
    if (generation <= this.#lastGeneration) return;
    this.#lastGeneration = generation;
    this.#current = segment;
  }

  /** Whether so many bytes still fit where the last ones were written. */
  fits(bytes: number): boolean {
    return this.#current !== null && this.#current.end + bytes <= this.segmentBytes;
  }

  /** Room that fits in the current segment; it must. */
  reserve(bytes: number): Reserved {
    const current = this.#current!;
    const at = current.end;
    current.end += bytes;
    return { fd: current.fd, generation: current.generation, at };
  }

  /** The segment that is written anew next: its generation, 0 where nothing is in it. */
  get nextGeneration(): number {
    return this.#next().generation;
  }

  /** Readers of the segment that is written anew next. */
  get nextPins(): number {
    return this.#next().pins;
  }

  /** Begins the next segment. What it had must not be found any more. */
  advance(): { readonly number: number; readonly fd: number; readonly generation: number } {
    const segment = this.#next();
    if (segment.generation !== 0) this.#byGeneration.delete(segment.generation);
    segment.generation = ++this.#lastGeneration;
    segment.pins = 0;
    this.#byGeneration.set(segment.generation, segment);
    this.#current = segment;
    segment.end = segmentHeadBytes;
    return segment;
  }

  /** The file that holds a generation, or -1 where it is not there any more. */
  fd(generation: number): number {
    return this.#byGeneration.get(generation)?.fd ?? -1;
  }

  pin(generation: number): void {
    const segment = this.#byGeneration.get(generation);
    if (segment !== undefined) segment.pins++;
  }

  unpin(generation: number): void {
    const segment = this.#byGeneration.get(generation);
    if (segment !== undefined && segment.pins > 0) segment.pins--;
  }

  /**
   * A file that somebody has removed takes what is written as before, and loses it with the process. @throws Error
   * where that is so.
   */
  async mustBeThere(fd: number): Promise<void> {
    const links = await new Promise<number>((resolve, reject) =>
      fstat(fd, (error, stats) => (error === null ? resolve(stats.nlink) : reject(error))),
    );
    if (links === 0) throw new Error("its files have been removed");
  }

  /** Waits until what was written is on the disk. @throws what the system says. */
  async sync(): Promise<void> {
    for (const { fd } of this.files)
      await new Promise<void>((resolve, reject) =>
        fdatasync(fd, (error) => (error === null ? resolve() : reject(error))),
      );
  }

  close(): void {
    for (const segment of this.#segments) {
      if (segment.fd !== -1) closeSync(segment.fd);
      segment.fd = -1;
    }
    this.#byGeneration.clear();
  }

  /** Room for a file is taken from the disk as it is written. */
  #made(path: string, number: number): number {
    const fd = openSync(path, "w+", 0o600);
    const head = segmentHead(this.storeId, number);
    try {
      if (writeSync(fd, head, 0, head.length, 0) !== head.length)
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return fd;
  }

  /** A file that has not been used yet, else the one with the oldest generation. */
  #next(): Segment {
    let next = this.#segments[0]!;
    for (const segment of this.#segments) {
      if (segment === this.#current) continue;
      if (next === this.#current || segment.generation < next.generation) next = segment;
    }
    return next;
  }
}
