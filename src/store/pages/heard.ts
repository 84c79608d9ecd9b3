/**
 * Invalidations as the store looks them up. Each has a position; a record remembers the last one that it was held
 * against, and is held against the newer ones when somebody asks for it, or when its page is swept or used again. So an
 * invalidation costs the same whether it concerns one stored response or a million.
 *
 *   names   URIs and tags, by a hash of 53 bits: looked up for each name that a record has
 *   broad   prefixes, hosts, everything: held against the key, one after the other
 *
 * Both are bounded. What everything stored has been held against is forgotten first; what is forgotten beyond that, for
 * want of room, counts as every name, or as everything: who has not been held against it goes.
 */
import { beyondTags } from "../../http/tags.ts";
import { namesKey, type Selector } from "../../invalidation/selector.ts";
import type { Invalidating } from "../port.ts";

const namesMax = 20_000;
export const broadMax = 1000;
/** Where something stands behind the pages, which no sweep looks at: all that has come since it was written counts. */
const broadMaxBehind = 2000;

/** What has been heard since, for one record. */
export interface Verdict {
  /** The position of what drops it; 0 where nothing does. */
  readonly drop: number;
  /** Of what ends its lifetime, and when that was: seconds. */
  readonly outdate: number;
  readonly outdateAt: number;
  /** It has to be validated: nobody knows. */
  readonly doubt: boolean;
}

interface Named {
  drop: number;
  outdate: number;
  outdateAt: number;
}

interface Broad {
  readonly position: number;
  readonly selector: Selector;
  readonly invalidating: Invalidating;
}

const nothing: Verdict = { drop: 0, outdate: 0, outdateAt: 0, doubt: false };

/** Everything that has been heard, as text can hold it. */
export interface HeardState {
  readonly now: number;
  readonly names: readonly (readonly [number, Named])[];
  readonly broad: readonly Broad[];
  readonly namesForgotten: number;
  readonly broadForgotten: number;
  readonly allDoubted: number;
  readonly lastBroad: number;
  readonly lastTag: number;
}

/** The invalidations of one store. */
export class Heard {
  readonly #names = new Map<number, Named>();
  readonly #hasBehind: boolean;
  /** The newest last. */
  #broad: Broad[] = [];
  /** Up to these positions something has been forgotten that dropped by name, or more than that. */
  #namesForgotten = 0;
  #broadForgotten = 0;
  #allDoubted = 0;
  /** The last that concerns more than names. */
  #lastBroad = 0;
  /** The last of a tag. */
  #lastTag = 0;
  /** The position of the last invalidation. */
  now = 0;

  /** `hasBehind`: responses are kept that a sweep does not see. */
  constructor(hasBehind = false) {
    this.#hasBehind = hasBehind;
  }

  /** The position of the last invalidation that concerns more than names. */
  get lastBroad(): number {
    return this.#lastBroad;
  }

