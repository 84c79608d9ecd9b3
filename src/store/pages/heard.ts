/**
 * Invalidations that are not carried out at once but looked up: of a group, of everything under a URI that has longer
 * keys, of all that is stored. Each has a number; a record remembers the last one that it was held against, and is held
 * against the newer ones when somebody asks for it, or when its page is to be used again. So an invalidation costs the
 * same whether it concerns one stored response or a million.
 *
 * Names are remembered by a hash of 53 bits. Bounded: what is forgotten for want of room counts as every name.
 */
const namesMax = 20_000;

/** What an invalidation means for a stored response. */
export type Verdict = "none" | "outdate" | "drop";

interface Named {
  drop: number;
  outdate: number;
}

/** The invalidations of one store. */
export class Heard {
  readonly #names = new Map<number, Named>();
  /** Everything up to these numbers concerns whoever has a name. */
  #forgotten = 0;
  #allOutdated = 0;
  /** The number of the last invalidation. */
  now = 0;

  name(name: string, mode: "drop" | "outdate"): void {
    this.now++;
    const hash = hashOf(name);
    const known = this.#names.get(hash) ?? { drop: 0, outdate: 0 };
    known[mode] = this.now;
    this.#names.delete(hash);
    this.#names.set(hash, known);
    if (this.#names.size <= namesMax) return;
    const [oldest, { drop, outdate }] = this.#names.entries().next().value!;
    this.#forgotten = Math.max(this.#forgotten, drop, outdate);
    this.#names.delete(oldest);
  }

  outdateAll(): void {
    this.#allOutdated = ++this.now;
  }

  /** What those after `heard` mean for one with these names. */
  verdict(heard: number, names: readonly string[]): Verdict {
    let verdict: Verdict = heard < this.#allOutdated ? "outdate" : "none";
    if (names.length === 0) return verdict;
    if (heard < this.#forgotten) verdict = "outdate";
    for (const name of names) {
      const known = this.#names.get(hashOf(name));
      if (known === undefined) continue;
      if (heard < known.drop) return "drop";
      if (heard < known.outdate) verdict = "outdate";
    }
    return verdict;
  }
}

/** FNV-1a in two lanes, 53 bits: a wrong match costs a fetch, and takes a hundred million names. */
function hashOf(name: string): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b) ^ (low >>> 15);
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}
