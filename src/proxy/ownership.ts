/**
 * Whether a stored response may be trusted to have heard of every invalidation: only an owner hears of them. A member
 * that lost a key and got it back may hold a response that was invalidated meanwhile, so it must have owned the key
 * through every view in between.
 */
import { owner } from "../ring/ring.ts";
import type { View } from "../ring/view.ts";
import type { StoredResponse } from "../store/stored-response.ts";

/** Views remembered. A stored response not used for longer is validated once. */
const viewsMax = 16;
/** An invalidation may go to the owner while a stand-in answers: so long, at most, the stand-in answers without asking. */
const standInSeconds = 5;

/** Remembers the last views. */
export class Ownership {
  readonly #self: string;
  #views: View[] = [];

  constructor(self: string) {
    this.#self = self;
  }

  follow(view: View): void {
    this.#views.push(view);
    if (this.#views.length > viewsMax) this.#views.shift();
  }

  /**
   * How far what is stored now may be trusted: as the owner's through this epoch, or, where this member only stands in for
   * an owner that it cannot reach, for a few seconds.
   */
  standing(hash: number, now: number): { readonly ownedEpoch: number; readonly standInUntil: number } {
    const current = this.#views.at(-1);
    if (current === undefined || owner(current.ring, hash).name === this.#self)
      return { ownedEpoch: current?.epoch ?? 0, standInUntil: 0 };
    return { ownedEpoch: -1, standInUntil: now + standInSeconds };
  }

  /** Whether this member has owned the key from the stored response's last use to now; remembers that it has. */
  unbroken(stored: StoredResponse, now: number): boolean {
    if (stored.ownedEpoch === -1) return now < stored.standInUntil;
    const current = this.#views.at(-1);
    if (current === undefined || stored.ownedEpoch === current.epoch) return true;
    const oldest = this.#views[0]!;
    if (oldest.epoch > stored.ownedEpoch + 1) return false;
    for (const view of this.#views) {
      if (view.epoch > stored.ownedEpoch && owner(view.ring, stored.hash).name !== this.#self) return false;
    }
    stored.ownedEpoch = current.epoch;
    return true;
  }
}
