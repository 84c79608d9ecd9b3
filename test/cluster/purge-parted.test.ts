/**
 * Purges of every kind at five machines, each a network namespace that the test makes, while one is cut off, one stands
 * still and one has died.
 */
import { expect, it } from "vitest";
import { runApart } from "../support/own-network.ts";

it("whoever can be reached answers nothing from before; who is cut off does so for its session time at most, and catches up", async () => {
  const { code, output, errors } = await runApart("parted.ts");
  expect(errors).toBe("");
  expect(code).toBe(0);
  const {
    old,
    askedFor,
    togetherMs: _,
    ...rest
  } = JSON.parse(output) as {
    old: Record<string, { reads: number; old: number; lastOldMs: number }>;
    askedFor: number;
    togetherMs: number;
  };
  expect(rest).toEqual({
    during: ["m1 applied, m2 applied, m3 pending, m4 pending, m5 pending"],
    complete: [false, false, false, false],
    alone: false,
    validatedOld: 0,
    later: ["m1 applied, m2 applied, m3 applied, m4 applied, m5 gone"],
    healedOld: 0,
  });
  const reads = Object.values(old).map((one) => one.reads);
  expect(Math.min(...reads)).toBeGreaterThan(300);
  expect([old["m1"]!.old, old["m2"]!.old], "not one of before, after an acknowledgement").toEqual([0, 0]);
  expect(old["m3"]!.old, "it could not know").toBeGreaterThan(0);
  expect(old["m3"]!.lastOldMs, "after the cut: its session time").toBeLessThan(4100);
  expect(askedFor, "everything is validated, but what a reader asked about at that very moment").toBeGreaterThan(50);
}, 120_000);
