/**
 * What was let go lately, by fingerprints of 16 bits: who comes back among these is no newcomer. A table of fixed size
 * in which newer ones displace older ones; a wrong match (one in some 65,000) only spares a response its time of proof.
 */
export class Ghosts {
  readonly #prints: Uint16Array;
  readonly #mask: number;

  /** `count` is rounded down to a power of two. */
  constructor(count: number) {
    this.#prints = new Uint16Array(2 ** Math.floor(Math.log2(Math.max(2, count))));
    this.#mask = this.#prints.length - 1;
  }

  get bytes(): number {
    return this.#prints.byteLength;
  }

  add(hash: number): void {
    this.#prints[slotOf(hash) & this.#mask] = printOf(hash);
  }

  /** Whether it was let go lately; it is forgotten by this. */
  take(hash: number): boolean {
    const slot = slotOf(hash) & this.#mask;
    if (this.#prints[slot] !== printOf(hash)) return false;
    this.#prints[slot] = 0;
    return true;
  }
}

/** The place comes from other bits than the fingerprint. */
function slotOf(hash: number): number {
  return Math.imul(hash, 0x9e3779b1) >>> 8;
}

/** 0 is for an empty place. */
function printOf(hash: number): number {
  return (hash & 0xffff) | 1;
}
