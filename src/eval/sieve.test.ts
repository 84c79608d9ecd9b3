import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Sieve, type Evictable } from "./sieve.ts";

class One implements Evictable {
  used = false;
  newer: this | null = null;
  older: this | null = null;
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

describe("Sieve", () => {
  it("lets the oldest go that nobody used, and passes over the others once", () => {
    const sieve = new Sieve<One>();
    const [a, b, c] = ["a", "b", "c"].map((name) => new One(name)) as [One, One, One];
    for (const one of [a, b, c]) sieve.added(one);
    sieve.used(a);
    expect(sieve.victim()).toBe(b);
    sieve.removed(b);
    expect(sieve.victim()).toBe(c);
    sieve.removed(c);
    expect(sieve.victim()).toBe(a);
    sieve.removed(a);
    expect(sieve.victim()).toBeNull();
  });

  it("always names one that is there, and never loses or invents any", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("add", "use", "remove", "evict"), fc.nat(9)), { maxLength: 80 }),
        (steps) => {
          const sieve = new Sieve<One>();
          const kept: One[] = [];
          for (const [step, at] of steps) {
            const one = kept[at % Math.max(1, kept.length)];
            if (step === "add") {
              const added = new One(String(kept.length));
              kept.push(added);
              sieve.added(added);
            } else if (step === "use" && one !== undefined) sieve.used(one);
            else if (step === "remove" && one !== undefined) {
              kept.splice(kept.indexOf(one), 1);
              sieve.removed(one);
            } else if (step === "evict") {
              const victim = sieve.victim();
              expect(victim === null).toBe(kept.length === 0);
              if (victim === null) continue;
              expect(kept).toContain(victim);
              kept.splice(kept.indexOf(victim), 1);
              sieve.removed(victim);
            }
          }
          const left = new Set<One>();
          for (let victim = sieve.victim(); victim !== null; victim = sieve.victim()) {
            left.add(victim);
            sieve.removed(victim);
          }
          expect(left).toEqual(new Set(kept));
        },
      ),
    );
  });
});
