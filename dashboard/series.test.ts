import { describe, expect, it } from "vitest";
import type { Sample } from "../src/admin/history.ts";
import { percentile, Series, summed } from "./series.ts";

const sample = (slot: number, requests: number, durations: number[] = []): Sample => ({
  slot,
  requests,
  hits: requests / 2,
  bytes: 10 * requests,
  failed: 0,
  originFetches: 1,
  durations,
});

describe("series of members", () => {
  it("count each sample once however often it is told, and leave out the slot that some have not told yet", () => {
    const series = new Series();
    series.add("m1", [sample(10, 4), sample(11, 6), sample(12, 8)], 24_000);
    series.add("m1", [sample(11, 6), sample(12, 8)], 24_500);
    series.add("m2", [sample(11, 10), sample(12, 1)], 24_500);
    const slots = series.slots(null, 3, 2, 24_900);
    expect(slots.map(({ atMs }) => atMs)).toEqual([18_000, 20_000, 22_000]);
    expect(slots.map(({ slot }) => [slot.told, slot.requests])).toEqual([
      [false, 0],
      [true, 4],
      [true, 16],
    ]);
    expect(series.slots("m2", 1, 2, 24_900)[0]!.slot.requests).toBe(10);
    expect(
      summed(
        slots.map(({ slot }) => slot),
        2,
      ).hits,
    ).toBe(10);
  });

  it("of members whose clocks differ belong together by when they came", () => {
    const series = new Series();
    for (let slot = 1; slot <= 10; slot++) {
      series.add("m1", [sample(slot, 5)], slot * 2000);
      series.add("m2", [sample(slot + 500, 5)], slot * 2000);
    }
    const now = series.slots(null, 5, 2, 20_500);
    expect(now.map(({ slot }) => slot.requests)).toEqual([10, 10, 10, 10, 10]);
    // One that has told nothing for a while has no part in now.
    for (let slot = 11; slot <= 15; slot++) series.add("m1", [sample(slot, 5)], slot * 2000);
    expect(series.slots(null, 3, 2, 30_500).map(({ slot }) => slot.requests)).toEqual([5, 5, 5]);
  });

  it("find percentiles of durations within their buckets", () => {
    const bounds = [1, 10, 100];
    expect(percentile([0, 0, 0, 0], bounds, 0.5)).toBeNull();
    expect(percentile([10, 0, 0, 0], bounds, 0.5)).toBe(0.5);
    expect(percentile([50, 49, 1, 0], bounds, 0.99)).toBe(10);
    expect(percentile([50, 49, 1, 0], bounds, 0.5)).toBe(1);
    expect(percentile([0, 0, 0, 3], bounds, 0.5)).toBe(100);
  });
});
