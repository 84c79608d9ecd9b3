/**
 * `node bench/slow-disk.mjs [--rate N] [--seconds N]`: hits from memory, by an open loop, while other clients ask for
 * what is on the disk alone and for what is nowhere. Members by turns: without a disk, with one that is well, with one
 * whose every read and write takes long, and with one that fails. Percentiles of the hits from memory, each beside those
 * without a disk. What the disk does is put before `node:fs` (slow-fs.mjs), in every thread of the member. Loopback only.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { constantOrigin } from "./constant-origin.mjs";
import { fetchAll } from "./fetch-all.mjs";
import { node } from "./node.mjs";
import { openLoop, percentiles } from "./open-loop.mjs";

const { values } = parseArgs({
  options: { rate: { type: "string", default: "2000" }, seconds: { type: "string", default: "15" } },
});
const [rate, seconds] = [Number(values.rate), Number(values.seconds)];
const bytes = 1024;
/** Asked for all the time, so that they stay in memory; and what memory has no room for. */
const [hot, cold] = [500, 100_000];
const ways = [
  ["no disk", null],
  ["a disk that is well", {}],
  ["each read takes 200 ms, each write 500", { readMs: 200, writeMs: 500 }],
  ["every read and write fails", { fails: true }],
];
const folder = mkdtempSync(join(tmpdir(), "gyre-slow-disk-"));
const origin = await constantOrigin(bytes);
let base = null;
for (const [name, way] of ways) {
  const { child, port } = await member(way);
  const hotPath = () => `/hot-${Math.floor(Math.random() * hot)}`;
  let next = 0;
  await fetchAll({ ports: [port], more: () => (next < cold ? `/cold-${next++}` : null) });
  for (let round = 0; round < 5; round++) {
    next = 0;
    await fetchAll({ ports: [port], more: () => (next < hot ? `/hot-${next++}` : null) });
  }
  // From now on the disk is as it is said to be.
  process.kill(child.pid, "SIGUSR2");
  let isOver = false;
  let asked = 0;
  const others = fetchAll({
    ports: [port],
    connections: 16,
    more: () => (isOver ? null : asked++ % 4 === 0 ? `/new-${asked}` : `/cold-${Math.floor(Math.random() * cold)}`),
  });
  const { latencies, misses } = await openLoop({ port, rate, seconds, connections: 32, bytes, path: hotPath });
  isOver = true;
  await others;
  const at = percentiles(latencies);
  base ??= Number(at(0.99));
  console.log(
    `${name.padEnd(40)} p50 ${at(0.5)} p99 ${at(0.99)} (${(Number(at(0.99)) / base).toFixed(2)} ×) p99.9 ${at(0.999)} most ${at(1)} ms; ${misses} of ${latencies.length} were no hits; ${asked} others`,
  );
  child.kill();
  await new Promise((ended) => child.once("exit", ended));
}
origin.close();
rmSync(folder, { recursive: true, force: true });
process.exit();

async function member(way) {
  const disk = way === null ? [] : ["--disk", mkdtempSync(join(folder, "disk-")), "--disk-size", "2GB"];
  const child = spawn(
    node,
    [
      "--import",
      resolve(import.meta.dirname, "slow-fs.mjs"),
      resolve(import.meta.dirname, "../bin/gyre"),
      ..."start --listen 127.0.0.1:0 --peer 127.0.0.1:0 --admin 127.0.0.1:0 --log-level error --memory 64MB".split(" "),
      ..."--access-log-file /dev/null".split(" "),
      "--origin",
      `http://127.0.0.1:${origin.address().port}`,
      ...disk,
    ],
    {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: {
        ...process.env,
        GYRE_SECRET: "a secret for the bench",
        GYRE_RUN_DIR: folder,
        GYRE_NODE: "own",
        SLOW_FS: JSON.stringify(way ?? {}),
      },
    },
  );
  const { listen } = await new Promise((done, fail) => {
    child.once("message", done);
    child.once("exit", (code) => fail(new Error(`the member ended with ${code}`)));
  });
  return { child, port: Number(listen.split(":").at(-1)) };
}
