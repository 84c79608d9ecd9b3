/** The last events of a member, for those who ask later than they happened, and for those who want to hear more. */

/** An event as the log has it: one JSON object. */
export interface Event {
  /** Counts up, from the time (ms since the epoch) of the first: after a restart it goes on. */
  readonly number: number;
  readonly line: string;
}

const eventsMax = 500;
const charactersMax = 4096;

/** See above. */
export class RecentEvents {
  readonly #events: Event[] = [];
  readonly #listeners = new Set<(event: Event) => void>();
  readonly #nowMs: () => number;
  #last = 0;

  /** @param nowMs ms since the epoch. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Takes an event, as the line of JSON that the log writes. */
  add(line: string): void {
    if (line.length > charactersMax) return;
    const event = { number: (this.#last = Math.max(this.#last + 1, this.#nowMs())), line: line.trimEnd() };
    this.#events.push(event);
    if (this.#events.length > eventsMax) this.#events.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** Those after a number, oldest first. */
  since(number: number): readonly Event[] {
    return this.#events.filter((event) => event.number > number);
  }

  /** Tells of every event from now on, until the function returned is called. */
  listen(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
