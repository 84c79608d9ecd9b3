import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { healthRules, OriginChoice, type Balance, type HealthRules } from "./origin-choice.ts";

function choiceOf(
  specs: readonly (string | { origin: string; weight?: number; backup?: boolean })[],
  balance: Balance = "round-robin",
  rules: Partial<HealthRules> = {},
) {
  const told: string[] = [];
  const choice = new OriginChoice(
    specs.map((spec) => ({ weight: 1, backup: false, ...(typeof spec === "string" ? { origin: spec } : spec) })),
    {
      balance,
      rules: { ...healthRules, failuresMax: 2, restMs: 1000, ...rules },
      changed: ({ origin }, health) => told.push(`${origin} ${health}`),
    },
  );
  return { choice, told };
}

function counts(choice: OriginChoice, times: number, now = 0, hash = (index: number) => index): Record<string, number> {
  const seen: Record<string, number> = {};
  for (let index = 0; index < times; index++) {
    const { origin } = choice.choose(now, hash(index))!.state;
    seen[origin] = (seen[origin] ?? 0) + 1;
  }
  return seen;
}

describe("OriginChoice", () => {
  it("takes turns by weight, without giving one of them many in a row", () => {
    const { choice } = choiceOf([{ origin: "a", weight: 3 }, "b"]);
    const turns = Array.from({ length: 8 }, () => choice.choose(0, 0)!.state.origin).join("");
    expect(turns).toBe("aabaaaba".slice(0, 8));
    expect(counts(choice, 400)).toEqual({ a: 300, b: 100 });
  });

  it("asks the least busy for its weight, the first that is well, or always the same for a key", () => {
    const busy = choiceOf(["a", { origin: "b", weight: 2 }], "least-requests").choice;
    busy.origins[0]!.active = 1;
    busy.origins[1]!.active = 2;
    expect(busy.choose(0, 0)!.state.origin).toBe("b");
    // Nobody is busy, or all are as busy.
    busy.origins[0]!.active = busy.origins[1]!.active = 0;
    expect(counts(busy, 300)).toEqual({ a: 100, b: 200 });
    busy.origins[0]!.active = 1;
    busy.origins[1]!.active = 3;
    expect(counts(busy, 300)).toEqual({ a: 100, b: 200 });
    expect(counts(choiceOf(["a", "b"], "first").choice, 5)).toEqual({ a: 5 });
    const { choice } = choiceOf(["a", "b", "c"], "hash");
    const before = Array.from({ length: 3000 }, (_, hash) => choice.choose(0, hash)!.state.origin);
    choice.checked(choice.origins[2]!, true, 0, "gone");
    const after = Array.from({ length: 3000 }, (_, hash) => choice.choose(0, hash)!.state.origin);
    // Only what was the lost one's moves.
    expect(before.filter((origin, index) => origin !== "c" && origin !== after[index])).toEqual([]);
    for (const origin of ["a", "b", "c"]) expect(before.filter((one) => one === origin).length).toBeGreaterThan(800);
  });

  it("lets one that fails rest, twice as long each time, and one request at a time try it again", () => {
    const { choice, told } = choiceOf(["a", "b"]);
    const [a] = choice.origins;
    for (let time = 0; time < 2; time++) choice.failed(a!, 0, "refused");
    expect(told).toEqual(["a resting"]);
    expect(counts(choice, 4, 999)).toEqual({ b: 4 });
    expect(choice.choose(1000, 0)!.state.origin).toBe("a");
    expect(counts(choice, 4, 1000)).toEqual({ b: 4 });
    choice.failed(a!, 1000, "another, which tells nothing");
    expect(a!.tried).toBe(true);
    choice.failed(a!, 1000, "refused", true);
    expect(counts(choice, 4, 2999)).toEqual({ b: 4 });
    expect(choice.choose(3000, 0)!.state.origin).toBe("a");
    choice.succeeded(a!, 3000);
    expect(told).toEqual(["a resting", "a up"]);
    expect(counts(choice, 10, 3000)).toEqual({ a: 5, b: 5 });
  });

  it("asks a backup only where no other is well, and somebody as long as anybody is left", () => {
    const { choice } = choiceOf(["a", { origin: "b", backup: true }]);
    expect(counts(choice, 4)).toEqual({ a: 4 });
    for (let time = 0; time < 2; time++) choice.failed(choice.origins[0]!, 0, "refused");
    expect(counts(choice, 4, 10)).toEqual({ b: 4 });
    choice.checked(choice.origins[1]!, true, 10, "down");
    expect(choice.choose(10, 0)!.state.origin).toBe("a");
    expect(choice.choose(10, 0, [choice.origins[0]!])!.state.origin).toBe("b");
    expect(choice.choose(10, 0, choice.origins)).toBeNull();
  });

  it("is an open circuit where none is well nor to be tried, and closed again for the one that tries", () => {
    const { choice } = choiceOf(["a", "b"]);
    for (const state of choice.origins) for (let time = 0; time < 2; time++) choice.failed(state, 0, "refused");
    expect([choice.isOpen(500), choice.isOpen(1000)]).toEqual([true, false]);
    choice.choose(1000, 0);
    expect(choice.isOpen(1000)).toBe(false);
    choice.choose(1000, 0);
    expect(choice.isOpen(1000)).toBe(true);
    choice.succeeded(choice.origins[0]!, 1001);
    expect(choice.isOpen(1001)).toBe(false);
  });

  it("gives one that has come back its share little by little", () => {
    const { choice } = choiceOf(["a", "b"], "round-robin", { slowStartMs: 10_000 });
    const [a] = choice.origins;
    choice.checked(a!, true, 0, "down");
    choice.checked(a!, false, 1000, "");
    const early = counts(choice, 110, 2000)["a"]!;
    expect([early, counts(choice, 100, 11_000)["a"]]).toEqual([10, 50]);
  });

  it("gives one that has come back its own keys little by little, each once", () => {
    const { choice } = choiceOf(["a", "b", "c"], "hash", { slowStartMs: 10_000 });
    const keysOf = (now: number): number[] =>
      Array.from({ length: 3000 }, (_, hash) => hash).filter((hash) => choice.choose(now, hash)!.state.origin === "a");
    const own = keysOf(0);
    choice.checked(choice.origins[0]!, true, 0, "down");
    choice.checked(choice.origins[0]!, false, 1000, "");
    let before = keysOf(1000);
    expect(before.length).toBeLessThan(own.length / 4);
    for (const now of [3000, 6000, 9000, 11_000]) {
      const keys = keysOf(now);
      expect(keys).toEqual(expect.arrayContaining(before));
      expect(keys.length).toBeGreaterThan(before.length);
      before = keys;
    }
    expect(before).toEqual(own);
  });

  it("lets a fifth of the requests be sent again, and no more: an outage is not multiplied", () => {
    const { choice } = choiceOf(["a", "b"]);
    let sent = 0;
    for (let request = 0; request < 1000; request++) {
      choice.count();
      if (choice.mayRetry()) sent++;
    }
    expect(sent).toBeGreaterThanOrEqual(200);
    expect(sent).toBeLessThanOrEqual(221);
  });

  it("always finds somebody who has not been asked yet, whatever has happened", () => {
    const event = fc.record({
      kind: fc.constantFrom("failed", "succeeded", "down", "up", "choose"),
      which: fc.nat(2),
      later: fc.nat(3000),
    });
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 60 }),
        fc.constantFrom<Balance>("round-robin", "least-requests", "hash", "first"),
        (events, balance) => {
          const { choice } = choiceOf(["a", "b", { origin: "c", backup: true }], balance);
          let now = 0;
          for (const { kind, which, later } of events) {
            now += later;
            const state = choice.origins[which]!;
            if (kind === "failed") choice.failed(state, now, "x");
            else if (kind === "succeeded") choice.succeeded(state, now);
            else if (kind !== "choose") choice.checked(state, kind === "down", now, "x");
            const first = choice.choose(now, which)!.state;
            const second = choice.choose(now, which, [first])!.state;
            const third = choice.choose(now, which, [first, second])!.state;
            expect(new Set([first, second, third]).size).toBe(3);
          }
        },
      ),
    );
  });
});
