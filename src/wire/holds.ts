/**
 * Who is interested in an asker: each party takes a hold of its own and lets it go in one call, so that no order in
 * which parties come and go can lose one of them. An asker that leaves tells every holder once; holds taken after that
 * are told at once.
 */

/** What a party wants to hear. Neither is called any more once its hold has been released. */
export interface Holder {
  /** The asker is gone, whether its answer had been begun or not. The hold is released by it. */
  left(): void;
  /** The asker has room again after a `write` that returned false. */
  drained?(): void;
}

/** One party's hold. */
export interface Hold {
  /** Hears nothing more. May be called more than once. */
  release(): void;
}

const released: Hold = { release: () => {} };

/** The holds on one asker. */
export class Holds {
  /** Nearly always one or none: a list is cheaper than a set. */
  readonly #holders: Holder[] = [];
  #gone = false;

  /** Takes a hold. Where the asker has left already, the holder is told before this returns. */
  take(holder: Holder): Hold {
    if (this.#gone) {
      holder.left();
      return released;
    }
    this.#holders.push(holder);
    return {
      release: () => {
        const index = this.#holders.indexOf(holder);
        if (index !== -1) this.#holders.splice(index, 1);
      },
    };
  }

  /** There is room again. A holder may come or go while the others are told. */
  drained(): void {
    if (this.#holders.length === 1) return this.#holders[0]!.drained?.();
    for (const holder of this.#holders.slice()) if (this.#holders.includes(holder)) holder.drained?.();
  }

  /** The asker has left: everybody hears of it, once. */
  left(): void {
    if (this.#gone) return;
    this.#gone = true;
    // One by one from the front: what a holder does may release another's hold, which must then not be told.
    for (let holder = this.#holders.shift(); holder !== undefined; holder = this.#holders.shift()) holder.left();
  }

  get count(): number {
    return this.#holders.length;
  }
}
