import { describe, expect, it } from "vitest";
import { Clock } from "./clock.ts";

describe("Clock", () => {
  it("never goes back: a wall clock set back is a lead below zero, and nothing gets younger", () => {
    let [wall, monotonic] = [1_000_000_000, 0];
    const leaps: number[] = [];
    const clock = new Clock((seconds) => leaps.push(Math.round(seconds)), {
      wallMs: () => wall,
      monotonicMs: () => monotonic,
    });
    const pass = (ms: number, wallMs = ms): void => {
      monotonic += ms;
      wall += wallMs;
      clock.look();
    };
    const start = clock.nowSeconds();
    pass(1000);
    expect(clock.nowSeconds() - start).toBe(1);
    pass(1000, 1000 - 3_600_000);
    expect([clock.nowSeconds() - start, Math.round(clock.wallLeadSeconds())]).toEqual([2, -3600]);
    pass(5000);
    expect(clock.nowSeconds() - start).toBe(7);
    // Set right again: the steady clock has been right all the time.
    pass(1000, 1000 + 3_600_000);
    expect([Math.round(clock.nowSeconds() - start), Math.round(clock.wallLeadSeconds())]).toEqual([8, 0]);
    expect(leaps).toEqual([-3600, 3600]);
  });

  it("follows a wall clock that leaps ahead, as after a machine has slept: everything is older then", () => {
    let [wall, monotonic] = [1_000_000_000, 0];
    const clock = new Clock(() => {}, { wallMs: () => wall, monotonicMs: () => monotonic });
    const start = clock.nowSeconds();
    wall += 7_200_000;
    monotonic += 1000;
    clock.look();
    expect([clock.nowSeconds() - start, clock.wallLeadSeconds()]).toEqual([7200, 0]);
  });

  it("does not take slewing for a leap", () => {
    let [wall, monotonic] = [1_000_000_000, 0];
    const leaps: number[] = [];
    const clock = new Clock((seconds) => leaps.push(seconds), { wallMs: () => wall, monotonicMs: () => monotonic });
    for (let second = 0; second < 100; second++) {
      wall += 1000.4;
      monotonic += 1000;
      clock.look();
    }
    expect(leaps).toEqual([]);
  });
});
