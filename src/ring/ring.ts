/**
 * Consistent hashing: every member has many tokens on a circle of 2^32 positions. A key has two positions and belongs to the
 * member whose token follows one of them at the smaller distance (multi-probe consistent hashing, Appleton and O'Reilly 2015,
 * with two probes). Built once for each view and never changed, so that a lookup needs no lock.
 *
 * Two probes, since a share's deviation falls with √(tokens × (2 × probes − 1)): the second costs a lookup 20 ns, where three
 * times the tokens would cost every view three times the memory and the time to build. `gyre eval balance` has the figures.
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

/** A ring of these members; their order does not matter. Weights are clamped to (0, 64]. */
export function ringOf(given: readonly RingMember[], tokensEach: number = tokensPerWeight): Ring {
  const members = [...given].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const counts = members.map(({ weight }) => Math.max(1, Math.round(tokensEach * Math.min(weight, weightMax))));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const bits = Math.min(22, Math.max(coarseBits, Math.ceil(Math.log2(Math.max(2, total)))));
  const shift = 32 - bits;
  const raw = new Uint32Array(total);
  const coarse = new Uint32Array(2 ** coarseBits + 1);
  let at = 0;
  for (const [index, { name }] of members.entries()) {
    const seed = murmur3(name);
    const step = murmur3(name, 0x9747b28c) | 1;
    for (let i = 0; i < counts[index]!; i++) {
      const token = mixed((seed + Math.imul(i, step)) ^ mixed(i));
      raw[at++] = token;
      coarse[(token >>> (32 - coarseBits)) + 1]!++;
    }
  }
  return { members, ...sorted(raw, counts, coarse, bits), shift };
}

/** Sorting goes by the first bits, then by the next: what is handled at a time stays in the processor's nearest cache. */
const coarseBits = 9;

/** Tokens in order, each with its member. `raw` holds `counts[0]` tokens of member 0, then those of member 1, and so on. */
function sorted(
  raw: Uint32Array,
  counts: readonly number[],
  coarse: Uint32Array,
  bits: number,
): Pick<Ring, "tokens" | "owners" | "starts"> {
  const total = raw.length;
  for (let i = 1; i < coarse.length; i++) coarse[i]! += coarse[i - 1]!;
  const next = coarse.slice();
  const dealt = new Uint32Array(total);
  const dealtTo = new Uint16Array(total);
  let at = 0;
  for (const [index, count] of counts.entries()) {
    for (let end = at + count; at < end; at++) {
      const place = next[raw[at]! >>> (32 - coarseBits)]!++;
      dealt[place] = raw[at]!;
      dealtTo[place] = index;
    }
  }
  const tokens = raw;
  const owners = new Uint16Array(total);
  const starts = new Uint32Array(2 ** bits);
  const shift = 32 - bits;
  const fineCount = 2 ** (bits - coarseBits);
  const places = new Uint32Array(fineCount + 1);
  for (let bucket = 0; bucket < 2 ** coarseBits; bucket++) {
    const [first, end, fineOf] = [coarse[bucket]!, coarse[bucket + 1]!, bucket * fineCount];
    places.fill(0);
    for (let i = first; i < end; i++) places[(dealt[i]! >>> shift) - fineOf + 1]!++;
    places[0] = first;
    for (let i = 1; i < places.length; i++) places[i]! += places[i - 1]!;
    starts.set(places.subarray(0, fineCount), fineOf);
    for (let i = first; i < end; i++) {
      const token = dealt[i]!;
      const fine = token >>> shift;
      const lowest = starts[fine]!;
      let place = places[fine - fineOf]!++;
      // Members come in the order of their names: of equal tokens, the lower name's stays first.
      for (; place > lowest && tokens[place - 1]! > token; place--) {
        tokens[place] = tokens[place - 1]!;
        owners[place] = owners[place - 1]!;
      }
      tokens[place] = token;
      owners[place] = dealtTo[i]!;
    }
  }
  return { tokens, owners, starts };
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
