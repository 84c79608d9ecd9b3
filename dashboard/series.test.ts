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
    series.add("m1", [sample(10, 4), sample(11, 6), sample(12, 8)]);
    series.add("m1", [sample(11, 6), sample(12, 8)]);
    series.add("m2", [sample(11, 10)]);
    const slots = series.slots(null, 3, 2);
    expect(slots.map(({ atMs }) => atMs)).toEqual([18_000, 20_000, 22_000]);
    expect(slots.map(({ slot }) => [slot.told, slot.requests])).toEqual([
      [false, 0],
      [true, 4],
      [true, 16],
    ]);
    expect(series.slots("m2", 1, 2)[0]!.slot.requests).toBe(10);
    expect(
      summed(
        slots.map(({ slot }) => slot),
        2,
      ).hits,
    ).toBe(10);
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
