/** Purges while a member cannot be reached: three machines, each a network namespace that this test makes. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

it("a member that is cut off is pending, answers from before for its session time at most, and catches up", async () => {
  const script = join(import.meta.dirname, "../support/parted.ts");
  const child = spawn("unshare", [process.getuid!() === 0 ? "-n" : "-rn", process.execPath, script], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const code = await new Promise((done) => child.once("close", done));
  expect(errors).toBe("");
  expect(code).toBe(0);
  const { lastOldMs, reads, askedFor, ...rest } = JSON.parse(output) as Record<string, number>;
  expect(rest).toEqual({
    during: { m1: "applied", m2: "applied", m3: "pending" },
    complete: false,
    othersOld: 0,
    alone: false,
    validatedOld: 0,
    after: { m1: "applied", m2: "applied", m3: "applied" },
    healedOld: 0,
  });
  expect(reads).toBeGreaterThan(300);
  expect(lastOldMs, "after the cut").toBeLessThan(4100);
  expect(askedFor, "everything is validated").toBe(30);
}, 120_000);
