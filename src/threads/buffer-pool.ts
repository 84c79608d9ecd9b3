/** Memory for content on its way through: used again, since asking for it anew costs more than filling it. */

/** Below, Node's own pool does. */
const bytesMin = 4096;
/** Kept at most, in bytes. */
const keptMax = 1024 * 1024;

/** Buffers of sizes that are powers of two. */
export class BufferPool {
  readonly #free = new Map<number, Buffer[]>();
  #kept = 0;

  readonly take = (bytes: number): Buffer => {
    if (bytes < bytesMin) return Buffer.allocUnsafe(bytes);
    const size = 2 ** Math.ceil(Math.log2(bytes));
    const found = this.#free.get(size)?.pop();
    if (found !== undefined) this.#kept -= size;
    return (found ?? Buffer.allocUnsafeSlow(size)).subarray(0, bytes);
  };

  /** Nobody uses it any more. */
  giveBack(buffer: Buffer): void {
    const size = buffer.buffer.byteLength;
    if (buffer.length < bytesMin || this.#kept + size > keptMax) return;
    this.#kept += size;
    const whole = Buffer.from(buffer.buffer);
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [whole]);
    else free.push(whole);
  }
}
