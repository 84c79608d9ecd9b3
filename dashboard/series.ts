/** What members tell slot by slot, put together: sums for charts, and percentiles of durations. Pure. */
import type { Sample } from "../src/admin/history.ts";

export const slotMs = 2000;
const slotsKept = 300;

/** What happened in a slot, at some members together. */
export interface Slot {
  /** Whether anybody has told of it. */
  told: boolean;
  requests: number;
  hits: number;
  bytes: number;
  failed: number;
  originFetches: number;
  /** By bucket. */
  durations: number[];
}

interface Told {
  readonly slots: Map<number, Sample>;
  /** The newest, and when it came (ms of the page's clock). */
  last: number;
  atMs: number;
}

/**
 * All samples of all members, each counted once however often it is told. Members' clocks may differ: what each has told
 * last counts as told at the same time.
 */
export class Series {
  readonly #members = new Map<string, Told>();

  /** @param nowMs of the page's clock. */
  add(member: string, samples: readonly Sample[], nowMs: number): void {
    let told = this.#members.get(member);
    if (told === undefined) this.#members.set(member, (told = { slots: new Map(), last: 0, atMs: nowMs }));
    for (const sample of samples) {
      told.slots.set(sample.slot, sample);
      if (sample.slot > told.last) [told.last, told.atMs] = [sample.slot, nowMs];
    }
    for (const slot of told.slots.keys()) if (slot < told.last - slotsKept) told.slots.delete(slot);
  }

  /** The last `count` slots of one member or of all (null), oldest first; times are of the page's clock. */
  slots(
    member: string | null,
    count: number,
    buckets: number,
    nowMs: number,
  ): { readonly atMs: number; readonly slot: Slot }[] {
    const found =
      member === null ? [...this.#members.values()] : [this.#members.get(member)].filter((one) => one !== undefined);
    // Of the last slot or two some have not told yet.
    const end = Math.floor(nowMs / slotMs) - 1;
    return Array.from({ length: count }, (_, index) => {
      const back = count - 1 - index;
      const slot = none(buckets);
      for (const { slots, last, atMs } of found) {
        const sample = slots.get(last + Math.floor(nowMs / slotMs) - Math.floor(atMs / slotMs) - 1 - back);
        if (sample === undefined) continue;
        addTo(slot, sample);
        slot.told = true;
      }
      return { atMs: (end - back) * slotMs, slot };
    });
  }
}

function none(buckets: number): Slot {
  const durations = new Array<number>(buckets).fill(0);
  return { told: false, requests: 0, hits: 0, bytes: 0, failed: 0, originFetches: 0, durations };
}

function addTo(slot: Slot, sample: Sample): void {
  slot.requests += sample.requests;
  slot.hits += sample.hits;
  slot.bytes += sample.bytes;
  slot.failed += sample.failed;
  slot.originFetches += sample.originFetches;
  for (let at = 0; at < sample.durations.length; at += 2)
    slot.durations[sample.durations[at]!]! += sample.durations[at + 1]!;
}

/** Several slots as one. */
export function summed(slots: readonly Slot[], buckets: number): Slot {
  const sum: Slot = none(buckets);
  for (const slot of slots) {
    sum.requests += slot.requests;
    sum.hits += slot.hits;
    sum.bytes += slot.bytes;
    sum.failed += slot.failed;
    sum.originFetches += slot.originFetches;
    for (const [bucket, count] of slot.durations.entries()) sum.durations[bucket]! += count;
  }
  return sum;
}

/**
 * The duration (ms) below which a part of the requests stays, as far as buckets tell: within one, evenly. Null where
 * there were none.
 */
export function percentile(durations: readonly number[], boundsMs: readonly number[], fraction: number): number | null {
  const all = durations.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let before = 0;
  for (const [bucket, count] of durations.entries()) {
    if (before + count >= fraction * all && count > 0) {
      const low = bucket === 0 ? 0 : boundsMs[bucket - 1]!;
      const high = boundsMs[bucket] ?? low;
      return low + ((high - low) * (fraction * all - before)) / count;
    }
    before += count;
  }
  return boundsMs.at(-1) ?? null;
}
