/**
 * `node bench/torture.mjs [--minutes N] [--kills N]`: what the tests do for seconds, for minutes. One thread stores and
 * evicts while three read, every byte compared; and a member with a disk is killed in the midst of storing, so many
 * times, and asked for everything after each: right bytes or a fetch. Ends with 1 where a byte was wrong.
 */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { node } from "./node.mjs";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "2" }, kills: { type: "string", default: "200" } },
});
const root = resolve(import.meta.dirname, "..");
const runs = [
  {
    file: "test/contract/page-reader.test.ts",
    name: "torture",
    more: { TORTURE_MS: String(Number(values.minutes) * 60_000) },
  },
  { file: "test/scenario/disk.test.ts", name: "after it was killed", more: { CRASH_ROUNDS: values.kills } },
];
let status = 0;
for (const { file, name, more } of runs) {
  const begunMs = performance.now();
  const run = spawnSync(node, [resolve(root, "node_modules/vitest/vitest.mjs"), "run", file, "-t", name], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...more },
  });
  status ||= run.status ?? 1;
  console.log(
    `${name}: ${run.status === 0 ? "right" : "WRONG"}, ${Math.round((performance.now() - begunMs) / 1000)} s`,
  );
}
process.exit(status);
