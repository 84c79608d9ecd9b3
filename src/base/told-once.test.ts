import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ToldOnce } from "./told-once.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

it("ToldOnce tells each thing once, until it is forgotten", () => {
  const told = new ToldOnce({ max: 10 });
  expect(["a", "b", "a", "b"].map((what) => told.tell(what))).toEqual([true, true, false, false]);
  vi.advanceTimersByTime(1e9);
  expect(told.tell("a")).toBe(false);
  told.forget();
  expect(told.tell("a")).toBe(true);
});

it("ToldOnce tells a thing again when its time is over, counted from when it was told", () => {
  const told = new ToldOnce({ max: 10, againMs: 1000 });
  const tried = ["a", "b", "a", "a", "b"].map((what) => {
    const is = told.tell(what);
    vi.advanceTimersByTime(400);
    return is;
  });
  expect(tried).toEqual([true, true, false, true, true]);
});

it("ToldOnce tells of so many in a time, however many there are: what is told of is a stranger's to choose", () => {
  const told = new ToldOnce({ max: 3, againMs: 1000 });
  const news = (): number => Array.from({ length: 1000 }, (_, index) => told.tell(`${index}`)).filter(Boolean).length;
  expect([news(), news()]).toEqual([3, 0]);
  vi.advanceTimersByTime(1000);
  expect(news()).toBe(3);
});
