/** Load by wrk on its own core, with percentiles, and the CPU time that the server spent meanwhile. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuMs, folder, loadCore } from "./servers.mjs";

const report = `
done = function(summary, latency, requests)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9), bad))
end
`;

/** Requests for objects by Zipf's law, exponent 1. */
export const zipf = (count) => `
local cdf, sum = {}, 0
for i = 1, ${count} do sum = sum + 1 / i; cdf[i] = sum end
math.randomseed(42)
local picks = {}
for n = 1, 50000 do
  local u, low, high = math.random() * sum, 1, ${count}
  while low < high do
    local middle = math.floor((low + high) / 2)
    if cdf[middle] < u then low = middle + 1 else high = middle end
  end
  picks[n] = "/1024-" .. low
end
local at = 0
request = function() at = at % 50000 + 1; return wrk.format("GET", picks[at]) end
`;

/** A URL that nobody asked for before, every time. */
export const unique = (salt) => `
local at = 0
request = function() at = at + 1; return wrk.format("GET", "/1024-${salt}-" .. at) end
`;

let scripts = 0;

/** @returns requests a second, CPU µs a request, and latencies in ms. */
export async function load(url, pids, { seconds, connections = 64, script = "", headers = [] }) {
  const file = join(folder, `wrk-${scripts++}.lua`);
  writeFileSync(file, script + report);
  const before = pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const output = await new Promise((done) => {
    const child = spawn(
      "taskset",
      [
        "-c",
        loadCore,
        "wrk",
        "-t",
        "1",
        "-c",
        String(connections),
        "-d",
        `${seconds}s`,
        "-s",
        file,
        ...headers.flatMap((line) => ["-H", line]),
        url,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let text = "";
    child.stdout.on("data", (chunk) => (text += chunk));
    child.once("close", () => done(text));
  });
  const after = pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const match = /RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(output);
  if (match === null) throw new Error(`wrk said: ${output}`);
  const [requests, durationUs, p50, p99, p999, bad] = match.slice(1).map(Number);
  return {
    requestsPerSecond: (requests * 1e6) / durationUs,
    cpuUs: ((after - before) * 1000) / requests,
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    p999Ms: p999 / 1000,
    failed: bad,
  };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
