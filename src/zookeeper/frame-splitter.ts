/**
 * Cuts a stream of bytes into ZooKeeper's frames: four bytes of length, then so many bytes. One splitter per
 * connection.
 */
import { JuteError } from "./jute.ts";

/** Cuts the bytes of one connection into frames. */
export class FrameSplitter {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #have = 0;
  #need = 4;
  #inBody = false;

  /** @param bytesMax the longest frame to take; a longer one is an error before it is read. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The frames that these bytes complete. @throws JuteError on a length that cannot be. */
  push(chunk: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    this.#parts.push(chunk);
    this.#have += chunk.length;
    while (this.#have >= this.#need) {
      const all = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts, this.#have);
      const taken = all.subarray(0, this.#need);
      this.#have -= this.#need;
      this.#parts = this.#have === 0 ? [] : [all.subarray(this.#need)];
      if (this.#inBody) {
        frames.push(taken);
        this.#need = 4;
      } else {
        this.#need = taken.readInt32BE(0);
        if (this.#need < 0 || this.#need > this.#bytesMax)
          throw new JuteError(`a frame of ${this.#need} bytes (at most ${this.#bytesMax} are taken)`);
      }
      this.#inBody = !this.#inBody;
    }
    return frames;
  }
}
