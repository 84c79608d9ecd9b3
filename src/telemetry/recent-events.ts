/** The last events of a member, for those who ask later than they happened, and for those who want to hear more. */

/** An event as the log has it: one JSON object. */
export interface Event {
  /** Counts up, from the time (ms since the epoch) of the first: after a restart it goes on. */
  readonly number: number;
  readonly line: string;
}

const eventsMax = 500;
const charactersMax = 4096;
/** Of one kind in ten seconds: what strangers can cause must not push out everything else. */
const perKindMax = 100;
const windowMs = 10_000;

/** See above. */
export class RecentEvents {
  readonly #events: Event[] = [];
  readonly #listeners = new Set<(event: Event) => void>();
  readonly #nowMs: () => number;
  #last = 0;
  #windowBeganMs = 0;
  readonly #ofKind = new Map<string, number>();

  /** @param nowMs ms since the epoch. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Takes an event, as the line of JSON that the log writes. */
  add(line: string): void {
    if (line.length > charactersMax || this.#isTooOften(line)) return;
    const event = { number: (this.#last = Math.max(this.#last + 1, this.#nowMs())), line: line.trimEnd() };
    this.#events.push(event);
    if (this.#events.length > eventsMax) this.#events.splice(this.#leastMissed(), 1);
    for (const listener of this.#listeners) listener(event);
  }

  /** The oldest of the kind that there is most of: a thousand purges do not push out the last change of leader. */
  #leastMissed(): number {
    const counts = new Map<string, number>();
    let most = kindOf(this.#events[0]!.line);
    for (const { line } of this.#events) {
      const kind = kindOf(line);
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (count > (counts.get(most) ?? 0)) most = kind;
    }
    return this.#events.findIndex(({ line }) => kindOf(line) === most);
  }

  #isTooOften(line: string): boolean {
    const now = this.#nowMs();
    if (now - this.#windowBeganMs > windowMs) {
      this.#windowBeganMs = now;
      this.#ofKind.clear();
    }
    const kind = kindOf(line);
    const count = (this.#ofKind.get(kind) ?? 0) + 1;
    this.#ofKind.set(kind, count);
    return count > perKindMax;
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

function kindOf(line: string): string {
  return /"kind":"([a-z0-9-]+)"/.exec(line)?.[1] ?? "";
}
