/**
 * `npm run bench [-- --scenario NAME… --peer NAME… --rounds N --seconds N --access-log --json FILE]`: Gyre beside every
 * installed peer, each pinned to one core with the load on the other, in alternating rounds; CPU time a request is what
 * counts, since these machines are shared. Needs Linux, taskset and wrk (Debian: apt-get install wrk nginx haproxy
 * varnish squid trafficserver).
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { load, median, unique, zipf } from "./load.mjs";
import { answers, certificate, endAll, installed, servers, startOrigin, startPair, stop } from "./servers.mjs";

const { values } = parseArgs({
  options: {
    scenario: { type: "string", multiple: true },
    peer: { type: "string", multiple: true },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    json: { type: "string" },
    "access-log": { type: "boolean" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const scenarios = {
  "hit-1k": { path: "/1024" },
  "hit-16k": { path: "/16384" },
  "hit-256k": { path: "/262144", connections: 16 },
  "zipf-10000": { path: "/1024", script: zipf(10_000), warm: true },
  "hit-304": { path: "/1024", headers: ['If-None-Match: "1024"'] },
  // As browsers ask, and as most sites answer.
  "hit-vary": { path: "/1024-vary", headers: ["Accept-Encoding: gzip, deflate, br, zstd"] },
  miss: { path: "/1024", script: "unique" },
  // Never stored: what it costs to pass content on.
  "pass-1k": { path: "/1024-private" },
  "pass-64k": { path: "/65536-private" },
  "pass-10m": { path: "/10485760-private", connections: 8 },
  "tls-hit-1k": { path: "/1024", tls: true },
  hop: { path: null },
};

for (const need of ["taskset", "wrk"]) {
  if (!installed(need)) {
    console.error(`${need} is missing. On Debian: apt-get install util-linux wrk nginx haproxy varnish squid`);
    process.exit(1);
  }
}
const names = ["gyre", ...(values.peer ?? Object.keys(servers).filter((name) => name !== "gyre"))];
const absent = names.filter((name) => !installed(servers[name].command));
if (absent.length > 0)
  console.log(`not installed, left out: ${absent.join(", ")} (Debian: apt-get install ${absent.join(" ")})`);
const present = names.filter((name) => !absent.includes(name));
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
process.removeAllListeners("warning");
const results = {};
try {
  const origin = await startOrigin();
  const tls = certificate();
  for (const name of values.scenario ?? Object.keys(scenarios)) {
    const scenario = scenarios[name];
    if (scenario === undefined) throw new Error(`no scenario ${name}: there are ${Object.keys(scenarios).join(", ")}`);
    results[name] = name === "hop" ? await hop(origin.port) : await compare(name, scenario, origin.port, tls);
    print(name, results[name]);
  }
} finally {
  await endAll();
}
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  node: process.version,
  date: new Date().toISOString(),
  rounds,
  seconds,
};
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);

async function compare(name, scenario, origin, tls) {
  const samples = {};
  const started = [];
  for (const server of present) {
    const one = await servers[server].start(origin, scenario.tls === true ? tls : null);
    if (one !== null) started.push([server, one]);
  }
  for (const [server, { port, child }] of started) {
    const base = `${scenario.tls === true ? "https" : "http"}://127.0.0.1:${port}`;
    await answers(`${base}${scenario.path}`);
    // Warm: code compiled, objects stored.
    await load(`${base}${scenario.path}`, [child.pid], {
      seconds: scenario.warm === true ? 4 : 2,
      ...options(scenario, `warm-${server}`),
    });
    samples[server] = [];
  }
  for (let round = 0; round < rounds; round++) {
    for (const [server, { port, child }] of started) {
      const base = `${scenario.tls === true ? "https" : "http"}://127.0.0.1:${port}`;
      samples[server].push(
        await load(`${base}${scenario.path}`, [child.pid], {
          seconds,
          ...options(scenario, `${name}-${round}-${server}`),
        }),
      );
    }
  }
  for (const [, { child }] of started) await stop(child);
  return summary(samples);
}

/** One hop, in clear and encrypted, and a hot copy, beside a local hit; the CPU of both members added. */
async function hop(origin) {
  const samples = { "local hit": [], "over one hop": [], "the same, encrypted": [], "hot copy": [] };
  const { port, path, children } = await startPair(origin);
  const pids = children.map(({ pid }) => pid);
  const copying = await startPair(origin, "128MB");
  const copyingPids = copying.children.map(({ pid }) => pid);
  const encrypted = await startPair(origin, "0", ["--peer-tls", "on"]);
  const encryptedPids = encrypted.children.map(({ pid }) => pid);
  const single = await servers.gyre.start(origin, null);
  await answers(`http://127.0.0.1:${single.port}/1024`);
  await load(`http://127.0.0.1:${port}${path}`, pids, { seconds: 2 });
  await load(`http://127.0.0.1:${encrypted.port}${encrypted.path}`, encryptedPids, { seconds: 2 });
  await load(`http://127.0.0.1:${copying.port}${copying.path}`, copyingPids, { seconds: 2 });
  await load(`http://127.0.0.1:${single.port}/1024`, [single.child.pid], { seconds: 2 });
  for (let round = 0; round < rounds; round++) {
    samples["local hit"].push(await load(`http://127.0.0.1:${single.port}/1024`, [single.child.pid], { seconds }));
    samples["over one hop"].push(await load(`http://127.0.0.1:${port}${path}`, pids, { seconds }));
    samples["the same, encrypted"].push(
      await load(`http://127.0.0.1:${encrypted.port}${encrypted.path}`, encryptedPids, { seconds }),
    );
    samples["hot copy"].push(await load(`http://127.0.0.1:${copying.port}${copying.path}`, copyingPids, { seconds }));
  }
  for (const child of [...children, ...copying.children, ...encrypted.children, single.child]) await stop(child);
  return summary(samples);
}

function options({ connections, script, headers }, salt) {
  return { connections, headers, script: script === "unique" ? unique(salt) : script };
}

function summary(samples) {
  return Object.fromEntries(
    Object.entries(samples).map(([server, list]) => [
      server,
      Object.fromEntries(
        ["requestsPerSecond", "cpuUs", "p50Ms", "p99Ms", "p999Ms", "failed"].map((figure) => [
          figure,
          median(list.map((sample) => sample[figure])),
        ]),
      ),
    ]),
  );
}

function print(name, rows) {
  const [, first] = Object.entries(rows)[0];
  console.log(`\n${name}`);
  console.log("  server          requests/s  CPU µs/request   p50 ms   p99 ms  p99.9 ms  CPU of the first ÷ this");
  for (const [server, row] of Object.entries(rows)) {
    console.log(
      `  ${server.padEnd(14)}${String(Math.round(row.requestsPerSecond)).padStart(12)}${row.cpuUs.toFixed(1).padStart(16)}${row.p50Ms.toFixed(2).padStart(9)}${row.p99Ms.toFixed(2).padStart(9)}${row.p999Ms.toFixed(2).padStart(10)}${(first.cpuUs / row.cpuUs).toFixed(2).padStart(25)}${row.failed > 0 ? `  (${row.failed} failed)` : ""}`,
    );
  }
}
