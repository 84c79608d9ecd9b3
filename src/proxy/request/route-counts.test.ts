import { describe, expect, it } from "vitest";
import { bucketOf, durationBoundsMs } from "./durations.ts";
import { countRoute, noRoute, RouteCounts, routeFloats, RouteNumbers, routeNumbersMax } from "./route-counts.ts";

describe("routes' counts", () => {
  it("have the same number for a route as long as there are, and one for all that are too many", () => {
    const numbers = new RouteNumbers();
    const given = Array.from({ length: 100 }, (_, index) => numbers.of(`r${index}`));
    expect(given.slice(0, 3)).toEqual([1, 2, 3]);
    expect(Math.max(...given)).toBe(routeNumbersMax - 1);
    expect(numbers.of("r1")).toBe(2);
    expect([numbers.name(2), numbers.name(routeNumbersMax - 1), numbers.name(noRoute)]).toEqual([
      "r1",
      "(others)",
      "-",
    ]);
    expect(new RouteNumbers().name(5)).toBeNull();
    // Those that are gone make room, again and again; one of too many gets a number when there is one.
    for (let turn = 0; turn < 10; turn++) {
      const names = ["r1", "r70", ...Array.from({ length: 40 }, (_, index) => `turn${turn}-${index}`)];
      for (const name of names) numbers.of(name);
      numbers.keep(new Set(names));
      for (const name of names) expect(numbers.of(name), `${name} of turn ${turn}`).toBeLessThan(routeNumbersMax - 1);
    }
    expect([numbers.of("r1"), numbers.known("r5")]).toEqual([2, routeNumbersMax - 1]);
    expect(numbers.keep(new Set(["r1"]))).not.toContain(2);
  });

  it("add what took the whole way, hits of the fast way, and what other threads have counted", () => {
    const counts = new RouteCounts();
    const api = counts.numbers.of("/api");
    counts.finished(api, "uri-miss", 100, 30, bucketOf(30));
    counts.finished(api, "hit", 100, 3, bucketOf(3));
    counts.hit(api, 100, 0.01, bucketOf(0.01));
    counts.finished(noRoute, "method", 7, 1, bucketOf(1));
    const before = new Float64Array(routeNumbersMax * routeFloats);
    const now = before.slice();
    countRoute(now, api * routeFloats, 100, 100_000, bucketOf(100_000), true);
    counts.absorb(now, before);
    counts.absorb(now, now);
    const [none, one, ...rest] = counts.all();
    expect(rest).toEqual([]);
    expect([none!.route, none!.bytes, [...none!.byOutcome]]).toEqual(["-", 7, [["method", 1]]]);
    expect([one!.route, one!.bytes, one!.durationSumMs]).toEqual(["/api", 400, 100_033.01]);
    expect(Object.fromEntries(one!.byOutcome)).toEqual({ "uri-miss": 1, hit: 3 });
    expect(one!.durations).toHaveLength(durationBoundsMs.length + 1);
    expect([one!.durations[0], one!.durations.at(-1)]).toEqual([1, 1]);
    expect(one!.durations.reduce((sum, count) => sum + count)).toBe(4);
    counts.follow([]);
    expect(counts.all().map(({ route }) => route)).toEqual(["-"]);
  });
});
