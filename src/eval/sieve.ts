/**
 * SIEVE (Zhang et al., NSDI 2024), for comparison: a queue in order of arrival and a hand that passes over what was
 * used since it last came by.
 */
export interface Evictable {
  used: boolean;
  newer: this | null;
  older: this | null;
}

/** The policy decides, the store carries out: a victim is returned, never removed here. */
export interface EvictionPolicy<T> {
  added(one: T): void;
  used(one: T): void;
  removed(one: T): void;
  /** The next to go, or null where nothing is kept. */
  victim(): T | null;
}

/** The SIEVE policy. */
export class Sieve<T extends Evictable> implements EvictionPolicy<T> {
  #newest: T | null = null;
  #oldest: T | null = null;
  #hand: T | null = null;

  added(one: T): void {
    one.used = false;
    one.older = this.#newest;
    one.newer = null;
    if (this.#newest !== null) this.#newest.newer = one;
    this.#newest = one;
    this.#oldest ??= one;
  }

  used(one: T): void {
    one.used = true;
  }

  removed(one: T): void {
    if (this.#hand === one) this.#hand = one.newer;
    if (one.newer !== null) one.newer.older = one.older;
    else if (this.#newest === one) this.#newest = one.older;
    if (one.older !== null) one.older.newer = one.newer;
    else if (this.#oldest === one) this.#oldest = one.newer;
    one.newer = null;
    one.older = null;
  }

  victim(): T | null {
    let one = this.#hand ?? this.#oldest;
    while (one !== null && one.used) {
      one.used = false;
      one = one.newer ?? this.#oldest;
    }
    this.#hand = one;
    return one;
  }
}
