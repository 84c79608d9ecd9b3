import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Busiest, together } from "./busiest.ts";

const one = { bytes: 100, missed: false, failed: false };

describe("Busiest", () => {
  it("tells rates a second over what it has counted, the busiest first", () => {
    const busiest = new Busiest(0);
    for (let at = 0; at < 4000; at += 10) busiest.add("often", one, at);
    for (let at = 0; at < 4000; at += 100) busiest.add("seldom", { ...one, missed: true, failed: at === 0 }, at);
    const [first, second] = busiest.top(5, 4000);
    expect(first).toEqual({ name: "often", requests: 100, bytes: 10_000, misses: 0, errors: 0 });
    expect(second).toEqual({ name: "seldom", requests: 10, bytes: 1000, misses: 10, errors: 0.25 });
    expect(busiest.top(1, 4000)).toHaveLength(1);
  });

  it("forgets what is ten seconds old, and keeps what is not five", () => {
    const busiest = new Busiest(0);
    busiest.add("old", one, 1000);
    busiest.add("new", one, 9000);
    expect(busiest.top(5, 9500).map(({ name }) => name)).toEqual(["new", "old"]);
    expect(busiest.top(5, 14_100).map(({ name }) => name)).toEqual(["new"]);
    expect(busiest.top(5, 30_000)).toEqual([]);
  });

  it("says of a name that is too long to be kept that it is not the whole one", () => {
    const busiest = new Busiest(0);
    busiest.add("/".repeat(2048), one, 0);
    for (const end of ["a", "b"]) busiest.add(`${"x".repeat(2048)}${end}`, one, 0);
    expect(busiest.top(5, 1000).map(({ name, requests }) => [name.length, name.at(-1), requests])).toEqual([
      [2048, "…", 2],
      [2048, "/", 1],
    ]);
  });

  it("finds what is frequent among names without end, and holds no more than it may", () => {
    const busiest = new Busiest(0);
    for (let index = 0; index < 100_000; index++) {
      busiest.add(`once ${index}`, one, index / 100);
      if (index % 20 === 0) busiest.add(`often ${index % 3}`, one, index / 100);
    }
    expect(
      busiest
        .top(3, 1000)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["often 0", "often 1", "often 2"]);
    expect(busiest.top(100_000, 1000).length).toBeLessThanOrEqual(4096);
  });

  it("puts members' lists together as if one had counted all", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.boolean()), { maxLength: 50 }), (requests) => {
        const [whole, left, right] = [new Busiest(0), new Busiest(0), new Busiest(0)];
        for (const [name, goesLeft] of requests) {
          whole.add(name, one, 10);
          (goesLeft ? left : right).add(name, one, 10);
        }
        const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
        expect(together([left.top(9, 10), right.top(9, 10)], 9).toSorted(byName)).toEqual(
          whole.top(9, 10).toSorted(byName),
        );
      }),
    );
  });
});
