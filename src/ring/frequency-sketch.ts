/**
 * How often keys were asked for lately, in little memory: a count-min sketch with conservative update (Cormode and
 * Muthukrishnan 2005; Estan and Varghese 2002) whose counters are halved after every window (Einziger, Friedman and
 * Manes, TinyLFU, 2017), so that what was hot is forgotten.
 *
 * Invariant: within a window an estimate is never below the true count (up to 255).
 */
import { mixed } from "./murmur3.ts";

const rows = 4;

/** Counts keys by their hash. */
export class FrequencySketch {
  readonly #width: number;
  readonly #window: number;
  readonly #counters: Uint8Array;
  #added = 0;

  /**
   * @param width counters in a row, a power of two.
   * @param window additions after which all counters are halved.
   */
  constructor(width = 8192, window = 8192) {
    this.#width = width;
    this.#window = window;
    this.#counters = new Uint8Array(rows * width);
  }

  /** Counts one more request for a key. @returns how often it was asked for lately, this one included; 255 at most. */
  add(hash: number): number {
    if (++this.#added > this.#window) this.#halve();
    const before = this.estimate(hash);
    if (before === 255) return before;
    for (let row = 0; row < rows; row++) {
      const at = this.#at(hash, row);
      // Only the smallest counters are raised: the others hold what belongs to other keys.
      if (this.#counters[at] === before) this.#counters[at]!++;
    }
    return before + 1;
  }

  /** How often a key was asked for lately: the true number, or more where other keys share all of its counters. */
  estimate(hash: number): number {
    let least = 255;
    for (let row = 0; row < rows; row++) least = Math.min(least, this.#counters[this.#at(hash, row)]!);
    return least;
  }

  #at(hash: number, row: number): number {
    return row * this.#width + (mixed(hash + Math.imul(row, 0x9e3779b9)) & (this.#width - 1));
  }

  #halve(): void {
    const counters = this.#counters;
    for (let i = 0; i < counters.length; i++) counters[i]! >>>= 1;
    this.#added = 0;
  }
}
