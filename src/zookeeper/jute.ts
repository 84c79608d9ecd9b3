/**
 * Jute, ZooKeeper's encoding: big-endian integers, length-prefixed buffers and strings, counted vectors. A reader never
 * reads beyond its bytes: what does not fit is a JuteError, which the connection answers by ending itself.
 */

/** The bytes are not what the protocol says. */
export class JuteError extends Error {
  override readonly name = "JuteError";
}

/** Collects one record, or several in a row. */
export class JuteWriter {
  #bytes: Buffer = Buffer.allocUnsafe(256);
  #length = 0;

  int(value: number): this {
    this.#room(4);
    this.#length = this.#bytes.writeInt32BE(value, this.#length);
    return this;
  }

  long(value: bigint): this {
    this.#room(8);
    this.#length = this.#bytes.writeBigInt64BE(value, this.#length);
    return this;
  }

  bool(value: boolean): this {
    this.#room(1);
    this.#bytes[this.#length++] = value ? 1 : 0;
    return this;
  }

  /** Null is written as length −1. */
  buffer(value: Uint8Array | null): this {
    if (value === null) return this.int(-1);
    this.int(value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  text(value: string): this {
    return this.buffer(Buffer.from(value, "utf8"));
  }

  vector<T>(values: readonly T[], write: (value: T) => void): this {
    this.int(values.length);
    for (const value of values) write(value);
    return this;
  }

  /** Bytes written as they are, without a length. */
  raw(value: Uint8Array): this {
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** As a frame: its length, then itself. */
  get frame(): Buffer {
    const frame = Buffer.allocUnsafe(4 + this.#length);
    frame.writeInt32BE(this.#length, 0);
    this.#bytes.copy(frame, 4, 0, this.#length);
    return frame;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** Reads records from one frame. Every method throws JuteError where the bytes end too early. */
export class JuteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Bytes that have not been read. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  int(): number {
    this.#need(4);
    const value = this.#bytes.readInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  long(): bigint {
    this.#need(8);
    const value = this.#bytes.readBigInt64BE(this.#at);
    this.#at += 8;
    return value;
  }

  bool(): boolean {
    this.#need(1);
    return this.#bytes[this.#at++] !== 0;
  }

  /** A copy, so that a small answer does not keep a large frame alive. Length −1 reads as empty. */
  buffer(): Buffer {
    const length = this.int();
    if (length < -1) throw new JuteError(`a length of ${length}`);
    if (length <= 0) return Buffer.alloc(0);
    this.#need(length);
    const value = Buffer.from(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
    return value;
  }

  text(): string {
    const length = this.int();
    if (length < -1) throw new JuteError(`a length of ${length}`);
    if (length <= 0) return "";
    this.#need(length);
    const value = this.#bytes.toString("utf8", this.#at, this.#at + length);
    this.#at += length;
    return value;
  }

  vector<T>(read: () => T): T[] {
    const count = this.int();
    // Each element takes four bytes at least: a count beyond that is a lie that would fill the memory.
    if (count < -1 || count > this.left / 4) throw new JuteError(`a vector of ${count} in ${this.left} bytes`);
    const values: T[] = [];
    for (let index = 0; index < count; index++) values.push(read());
    return values;
  }

  #need(bytes: number): void {
    if (this.left < bytes) throw new JuteError(`${bytes} bytes needed, ${this.left} left`);
  }
}
