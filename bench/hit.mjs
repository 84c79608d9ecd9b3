/**
 * `node bench/hit.mjs`: CPU µs of a 1 KB hit beside nginx's, in one run. Needs wrk and nginx (Debian: apt-get install
 * wrk nginx).
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const result = spawnSync(
  process.execPath,
  [join(import.meta.dirname, "run.mjs"), "--scenario", "hit-1k", "--peer", "nginx", ...process.argv.slice(2)],
  { stdio: "inherit" },
);
process.exit(result.status ?? 1);
