import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { renewalMs, retryAfterMs } from "./due.ts";

const dayMs = 86_400_000;

describe("a certificate", () => {
  it("is renewed when between a third and 43% of its lifetime is left, however long that is", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 4000 }), (name, hours) => {
        const notAfterMs = hours * 3_600_000;
        const left = (notAfterMs - renewalMs(name, { notBeforeMs: 0, notAfterMs })) / notAfterMs;
        expect(left).toBeGreaterThanOrEqual(1 / 3 - 1e-9);
        expect(left).toBeLessThanOrEqual(1 / 3 + 1 / 10 + 1e-9);
      }),
    );
  });

  it("is not renewed at the moment at which others are", () => {
    const lifetime = { notBeforeMs: 0, notAfterMs: 90 * dayMs };
    const times = Array.from({ length: 20 }, (_, index) => renewalMs(`n${index}.test`, lifetime));
    expect(new Set(times).size).toBe(20);
    expect(renewalMs("n0.test", lifetime)).toBe(times[0]);
  });

  it("that cannot be had is asked for less and less often, once a day in the end", () => {
    const waits = Array.from({ length: 15 }, (_, failures) => retryAfterMs("n.test", failures + 1));
    expect(waits[0]).toBeGreaterThanOrEqual(60_000);
    expect(waits[0]).toBeLessThanOrEqual(72_000);
    expect(waits[1]).toBeGreaterThan(waits[0]! * 1.5);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(dayMs);
    expect(waits.at(-1)).toBeLessThanOrEqual(1.2 * dayMs);
  });
});
