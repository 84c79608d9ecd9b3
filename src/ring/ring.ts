/**
 * Consistent hashing: every member has many tokens on a circle of 2^32 positions, a key belongs to the member whose token
 * is the first at or after the key's hash. Built once for each view and never changed, so that a lookup needs no lock.
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
export const tokensPerWeight = 1024;

/** The placement's version, published with the view: members of different versions would disagree about owners. */
export const placementVersion = 1;

/** The largest weight of a member, a bound on what one announcement can make everybody compute. */
export const weightMax = 64;

/** A ring of these members; their order does not matter. Weights are clamped to (0, 64]. */
export function ringOf(given: readonly RingMember[], tokensEach: number = tokensPerWeight): Ring {
  const members = [...given].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const counts = members.map(({ weight }) => Math.max(1, Math.round(tokensEach * Math.min(weight, weightMax))));
  const total = counts.reduce((sum, count) => sum + count, 0);
  // Position and member in one number, position first: sorting numbers is native, and ties fall to the lower name.
  const sorted = new Float64Array(total);
  let at = 0;
  for (const [index, { name }] of members.entries()) {
    const seed = murmur3(name);
    const step = murmur3(name, 0x9747b28c) | 1;
    for (let i = 0; i < counts[index]!; i++)
      sorted[at++] = mixed((seed + Math.imul(i, step)) ^ mixed(i)) * 65_536 + index;
  }
  sorted.sort();
  const tokens = new Uint32Array(total);
  const owners = new Uint16Array(total);
  for (let i = 0; i < total; i++) {
    tokens[i] = Math.floor(sorted[i]! / 65_536);
    owners[i] = sorted[i]! % 65_536;
  }
  const bits = Math.min(20, Math.max(1, Math.ceil(Math.log2(Math.max(2, total)))));
  const shift = 32 - bits;
  const starts = new Uint32Array(2 ** bits);
  let next = 0;
  for (let bucket = 0; bucket < starts.length; bucket++) {
    while (next < total && tokens[next]! < bucket * 2 ** shift) next++;
    starts[bucket] = next;
  }
  return { members, tokens, owners, starts, shift };
}

/** A key's position on the circle. */
export function keyHash(key: string): number {
  return murmur3(key);
}

/** The member that owns a position. The ring must have a member. */
export function owner(ring: Ring, hash: number): RingMember {
  return ring.members[ring.owners[tokenAt(ring, hash)]!]!;
}

/** Distinct members from the owner onwards: who takes over, in order, when those before are gone. */
export function* successors(ring: Ring, hash: number): Generator<RingMember> {
  const seen = new Set<number>();
  const start = tokenAt(ring, hash);
  for (let i = 0; i < ring.tokens.length && seen.size < ring.members.length; i++) {
    const index = ring.owners[(start + i) % ring.tokens.length]!;
    if (seen.has(index)) continue;
    seen.add(index);
    yield ring.members[index]!;
  }
}

function tokenAt(ring: Ring, hash: number): number {
  let i = ring.starts[hash >>> ring.shift]!;
  while (i < ring.tokens.length && ring.tokens[i]! < hash) i++;
  return i === ring.tokens.length ? 0 : i;
}
