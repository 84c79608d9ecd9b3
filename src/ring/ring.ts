/**
 * Consistent hashing: every member has many tokens on a circle of 2^32 positions. A key has two positions and belongs
 * to the member whose token follows one of them at the smaller distance (multi-probe consistent hashing, Appleton and
 * O'Reilly 2015, with two probes). Built once for each view and never changed, so that a lookup needs no lock.
 *
 * Two probes, since a share's deviation falls with √(tokens × (2 × probes − 1)): the second costs a lookup 20 ns, where
 * three times the tokens would cost every view three times the memory and the time to build. `gyre eval balance` has
 * the figures.
 */
import { mixed, murmur3 } from "./murmur3.ts";

export interface RingMember {
  readonly name: string;
  /** Share of the key space relative to the others; 1 unless configured. */
  readonly weight: number;
}

export interface Ring {
  /** Sorted by name, so that every member numbers them alike. */
  readonly members: readonly RingMember[];
  /** Positions, ascending. */
  readonly tokens: Uint32Array;
  /** The member (index into `members`) of each token. */
  readonly owners: Uint16Array;
  /** For each leading-bits bucket of the circle, the first token at or after its start: lookups begin here. */
  readonly starts: Uint32Array;
  readonly shift: number;
}

/** Tokens of a member of weight 1. Part of the placement: another number re-places keys. */
export const tokensPerWeight = 2048;

/** The placement's version, published with the view: members of different versions would disagree about owners. */
export const placementVersion = 2;

/** The largest weight of a member, a bound on what one announcement can make everybody compute. */
export const weightMax = 64;

/** Told apart from a key's first position by this, then mixed. Part of the placement. */
const secondProbe = 0x9e3779b9;

/** The circle in so many strata, and a member's tokens dealt to them by turns. Part of the placement. */
const strataBits = 9;
const strata: number = 2 ** strataBits;

/** A ring of these members; their order does not matter. Weights are clamped to (0, 64]. */
export function ringOf(given: readonly RingMember[], tokensEach: number = tokensPerWeight): Ring {
  const members = [...given].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const counts = Int32Array.from(members, ({ weight }) =>
    Math.max(1, Math.round(tokensEach * Math.min(weight, weightMax))),
  );
  const total = counts.reduce((sum, count) => sum + count, 0);
  const bits = Math.min(22, Math.max(strataBits, Math.ceil(Math.log2(Math.max(2, total)))));
  const shift = 32 - bits;
  const seeds = Int32Array.from(members, ({ name }) => murmur3(name));
  const steps = Int32Array.from(members, ({ name }) => murmur3(name, 0x9747b28c) | 1);
  const tokens = new Uint32Array(total);
  const owners = new Uint16Array(total);
  const starts = new Uint32Array(2 ** bits);
  // One stratum after the other, each sorted by counting: what is handled at a time stays in the nearest cache.
  const turns = Uint16Array.from({ length: strata }, (_, stratum) => reversed(stratum));
  const longest = counts.reduce((sum, count) => sum + Math.ceil(count / strata), 0);
  const dealt = new Uint32Array(longest);
  const dealtTo = new Uint16Array(longest);
  const fineCount = 2 ** (bits - strataBits);
  const places = new Uint32Array(fineCount + 1);
  let first = 0;
  for (let stratum = 0; stratum < strata; stratum++) {
    const fineOf = stratum * fineCount;
    let length = 0;
    places.fill(0);
    for (let index = 0; index < members.length; index++) {
      const [seed, step, count] = [seeds[index]!, steps[index]!, counts[index]!];
      // Each member begins elsewhere, and the few tokens of a small weight are spread over the circle.
      for (let i = turns[stratum]! ^ (seed & (strata - 1)); i < count; i += strata) {
        const token = ((stratum << (32 - strataBits)) | (mixed((seed + Math.imul(i, step)) | 0) >>> strataBits)) >>> 0;
        dealt[length] = token;
        dealtTo[length++] = index;
        places[(token >>> shift) - fineOf + 1]!++;
      }
    }
    places[0] = first;
    for (let i = 1; i < places.length; i++) places[i]! += places[i - 1]!;
    starts.set(places.subarray(0, fineCount), fineOf);
    for (let i = 0; i < length; i++) {
      const place = places[(dealt[i]! >>> shift) - fineOf]!++;
      tokens[place] = dealt[i]!;
      owners[place] = dealtTo[i]!;
    }
    order(tokens, owners, first, first + length);
    first += length;
  }
  return { members, tokens, owners, starts, shift };
}

/**
 * Sorts what is nearly in order. Members came in the order of their names: of equal tokens, the lower name's stays
 * first.
 */
function order(tokens: Uint32Array, owners: Uint16Array, from: number, to: number): void {
  for (let i = from + 1; i < to; i++) {
    if (tokens[i - 1]! <= tokens[i]!) continue;
    const [token, index] = [tokens[i]!, owners[i]!];
    let place = i;
    for (; place > from && tokens[place - 1]! > token; place--) {
      tokens[place] = tokens[place - 1]!;
      owners[place] = owners[place - 1]!;
    }
    tokens[place] = token;
    owners[place] = index;
  }
}

/** The bits of a stratum's number from the other end: 0, 256, 128, 384, … */
function reversed(stratum: number): number {
  let bits = 0;
  for (let i = 0; i < strataBits; i++) bits |= ((stratum >> i) & 1) << (strataBits - 1 - i);
  return bits;
}

/** A key's first position on the circle; all else about its place follows from it. */
export function keyHash(key: string): number {
  return murmur3(key);
}

/** The member that owns a key, by its hash. The ring must have a member. */
export function owner(ring: Ring, hash: number): RingMember {
  return ring.members[ownerIndex(ring, hash)]!;
}

/** The same as an index into the ring's members. */
export function ownerIndex(ring: Ring, hash: number): number {
  const { tokens, owners } = ring;
  const other = mixed(hash ^ secondProbe);
  const one = tokenAt(ring, hash);
  const two = tokenAt(ring, other);
  const nearer = ((tokens[one]! - hash) >>> 0) - ((tokens[two]! - other) >>> 0);
  if (nearer < 0) return owners[one]!;
  return nearer > 0 ? owners[two]! : Math.min(owners[one]!, owners[two]!);
}

/** Distinct members from the owner onwards: who takes over, in order, when those before are gone. */
export function* successors(ring: Ring, hash: number): Generator<RingMember> {
  const { tokens, owners, members } = ring;
  const seen = new Set<number>();
  const other = mixed(hash ^ secondProbe);
  let [one, two] = [tokenAt(ring, hash), tokenAt(ring, other)];
  for (let step = 0; step < 2 * tokens.length && seen.size < members.length; step++) {
    const nearer = ((tokens[one]! - hash) >>> 0) - ((tokens[two]! - other) >>> 0);
    const first = nearer < 0 || (nearer === 0 && owners[one]! <= owners[two]!);
    const index = owners[first ? one : two]!;
    if (first) one = one + 1 === tokens.length ? 0 : one + 1;
    else two = two + 1 === tokens.length ? 0 : two + 1;
    if (seen.has(index)) continue;
    seen.add(index);
    yield members[index]!;
  }
}

function tokenAt({ tokens, starts, shift }: Ring, hash: number): number {
  let i = starts[hash >>> shift]!;
  while (i < tokens.length && tokens[i]! < hash) i++;
  return i === tokens.length ? 0 : i;
}
