/**
 * The log of invalidations and what members say of it, lived through in thousands of small worlds. No response from
 * before an acknowledged invalidation is answered by a member that has acknowledged it, nor by one that could be
 * reached all the while; a member that could not counts on nothing for longer than its session time; all who can talk
 * come to know the same; logs stay bounded. `WORLDS=N` lives through more of them, `WORLD=SEED` through one.
 */
import { expect, it } from "vitest";
import { live, type Outcome } from "./world.ts";

const worlds = Number(process.env["WORLDS"] ?? 1500);
const only = process.env["WORLD"];

function world(seed: number): Outcome {
  return live({
    seed,
    seconds: 30,
    members: 2 + (seed % 4),
    slow: seed % 3 === 0,
    quiet: seed % 2 === 0,
    logBytes: seed % 7 === 0 ? 3000 : 20_000,
  });
}

it("keeps what has been acknowledged, whatever becomes of members and links", { timeout: 3_600_000 }, () => {
  const sum = { reads: 0, hits: 0, acknowledged: 0, pending: 0, keptHits: 0, events: 0 };
  const seeds = only === undefined ? Array.from({ length: worlds }, (_, index) => index + 1) : [Number(only)];
  for (const seed of seeds) {
    const outcome = world(seed);
    expect(outcome.fault, `seed ${seed}:\n${outcome.history.join("\n")}`).toBeNull();
    for (const what of Object.keys(sum) as (keyof typeof sum)[]) sum[what] += outcome[what];
  }
  // Worlds in which nothing happens show nothing.
  expect(sum.hits).toBeGreaterThan(seeds.length * 100);
  expect(sum.acknowledged).toBeGreaterThan(seeds.length * 20);
  expect(sum.keptHits).toBeGreaterThan(seeds.length / 4);
  expect(sum.pending).toBeGreaterThan(seeds.length * 3);
});
