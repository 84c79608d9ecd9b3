/** How a ring divides the key space, and what changes between two rings. Fractions of 1. */
import { mixed } from "./murmur3.ts";
import { ownerIndex, type Ring } from "./ring.ts";

const circle = 2 ** 32;
const remembered = new WeakMap<Ring, ReadonlyMap<string, number>>();

/**
 * Fraction of the key space that each member owns.
 *
 * Exact for keys whose two positions are independent, as a hash makes them: a token with `a` positions before it is the
 * nearest with probability 2·∫₀ᵃ G, where G(x) is the part of the circle from which the next token is further than x.
 */
export function shares(ring: Ring): ReadonlyMap<string, number> {
  let owned = remembered.get(ring);
  if (owned === undefined) remembered.set(ring, (owned = computedShares(ring)));
  return owned;
}

function computedShares({ members, tokens, owners }: Ring): ReadonlyMap<string, number> {
  const total = tokens.length;
  // The arc before each token with its owner in one number: sorting numbers is native.
  const arcs = new Float64Array(total);
  for (let i = 0; i < total; i++) {
    const arc = i === 0 ? tokens[0]! + circle - tokens[total - 1]! : tokens[i]! - tokens[i - 1]!;
    arcs[i] = arc * 65_536 + owners[i]!;
  }
  arcs.sort();
  const sums = new Float64Array(members.length);
  // ∫₀ᵃ G is, over all arcs b: b²/2 for those shorter than a, a·b − a²/2 for the others. In parts of the circle.
  let shorter = 0;
  let longer = 1;
  for (let i = 0; i < total; i++) {
    const arc = Math.floor(arcs[i]! / 65_536) / circle;
    sums[arcs[i]! % 65_536]! += 2 * (shorter + arc * longer - ((total - i) * arc * arc) / 2);
    shorter += (arc * arc) / 2;
    longer -= arc;
  }
  // Rounding adds up to a hair more than all.
  return new Map(members.map(({ name }, index) => [name, Math.min(1, sums[index]!)]));
}

/** The largest share over the mean share, each relative to its weight: 1 is perfect. */
export function peakToMean(ring: Ring): number {
  return Math.max(...relativeShares(ring));
}

/** Each member's share over what its weight promises it. */
export function relativeShares(ring: Ring): readonly number[] {
  const totalWeight = ring.members.reduce((sum, { weight }) => sum + weight, 0);
  const owned = shares(ring);
  return ring.members.map(({ name, weight }) => owned.get(name)! / (weight / totalWeight));
}

export interface Move {
  readonly from: string;
  readonly to: string;
  readonly fraction: number;
}

/**
 * What changes hands from one ring to another, largest first: counted on `samples` keys that are spread evenly, so that
 * a fraction f is right to about √(f / samples).
 */
export function moves(before: Ring, after: Ring, samples = 2 ** 20): readonly Move[] {
  const width = after.members.length;
  const counts = new Uint32Array(before.members.length * width);
  const sameName = before.members.map(({ name }) => after.members.findIndex((member) => member.name === name));
  const stride = circle / samples;
  for (let i = 0; i < samples; i++) {
    const hash = Math.floor((i + mixed(i) / circle) * stride) >>> 0;
    const from = ownerIndex(before, hash);
    const to = ownerIndex(after, hash);
    if (sameName[from] !== to) counts[from * width + to]!++;
  }
  const moved: Move[] = [];
  for (const [cell, count] of counts.entries()) {
    if (count === 0) continue;
    const from = before.members[Math.floor(cell / width)]!.name;
    moved.push({ from, to: after.members[cell % width]!.name, fraction: count / samples });
  }
  return moved.sort((a, b) => b.fraction - a.fraction);
}
