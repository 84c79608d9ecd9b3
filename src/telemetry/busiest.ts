/**
 * What is asked for most, of a stream that names more things than can be remembered: counted in two windows of time,
 * and where a window holds too many names, the rarer half of them is forgotten. A name that makes up more than a
 * thousandth of all is not lost so, but may be counted a little short.
 */
export interface Tally {
  requests: number;
  bytes: number;
  misses: number;
  errors: number;
}

/** A name, and how much of it there is in a second. */
export interface Busy {
  readonly name: string;
  readonly requests: number;
  readonly bytes: number;
  readonly misses: number;
  readonly errors: number;
}

/** By what the busiest are found. */
export const busyKinds = ["uri", "route", "origin", "client"] as const;
/** The busiest of each kind. */
export type BusyLists = Readonly<Record<(typeof busyKinds)[number], readonly Busy[]>>;

const windowMs = 5000;
const namesMax = 4096;
/** Of a name; what is longer is told apart no further, and ends with the mark of what is left out. */
const charactersMax = 2048;
/** No URI has it. */
const leftOut = "…";

/** See above. Times are ms of any clock that does not go back. */
export class Busiest {
  #now = new Map<string, Tally>();
  #before = new Map<string, Tally>();
  #beganMs: number;
  #beforeMs = 0;

  constructor(nowMs: number) {
    this.#beganMs = nowMs;
  }

  /** Counts a request. */
  add(name: string, { bytes, missed, failed }: { bytes: number; missed: boolean; failed: boolean }, nowMs: number) {
    this.#turn(nowMs);
    const kept = name.length > charactersMax ? `${name.slice(0, charactersMax - 1)}${leftOut}` : name;
    let tally = this.#now.get(kept);
    if (tally === undefined) {
      if (this.#now.size >= namesMax) this.#now = rarerForgotten(this.#now);
      tally = { requests: 0, bytes: 0, misses: 0, errors: 0 };
      this.#now.set(kept, tally);
    }
    tally.requests++;
    tally.bytes += bytes;
    if (missed) tally.misses++;
    if (failed) tally.errors++;
  }

  /** The busiest, most requests first, in units a second over the last five to ten seconds. */
  top(count: number, nowMs: number): Busy[] {
    this.#turn(nowMs);
    const seconds = Math.max(1, (this.#beforeMs + nowMs - this.#beganMs) / 1000);
    const sums = new Map<string, Tally>();
    for (const window of [this.#before, this.#now]) {
      for (const [name, tally] of window) {
        const sum = sums.get(name);
        if (sum === undefined) sums.set(name, { ...tally });
        else {
          sum.requests += tally.requests;
          sum.bytes += tally.bytes;
          sum.misses += tally.misses;
          sum.errors += tally.errors;
        }
      }
    }
    return [...sums]
      .toSorted(([one, a], [other, b]) => b.requests - a.requests || (one < other ? -1 : 1))
      .slice(0, count)
      .map(([name, { requests, bytes, misses, errors }]) => ({
        name,
        requests: requests / seconds,
        bytes: bytes / seconds,
        misses: misses / seconds,
        errors: errors / seconds,
      }));
  }

  #turn(nowMs: number): void {
    const age = nowMs - this.#beganMs;
    if (age < windowMs) return;
    this.#before = age < 2 * windowMs ? this.#now : new Map();
    this.#beforeMs = age < 2 * windowMs ? age : 0;
    this.#now = new Map();
    this.#beganMs = nowMs;
  }
}

function rarerForgotten(window: ReadonlyMap<string, Tally>): Map<string, Tally> {
  const kept = [...window].toSorted(([, a], [, b]) => b.requests - a.requests).slice(0, namesMax / 2);
  return new Map(kept);
}

/** The busiest of several members together. */
export function together(lists: readonly (readonly Busy[])[], count: number): Busy[] {
  const sums = new Map<string, Busy>();
  for (const { name, requests, bytes, misses, errors } of lists.flat()) {
    const sum = sums.get(name);
    sums.set(name, {
      name,
      requests: requests + (sum?.requests ?? 0),
      bytes: bytes + (sum?.bytes ?? 0),
      misses: misses + (sum?.misses ?? 0),
      errors: errors + (sum?.errors ?? 0),
    });
  }
  return [...sums.values()].toSorted((a, b) => b.requests - a.requests).slice(0, count);
}
