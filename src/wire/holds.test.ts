import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Holds, type Hold } from "./holds.ts";

describe("Holds", () => {
  it("tells everybody who holds, and nobody who has let go, that the asker has left: once", () => {
    const holds = new Holds();
    const told: string[] = [];
    const first = holds.take({ left: () => told.push("first") });
    holds.take({ left: () => told.push("second") });
    const third = holds.take({ left: () => told.push("third") });
    first.release();
    holds.left();
    holds.left();
    third.release();
    expect(told).toEqual(["second", "third"]);
  });

  it("tells who comes too late at once", () => {
    const holds = new Holds();
    holds.left();
    let told = 0;
    holds.take({ left: () => told++ }).release();
    expect(told).toBe(1);
  });

  it("does not tell one whose hold another has let go while being told", () => {
    const holds = new Holds();
    const told: string[] = [];
    let other: Hold;
    holds.take({
      left: () => {
        told.push("one");
        other.release();
      },
      drained: () => other.release(),
    });
    other = holds.take({ left: () => told.push("other"), drained: () => told.push("drained") });
    holds.drained();
    holds.left();
    expect(told).toEqual(["one"]);
  });

  it("loses no holder, whatever the order in which parties come and go", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("take", "release", "drain"), fc.nat(6)), { maxLength: 40 }),
        (steps) => {
          const holds = new Holds();
          const parties: { hold: Hold; left: number; drained: number; open: boolean }[] = [];
          let drains = 0;
          const since: number[] = [];
          for (const [step, which] of steps) {
            if (step === "take") {
              const party = { hold: { release: () => {} } as Hold, left: 0, drained: 0, open: true };
              party.hold = holds.take({ left: () => party.left++, drained: () => party.drained++ });
              parties.push(party);
              since.push(drains);
            } else if (step === "drain") {
              holds.drained();
              drains++;
              for (const [index, party] of parties.entries())
                if (party.open) expect(party.drained).toBe(drains - since[index]!);
            } else if (parties[which] !== undefined) {
              parties[which].hold.release();
              parties[which].open = false;
            }
          }
          holds.left();
          for (const party of parties) expect(party.left).toBe(party.open ? 1 : 0);
          expect(holds.count).toBe(0);
        },
      ),
    );
  });
});
