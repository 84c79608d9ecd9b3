/** What a member has done lately, slot by slot: enough to draw the last ten minutes, and of the last slot the rates. */
import type { Counts } from "../proxy/request/counts.ts";

/** What happened in one slot of time. */
export interface Sample {
  /** Slots since the epoch: of all members the same. */
  readonly slot: number;
  readonly requests: number;
  readonly hits: number;
  /** Bytes of content sent. */
  readonly bytes: number;
  /** Answers to clients with a status of 5xx. */
  readonly failed: number;
  readonly originFetches: number;
  /** Requests by duration: bucket, count, bucket, count … of `durationBoundsMs`. */
  readonly durations: readonly number[];
}

export const slotMs = 2000;
const slotsKept = 300;

/** What is counted up to now. */
interface Totals {
  readonly requests: number;
  readonly hits: number;
  readonly bytes: number;
  readonly failed: number;
  readonly originFetches: number;
  readonly durations: readonly number[];
}

/**
 * Requests that were answered here, and hits among them. What was forwarded to its owner is counted there: only the
 * owner knows whether it was a hit.
 */
export function answered({ hits, byOutcome }: Pick<Counts, "hits" | "byOutcome">): { requests: number; hits: number } {
  const sum = { requests: hits, hits };
  for (const [label, count] of byOutcome) {
    if (label === "bypass") continue;
    sum.requests += count;
    if (label.startsWith("hit")) sum.hits += count;
  }
  return sum;
}

/** Keeps samples; `counts` are those of a recorder, gathered. */
export class History {
  readonly #counts: () => Readonly<Counts>;
  readonly #samples: Sample[] = [];
  #before: Totals;
  #timer: NodeJS.Timeout | null = null;

  constructor(counts: () => Readonly<Counts>) {
    this.#counts = counts;
    this.#before = totalsOf(counts());
  }

  /** Looks every two seconds from now on. */
  start(): void {
    this.#timer = setInterval(() => this.look(Date.now()), slotMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Ends a slot now (ms since the epoch). */
  look(nowMs: number): void {
    const now = totalsOf(this.#counts());
    const before = this.#before;
    this.#before = now;
    this.#samples.push({
      slot: Math.max(Math.floor(nowMs / slotMs), (this.#samples.at(-1)?.slot ?? 0) + 1),
      requests: now.requests - before.requests,
      hits: now.hits - before.hits,
      bytes: now.bytes - before.bytes,
      failed: now.failed - before.failed,
      originFetches: now.originFetches - before.originFetches,
      durations: now.durations.flatMap((count, bucket) => {
        const more = count - before.durations[bucket]!;
        return more === 0 ? [] : [bucket, more];
      }),
    });
    if (this.#samples.length > slotsKept) this.#samples.shift();
  }

  /** Those after a slot, oldest first. */
  since(slot: number): readonly Sample[] {
    return this.#samples.filter((sample) => sample.slot > slot);
  }
}

function totalsOf(counts: Readonly<Counts>): Totals {
  const { clientBytes, failed, originFetches, clientDurations } = counts;
  return { ...answered(counts), bytes: clientBytes, failed, originFetches, durations: [...clientDurations] };
}
