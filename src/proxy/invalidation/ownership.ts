/** Who owned a key before it came here: what this member's place in the last views says. */
import { owner, ringOf, type Ring } from "../../ring/ring.ts";
import type { Member, View } from "../../ring/view.ts";

/** Rings remembered, the current one not counted. */
const ringsMax = 16;
/** A previous owner is asked for so long: by then what is asked for at all has been. */
const previousSeconds = 600;
/** Previous owners asked for one key. */
const previousMax = 2;

interface Past {
  readonly ring: Ring;
  readonly untilSeconds: number;
}

/**
 * Who came so shortly before has little yet of what it owns, and those behind it are asked as well, for as long as that
 * may be so: not longer, since all members of a new cluster have come shortly before each other.
 */
const newcomerSeconds = 60;
const newcomersMax = 4;

/** The rings that a joiner has not seen, of the time before others came shortly before it; the oldest first. */
function ringsBefore(others: readonly Member[], self: Member | undefined): Ring[] {
  if (self === undefined) return [];
  const byAge = others.toSorted((a, b) => a.startedMs - b.startedMs);
  const isNew = ({ startedMs }: Member): boolean => startedMs > self.startedMs - newcomerSeconds * 1000;
  const rings: Ring[] = [];
  for (let without = Math.min(byAge.filter(isNew).length, newcomersMax); without > 0; without--)
    if (without < byAge.length) rings.push(ringOf(byAge.slice(0, -without)));
  return rings;
}

/** Remembers the last views. */
export class Ownership {
  readonly #self: string;
  #view: View | null = null;
  /** The newest first. */
  #past: Past[] = [];

  constructor(self: string) {
    this.#self = self;
  }

  follow(view: View, now: number): void {
    const before = this.#view;
    this.#view = view;
    if (before === null) {
      const others = view.members.filter(({ name }) => name !== this.#self);
      for (const ring of ringsBefore(others, view.byName.get(this.#self))) this.#remember(ring, now + newcomerSeconds);
      if (others.length > 0) this.#remember(ringOf(others), now + previousSeconds);
    } else if (before.ring !== view.ring) this.#remember(before.ring, now + previousSeconds);
  }

  /** Members that owned a key lately and are still there, the latest first: they may have what this one has not. */
  previousOwners(hash: number, now: number): string[] {
    if (this.#past.length === 0) return [];
    this.#past = this.#past.filter(({ untilSeconds }) => untilSeconds > now);
    const names: string[] = [];
    for (const { ring } of this.#past) {
      const { name } = owner(ring, hash);
      if (name === this.#self || names.includes(name) || this.#view?.byName.has(name) !== true) continue;
      names.push(name);
      if (names.length === previousMax) break;
    }
    return names;
  }

  #remember(ring: Ring, untilSeconds: number): void {
    this.#past.unshift({ ring, untilSeconds });
    if (this.#past.length > ringsMax) this.#past.pop();
  }
}
