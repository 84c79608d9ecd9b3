import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, it, vi } from "vitest";
import { lookEvery } from "./look-every.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it("looks at intervals; leaves out the first look after this process stood still, and reads before a second one", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  let looks = 0;
  const lost: number[] = [];
  const timer = lookEvery(
    100,
    () => void looks++,
    (ms) => lost.push(ms),
  );
  const after = async (ms: number): Promise<readonly [number, number]> => {
    now += ms;
    vi.advanceTimersByTime(100);
    const atOnce = looks;
    await turn();
    return [atOnce, looks];
  };
  const seen: (readonly [number, number])[] = [];
  for (const ms of [100, 150, 1000, 100, 1000, 1000, 1000]) seen.push(await after(ms));
  expect(seen.map(([, whenRead]) => whenRead)).toEqual([1, 2, 2, 3, 3, 4, 4]);
  expect(seen.map(([atOnce]) => atOnce)).toEqual([1, 2, 2, 3, 3, 3, 4]);
  expect(lost).toEqual([900, 900, 900, 900]);
  clearInterval(timer);
});
