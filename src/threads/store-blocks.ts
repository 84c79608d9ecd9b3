/** The blocks of the store's memory that a thread has, by number: places in them can be told instead of bytes. */

/** Blocks that both sides of a link know. */
export class StoreBlocks {
  readonly #numbers = new Map<ArrayBufferLike, number>();
  readonly #bytes: Buffer[] = [];
  /** Keeps what lies at a place from being written over until what it returns is called. */
  readonly lend: (block: number, at: number) => () => void;

  /** `lend` is home's; a front lends nothing. */
  constructor(lend: (block: number, at: number) => () => void = () => () => {}) {
    this.lend = lend;
  }

  add(block: SharedArrayBuffer): void {
    this.#numbers.set(block, this.#bytes.length);
    this.#bytes.push(Buffer.from(block));
  }

  get count(): number {
    return this.#bytes.length;
  }

  /** -1 where it is not one of them. */
  numberOf(memory: ArrayBufferLike): number {
    return this.#numbers.get(memory) ?? -1;
  }

  view(number: number, at: number, length: number): Buffer {
    return this.#bytes[number]!.subarray(at, at + length);
  }
}
