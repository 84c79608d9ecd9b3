/**
 * `node bench/fill.mjs [--count N] [--bytes N] [--rate N] [--seconds N]`: a member with all defaults (access log to
 * nowhere, memory unset) is given N distinct small responses, then asked for those it has, at random, by an open loop:
 * requests leave at their time, whatever became of those before, so that whatever stops the member shows. Prints what
 * filling cost, what is resident, percentiles from the planned moment to the last byte, and the collector's pauses
 * meanwhile (of all threads, as V8 tells them). Reads /proc: Linux. Loopback only.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { constantOrigin } from "./constant-origin.mjs";
import { fetchAll } from "./fetch-all.mjs";
import { node } from "./node.mjs";
import { openLoop, percentiles } from "./open-loop.mjs";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "5000000" },
    bytes: { type: "string", default: "110" },
    rate: { type: "string", default: "10000" },
    seconds: { type: "string", default: "30" },
    connections: { type: "string", default: "64" },
  },
});
const [count, bytes, rate, seconds, connections] = ["count", "bytes", "rate", "seconds", "connections"].map((name) =>
  Number(values[name]),
);
const folder = mkdtempSync(join(tmpdir(), "gyre-fill-"));

const origin = await constantOrigin(bytes);

const child = spawn(
  node,
  [
    "--trace-gc",
    resolve(import.meta.dirname, "../bin/gyre"),
    "start",
    ..."--listen 127.0.0.1:0 --peer 127.0.0.1:0 --admin 127.0.0.1:0 --log-level warn --access-log-file /dev/null".split(
      " ",
    ),
    "--origin",
    `http://127.0.0.1:${origin.address().port}`,
  ],
  {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: { ...process.env, GYRE_SECRET: "a secret for the bench", GYRE_RUN_DIR: folder, GYRE_NODE: "own" },
  },
);
/** Pauses in ms, since they were last emptied. */
const pauses = [];
let text = "";
child.stdout.on("data", (data) => {
  const lines = (text + data).split("\n");
  text = lines.pop();
  for (const line of lines) {
    const pause = /(Scavenge|Mark-Compact).*?, ([\d.]+) \/ /.exec(line);
    if (pause !== null) pauses.push({ kind: pause[1], ms: Number(pause[2]) });
  }
});
const { listen } = await new Promise((done, fail) => {
  child.once("message", done);
  child.once("exit", (code) => fail(new Error(`the member ended with ${code}`)));
});
child.on("exit", (code, signal) => {
  console.error(`the member ended with ${code ?? signal}`);
  process.exit(1);
});
const port = Number(listen.split(":").at(-1));
const stat = () => readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1].split(" ");
const cpuMs = () => (Number(stat()[11]) + Number(stat()[12])) * 10;
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) / 1024;
const pathOf = (number) => `/objects/item-${number}?v=1`;

const [idle, cpuBefore, begunMs] = [resident(), cpuMs(), performance.now()];
let next = 0;
await fetchAll({
  ports: [port],
  more: () => (next < count ? pathOf(next++) : null),
  answered: (done) => {
    if (done % Math.ceil(count / 5) === 0)
      console.log(
        `${done} filled in ${((performance.now() - begunMs) / 1000).toFixed(0)} s: ${resident().toFixed(0)} MB`,
      );
  },
});
console.log(
  `filled: ${(((cpuMs() - cpuBefore) * 1000) / count).toFixed(1)} µs CPU each; ${resident().toFixed(0)} MB resident, ${idle.toFixed(0)} idle; pauses ${told(pauses)}`,
);

pauses.length = 0;
const [cpuStart, startedMs] = [cpuMs(), performance.now()];
const path = () => pathOf(Math.floor(Math.random() * count));
const { latencies, misses } = await openLoop({ port, rate, seconds, connections, bytes, path });
const spentMs = cpuMs() - cpuStart;
const at = percentiles(latencies);
console.log(
  `hits, ${Math.round(latencies.length / ((performance.now() - startedMs) / 1000))}/s by an open loop of ${rate}/s: ${((spentMs * 1000) / latencies.length).toFixed(1)} µs CPU, p50 ${at(0.5)} p99 ${at(0.99)} p99.9 ${at(0.999)} most ${at(1)} ms; ${misses} were no hits`,
);
console.log(`pauses meanwhile: ${told(pauses)}`);
child.removeAllListeners("exit");
child.kill();
origin.close();
rmSync(folder, { recursive: true, force: true });
process.exit();

function told(all) {
  return ["Scavenge", "Mark-Compact"]
    .map((kind) => {
      const ms = all.filter((one) => one.kind === kind).map((one) => one.ms);
      return `${ms.length} ${kind === "Scavenge" ? "of young objects" : "of everything"}, ${ms.reduce((sum, one) => sum + one, 0).toFixed(0)} ms, longest ${Math.max(0, ...ms).toFixed(1)}`;
    })
    .join("; ");
}
