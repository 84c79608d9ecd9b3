import { afterEach, expect, it, vi } from "vitest";
import { lookEvery } from "./look-every.ts";

afterEach(() => void vi.useRealTimers());

it("looks at intervals, and leaves out the first look after this process stood still, not a second one", () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  let looks = 0;
  const lost: number[] = [];
  const timer = lookEvery(
    100,
    () => void looks++,
    (ms) => lost.push(ms),
  );
  const after = (ms: number): number => {
    now += ms;
    vi.advanceTimersByTime(100);
    return looks;
  };
  expect([100, 150, 1000, 100, 1000, 1000, 1000].map(after)).toEqual([1, 2, 2, 3, 3, 4, 4]);
  expect(lost).toEqual([900, 900, 900]);
  clearInterval(timer);
  clock.mockRestore();
});
