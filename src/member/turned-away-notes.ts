/** Counts the connections of clients that are turned away, and tells of them: at once, then once a minute at most. */
import { turnedAwayFor, TurnedAwaySum, type TurnedAway, type TurnedAwayFor } from "../wire/turned-away.ts";

const quietMs = 60_000;

/** Of one member. */
export class TurnedAwayNotes {
  readonly counts: Map<TurnedAwayFor, number> = new Map(
    (Object.keys(turnedAwayFor) as TurnedAwayFor[]).map((reason) => [reason, 0]),
  );
  readonly #sum = new TurnedAwaySum();
  readonly #toldAt = new Map<TurnedAwayFor, number>();
  readonly #tell: (some: TurnedAway, text: string) => void;

  constructor(tell: (some: TurnedAway, text: string) => void) {
    this.#tell = tell;
  }

  /** `now`: ms, monotonic. */
  add(some: TurnedAway, now: number): void {
    const { reason, count } = some;
    this.counts.set(reason, this.counts.get(reason)! + count);
    this.#sum.add(some);
    this.look(now);
  }

  /** Tells of what has not been told and may be by now. */
  look(now: number): void {
    for (const reason of this.counts.keys()) {
      if (now - (this.#toldAt.get(reason) ?? -Infinity) < quietMs) continue;
      const some = this.#sum.take(reason);
      if (some === null) continue;
      this.#toldAt.set(reason, now);
      const connections = some.count === 1 ? "a connection" : `${some.count} connections`;
      const from = some.count === 1 ? "from" : "the last from";
      this.#tell(some, `closed ${connections} ${turnedAwayFor[reason]}, ${from} ${some.address}`);
    }
  }
}
