import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bearer, loadBound, loadLimit } from "./bounded-load.ts";
import { FrequencySketch } from "./frequency-sketch.ts";
import { mixed } from "./murmur3.ts";
import { keyHash, ringOf, successors } from "./ring.ts";

describe("FrequencySketch", () => {
  it("never says less than the truth within a window", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 2000 }), (keys) => {
        const sketch = new FrequencySketch(256, 4000);
        const truth = new Map<number, number>();
        for (const key of keys) {
          const hash = mixed(key);
          truth.set(hash, (truth.get(hash) ?? 0) + 1);
          expect(sketch.add(hash)).toBeGreaterThanOrEqual(Math.min(255, truth.get(hash)!));
        }
        for (const [hash, count] of truth) expect(sketch.estimate(hash)).toBeGreaterThanOrEqual(Math.min(255, count));
      }),
      { numRuns: 30 },
    );
  });

  it("says hardly more: of 8,000 different keys, asked for once each, none seems hot", () => {
    const sketch = new FrequencySketch();
    let most = 0;
    for (let i = 0; i < 8000; i++) most = Math.max(most, sketch.add(mixed(i)));
    expect(most).toBeLessThanOrEqual(4);
  });

  it("finds one key in a thousand among many", () => {
    const sketch = new FrequencySketch();
    for (let i = 0; i < 8000; i++) sketch.add(i % 100 === 0 ? 7 : mixed(i));
    expect(sketch.estimate(7)).toBeGreaterThanOrEqual(80);
    expect(sketch.estimate(7)).toBeLessThan(85);
  });

  it("forgets: after two windows of other keys little is left", () => {
    const sketch = new FrequencySketch(1024, 1000);
    for (let i = 0; i < 200; i++) sketch.add(7);
    for (let i = 0; i < 4000; i++) sketch.add(mixed(i));
    expect(sketch.estimate(7)).toBeLessThan(40);
  });
});

describe("bounded loads", () => {
  it("leave a key with its owner while nobody is busy", () => {
    expect(bearer([15, 0, 0], loadLimit(15, 3, loadBound))).toBe(0);
    expect(bearer([40, 0, 0], loadLimit(40, 3, loadBound))).toBe(1);
    expect(bearer([40, 39, 0], loadLimit(79, 3, loadBound))).toBe(2);
  });

  it("leave it with its owner where everybody is busy", () => {
    expect(bearer([50, 60, 70], 40)).toBe(0);
  });

  it("never put a member above its bound, whatever keys are asked for", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 8 }),
        fc.array(fc.nat(9), { minLength: 50, maxLength: 400 }),
        fc.constantFrom(0.1, 0.25, 1),
        (members, keys, epsilon) => {
          const ring = ringOf(
            Array.from({ length: members }, (_, index) => ({ name: `m${index}`, weight: 1 })),
            64,
          );
          const loads = new Map(ring.members.map(({ name }) => [name, 0]));
          const bound = { epsilon, floor: 1 };
          for (const [total, key] of keys.entries()) {
            const order = [...successors(ring, keyHash(`http://example.com/${key}`))].map(({ name }) => name);
            const limit = loadLimit(total, members, bound);
            const chosen =
              order[
                bearer(
                  order.map((name) => loads.get(name)!),
                  limit,
                )
              ]!;
            loads.set(chosen, loads.get(chosen)! + 1);
            expect(loads.get(chosen)!).toBeLessThanOrEqual(limit);
          }
          expect(Math.max(...loads.values())).toBeLessThanOrEqual(Math.ceil(((1 + epsilon) * keys.length) / members));
        },
      ),
      { numRuns: 40 },
    );
  });
});
