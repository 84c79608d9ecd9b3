/**
 * Responses that have been given to the log and cannot be found on the disk yet, and what becomes of them meanwhile.
 */

/** One of them. */
export interface Pending {
  readonly id: number;
  readonly variant: number;
  /** The response whose head it is a newer one of; 0 for none. */
  readonly renews: number;
  gone: boolean;
  evicted: boolean;
  outdated: boolean;
}

const none: readonly Pending[] = [];

/** All of a tier. */
export class PendingResponses {
  readonly #byHash = new Map<number, Pending[]>();

  add(id: number, hash: number, variant: number, renews: number): void {
    const one = { id, variant, renews, gone: false, evicted: false, outdated: false };
    const others = this.#byHash.get(hash);
    if (others === undefined) this.#byHash.set(hash, [one]);
    else others.push(one);
  }

  /** It can be found from now on. @returns what has become of it meanwhile. */
  take(id: number, hash: number): Pending | undefined {
    const all = this.#byHash.get(hash);
    const one = all?.find((other) => other.id === id);
    if (all === undefined || one === undefined) return undefined;
    if (all.length === 1) this.#byHash.delete(hash);
    else all.splice(all.indexOf(one), 1);
    return one;
  }

  get(id: number, hash: number): Pending | undefined {
    return this.#byHash.get(hash)?.find((other) => other.id === id);
  }

  /** Those of a key that nothing has ended, and that are not in memory any more. */
  absent(hash: number): readonly Pending[] {
    return this.#byHash.get(hash)?.filter(({ gone, evicted }) => evicted && !gone) ?? none;
  }

  clear(): void {
    this.#byHash.clear();
  }
}
