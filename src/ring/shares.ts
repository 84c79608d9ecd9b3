/** How a ring divides the key space, and what changes between two rings. Fractions of 1. */
import type { Ring } from "./ring.ts";

const circle = 2 ** 32;

/** Fraction of the key space that each member owns. */
export function shares(ring: Ring): ReadonlyMap<string, number> {
  const owned = new Map<string, number>(ring.members.map(({ name }) => [name, 0]));
  for (const arc of arcs(ring)) owned.set(arc.owner, owned.get(arc.owner)! + (arc.end - arc.start) / circle);
  return owned;
}

/** The largest share over the mean share, each relative to its weight: 1 is perfect. */
export function peakToMean(ring: Ring): number {
  const totalWeight = ring.members.reduce((sum, { weight }) => sum + weight, 0);
  const owned = shares(ring);
  return Math.max(...ring.members.map(({ name, weight }) => owned.get(name)! / (weight / totalWeight)));
}

export interface Move {
  readonly from: string;
  readonly to: string;
  readonly fraction: number;
}

/** What changes hands from one ring to another, largest first. */
export function moves(before: Ring, after: Ring): readonly Move[] {
  const moved = new Map<string, Move>();
  const olds = arcs(before);
  const news = arcs(after);
  let [i, j, position] = [0, 0, 0];
  while (i < olds.length && j < news.length) {
    const old = olds[i]!;
    const current = news[j]!;
    const end = Math.min(old.end, current.end);
    if (old.owner !== current.owner && end > position) {
      const id = `${old.owner}\n${current.owner}`;
      moved.set(id, {
        from: old.owner,
        to: current.owner,
        fraction: (moved.get(id)?.fraction ?? 0) + (end - position) / circle,
      });
    }
    position = end;
    if (old.end === end) i++;
    if (current.end === end) j++;
  }
  return [...moved.values()].sort((a, b) => b.fraction - a.fraction);
}

interface Arc {
  readonly start: number;
  readonly end: number;
  readonly owner: string;
}

/** Half-open arcs over the whole circle in order; a token owns what lies before it, itself included. */
function arcs(ring: Ring): Arc[] {
  const list: Arc[] = [];
  if (ring.tokens.length === 0) return list;
  let start = 0;
  for (let i = 0; i < ring.tokens.length; i++) {
    const end = ring.tokens[i]! + 1;
    if (end > start) list.push({ start, end, owner: ring.members[ring.owners[i]!]!.name });
    start = Math.max(start, end);
  }
  if (start < circle) list.push({ start, end: circle, owner: ring.members[ring.owners[0]!]!.name });
  return list;
}
