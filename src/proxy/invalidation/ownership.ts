/** Who owned a key before it came here: what this member's place in the last views says. */
import { owner, ringOf, type Ring } from "../../ring/ring.ts";
import type { View } from "../../ring/view.ts";

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
      if (others.length > 0) this.#remember(ringOf(others), now);
    } else if (before.ring !== view.ring) this.#remember(before.ring, now);
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

  #remember(ring: Ring, now: number): void {
    this.#past.unshift({ ring, untilSeconds: now + previousSeconds });
    if (this.#past.length > ringsMax) this.#past.pop();
  }
}