  get state(): HeardState {
    return {
      now: this.now,
      names: [...this.#names],
      broad: this.#broad,
      namesForgotten: this.#namesForgotten,
      broadForgotten: this.#broadForgotten,
      allDoubted: this.#allDoubted,
      lastBroad: this.#lastBroad,
      lastTag: this.#lastTag,
    };
  }

  /** Goes on from what another one had heard. Nothing may have been heard here yet. */
  restore(state: HeardState): void {
    for (const [name, named] of state.names) this.#names.set(name, named);
    this.#broad = [...state.broad];
    this.#namesForgotten = state.namesForgotten;
    this.#broadForgotten = state.broadForgotten;
    this.#allDoubted = state.allDoubted;
    this.#lastBroad = state.lastBroad;
    this.#lastTag = state.lastTag;
    this.now = state.now;
  }

  /** Takes one in. @returns its position. */
  take(selector: Selector, invalidating: Invalidating): number {
    const position = ++this.now;
    if (selector.kind === "uri") this.#name(uriHash(selector.uri), invalidating, position);
    else if (selector.kind === "tag") {
      this.#lastTag = position;
      this.#name(tagHash(selector.tag, selector.origin), invalidating, position);
      this.#name(beyondHash, invalidating, position);
    } else {
      this.#lastBroad = position;
      // Everything leaves nothing for those before it to say.
      if (selector.kind === "everything" && invalidating.mode === "drop") this.#broad = [];
      this.#broad.push({ position, selector, invalidating });
      if (this.#broad.length > (this.#hasBehind ? broadMaxBehind : broadMax))
        this.#broadForgotten = this.#broad.shift()!.position;
    }
    return position;
  }

  /**
   * All that is stored has been held against what is up to this position: only what is on its way may still be older.
   */
  swept(to: number): void {
    if (this.#hasBehind) return;
    while (this.#broad.length > 0 && this.#broad[0]!.position <= to)
      this.#broadForgotten = this.#broad.shift()!.position;
  }

  /** Nobody can say what has been missed up to now. */
  doubt(): void {
    this.#allDoubted = ++this.now;
    this.#lastBroad = this.now;
  }

  /** What has come since a position for one with these names. `key` is asked for where it matters. */
  verdict(since: number, names: Iterable<number>, key: () => string): Verdict {
    if (since >= this.now) return nothing;
    let drop = since < this.#broadForgotten ? this.#broadForgotten : 0;
    let outdate = 0;
    let outdateAt = Infinity;
    const doubt = since < this.#allDoubted;
    for (const name of names) {
      if (since < this.#namesForgotten) drop = Math.max(drop, this.#namesForgotten);
      const known = this.#names.get(name);
      if (known === undefined) continue;
      if (known.drop > since) drop = Math.max(drop, known.drop);
      if (known.outdate > since && known.outdateAt < outdateAt) ({ outdate, outdateAt } = known);
    }
    if (since < this.#lastBroad) {
      const text = key();
      for (let index = this.#broad.length - 1; index >= 0; index--) {
        const { position, selector, invalidating } = this.#broad[index]!;
        if (position <= since) break;
        if (!namesKey(selector, text)) continue;
        if (invalidating.mode === "drop") drop = Math.max(drop, position);
        else if (invalidating.at < outdateAt) [outdate, outdateAt] = [position, invalidating.at];
      }
    }
    return drop === 0 && outdate === 0 && !doubt ? nothing : { drop, outdate, outdateAt, doubt };
  }

  /** Whether any tag has been invalidated since a position. */
  anyTagSince(since: number): boolean {
    return since < this.#lastTag;
  }

  /** Whether only what has names can be concerned by what has come since. */
  isForNamesAlone(since: number): boolean {
    return since >= this.#lastBroad;
  }

  #name(hash: number, { mode, at }: Invalidating, position: number): void {
    const known = this.#names.get(hash) ?? { drop: 0, outdate: 0, outdateAt: 0 };
    this.#names.delete(hash);
    this.#names.set(hash, known);
    if (mode === "drop") known.drop = position;
    else {
      // Who has missed an earlier one is taken to have lived until the last: both are over.
      known.outdateAt = at;
      known.outdate = position;
    }
    if (this.#names.size <= namesMax) return;
    const [oldest, { drop, outdate }] = this.#names.entries().next().value!;
    this.#namesForgotten = Math.max(this.#namesForgotten, drop, outdate);
    this.#names.delete(oldest);
  }
}

/** A URI as a name. */
export function uriHash(uri: string): number {
  return hashOf(`u ${uri}`);
}

/** A tag as a name: of one origin, or of all. */
export function tagHash(tag: string, origin: string | null): number {
  return hashOf(origin === null ? `t ${tag}` : `t ${origin} ${tag}`);
}

/** FNV-1a in two lanes, 53 bits: a wrong match costs a fetch, and takes a hundred million names. */
export function hashOf(name: string): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b) ^ (low >>> 15);
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

const beyondHash = tagHash(beyondTags, null);
