/** What invalidations have ended: how much, where that is asked for, and which one ended what a key had. Bounded. */
import type { Ended } from "../port.ts";

/** Invalidations whose effect is counted, and keys whose end is remembered. */
const countedMax = 10_000;
const keysMax = 4_096;

interface Count {
  dropped: number;
  outdated: number;
}

/** The ends of one store's responses. */
export class Ends {
  readonly #counted = new Map<number, Count>();
  /** By the hash of the key: the position of what ended it last. */
  readonly #byKey = new Map<number, number>();
  /** Everything stored has been held against what is up to this position. */
  sweptTo = 0;

  count(position: number, as: "itself" | number): void {
    const shared = as === "itself" ? undefined : this.#counted.get(as);
    this.#counted.set(position, shared ?? { dropped: 0, outdated: 0 });
    if (this.#counted.size > countedMax) this.#counted.delete(this.#counted.keys().next().value!);
  }

  dropped(position: number, keyHash: number): void {
    this.#ended(position, keyHash, "dropped");
  }

  outdated(position: number, keyHash: number): void {
    this.#ended(position, keyHash, "outdated");
  }

  of(position: number): Ended | null {
    const count = this.#counted.get(position);
    return count === undefined ? null : { ...count, swept: this.sweptTo >= position };
  }

  by(keyHash: number): number {
    return this.#byKey.get(keyHash) ?? 0;
  }

  #ended(position: number, keyHash: number, how: keyof Count): void {
    const count = this.#counted.get(position);
    if (count !== undefined) count[how]++;
    this.#byKey.delete(keyHash);
    this.#byKey.set(keyHash, position);
    if (this.#byKey.size > keysMax) this.#byKey.delete(this.#byKey.keys().next().value!);
  }
}
