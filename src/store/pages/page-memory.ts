/**
 * The memory of a store: pages of one size, cut from blocks of shared memory that any thread may read. A place in it is
 * one number of 32 bits, a *location*: units of 16 bytes from the beginning, 64 GB in all. Location 0 is nowhere:
 * nothing may begin with page 0.
 *
 * Blocks are made when their first page is needed, and the system gives them memory as it is touched.
 */
import { assert } from "../../base/assert.ts";

/** Bytes of a unit, the alignment of everything that lies in pages. */
export const unitBytes = 16;
const unitShift = 4;
const blockBytesMax = 64 * 2 ** 20;

/** What locations can name. */
export const memoryBytesMax: number = 2 ** 32 * unitBytes;

/** How many units hold so many bytes. */
export function unitsFor(bytes: number): number {
  return Math.ceil(bytes / unitBytes);
}

/** Pages, by number from 0. */
export class PageMemory {
  readonly pageBytes: number;
  readonly pageUnits: number;
  readonly pagesMax: number;
  readonly #pageShift: number;
  readonly #blockShift: number;
  readonly #blockMask: number;
  readonly #words: Uint32Array[] = [];
  readonly #floats: Float64Array[] = [];
  readonly #bytes: Buffer[] = [];
  readonly blocks: SharedArrayBuffer[] = [];
  /** Told of every block that is made. */
  made: ((block: SharedArrayBuffer) => void) | null = null;

  /** `pageBytes` is a power of two, at most 64 MB. */
  constructor(pageBytes: number, pagesMax: number) {
    this.pageBytes = pageBytes;
    this.pageUnits = pageBytes / unitBytes;
    this.pagesMax = pagesMax;
    this.#pageShift = Math.log2(this.pageUnits);
    const blockBytes = Math.min(blockBytesMax, 2 ** Math.ceil(Math.log2(pageBytes * pagesMax)));
    this.#blockShift = Math.log2(blockBytes) - unitShift;
    this.#blockMask = 2 ** this.#blockShift - 1;
    assert(Number.isInteger(this.#pageShift) && this.#blockShift >= this.#pageShift, "a page is a power of two");
    assert(pageBytes * pagesMax <= memoryBytesMax, "pages beyond what a location can name");
  }

  /** The location that a page begins with; its block is made where it is the first of it. */
  open(page: number): number {
    const block = page >>> (this.#blockShift - this.#pageShift);
    while (this.#bytes.length <= block) {
      const left = this.pagesMax * this.pageBytes - this.#bytes.length * (this.#blockMask + 1) * unitBytes;
      const memory = new SharedArrayBuffer(Math.min(left, (this.#blockMask + 1) * unitBytes));
      this.attach(memory);
      this.made?.(memory);
    }
    return this.begin(page);
  }

  /** The next block, made here or by another thread. */
  attach(block: SharedArrayBuffer): void {
    this.blocks.push(block);
    this.#words.push(new Uint32Array(block));
    this.#floats.push(new Float64Array(block));
    this.#bytes.push(Buffer.from(block));
  }

  /** Whether a location lies in a block that this thread has. */
  has(location: number): boolean {
    return location >>> this.#blockShift < this.#bytes.length;
  }

  begin(page: number): number {
    return (page << this.#pageShift) >>> 0;
  }

  /** The page at so many bytes from the beginning of a block. */
  pageAt(block: number, at: number): number {
    return this.pageOf(block * (this.#blockMask + 1) + Math.floor(at / unitBytes));
  }

  pageOf(location: number): number {
    return location >>> this.#pageShift;
  }

  /** The 32-bit words of the block that a location lies in; its own begin at `wordAt`. */
  words(location: number): Uint32Array {
    return this.#words[location >>> this.#blockShift]!;
  }

  wordAt(location: number): number {
    return (location & this.#blockMask) << 2;
  }

  floats(location: number): Float64Array {
    return this.#floats[location >>> this.#blockShift]!;
  }

  floatAt(location: number): number {
    return (location & this.#blockMask) << 1;
  }

  bytes(location: number): Buffer {
    return this.#bytes[location >>> this.#blockShift]!;
  }

  byteAt(location: number): number {
    return (location & this.#blockMask) * unitBytes;
  }
}
