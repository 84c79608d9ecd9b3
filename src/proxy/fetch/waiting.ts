/** Those who wait for a flight's head: they join, leave, and are served or sent on, each exactly once. */
import type { FieldList } from "../../http/fields.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import type { Hold } from "../../wire/holds.ts";
import type { Ticket } from "../request/ticket.ts";

/** Serves a ticket that a flight could not: `alone` without waiting for anybody, `anew` from the start. */
export type Again = (ticket: Ticket, how: "alone" | "anew") => void;

export interface Waiter {
  readonly ticket: Ticket;
  /** Null for one that nothing else could serve either (it has begun a fetch of its own). */
  readonly again: Again | null;
  /** Joined an existing flight. */
  readonly collapsed: boolean;
}

interface Held {
  readonly waiter: Waiter;
  readonly hold: Hold;
}

/** The waiters of one flight. */
export class Waiting {
  readonly #held = new Set<Held>();
  readonly #left: () => void;

  /** `left` is called whenever one of them has gone away. */
  constructor(left: () => void) {
    this.#left = left;
  }

  get size(): number {
    return this.#held.size;
  }

  add(waiter: Waiter): void {
    const { ticket } = waiter;
    const { exchange } = ticket;
    if (exchange.closed) {
      ticket.end(false);
      this.#left();
      return;
    }
    const held: Held = {
      waiter,
      hold: exchange.hold({
        left: () => {
          this.#held.delete(held);
          ticket.end(false);
          this.#left();
        },
      }),
    };
    this.#held.add(held);
  }

  /** An interim answer, to the one whose request it answers: others might be told of what is not theirs. */
  inform(status: number, fields: FieldList): void {
    for (const { waiter } of this.#held) if (!waiter.collapsed) waiter.ticket.exchange.inform(status, fields);
  }

  /** Takes those out whom `wanted` chooses; they are the caller's to serve. */
  take(wanted: (waiter: Waiter) => boolean = () => true): Waiter[] {
    const taken = [...this.#held].filter(({ waiter }) => wanted(waiter));
    for (const held of taken) {
      this.#held.delete(held);
      held.hold.release();
    }
    return taken.map(({ waiter }) => waiter);
  }

  /**
   * The head is there: who can be answered with it is served, the others go on by themselves. Who began the flight may
   * have left: it is having joined, not the place in the queue, that makes the answer another's.
   */
  settle(
    { head, shareable }: { readonly head: StoredHead; readonly shareable: boolean },
    serve: (waiter: Waiter) => void,
  ): void {
    for (const waiter of this.take()) {
      const { ticket, again, collapsed } = waiter;
      if (!collapsed || again === null) serve(waiter);
      else if (!shareable) again(ticket, "alone");
      else if (head.variant !== ticket.selecting(head.varyNames)) again(ticket, "anew");
      else serve(waiter);
    }
  }
}
