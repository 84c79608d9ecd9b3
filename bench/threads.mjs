/**
 * `node bench/threads.mjs [--threads 1,2] [--rounds N] [--seconds N] [--connections N]`: a 1 KB hit, and a 1 KB miss, from a
 * member with so many threads, beside a server that answers a constant over node:net from as many. Nothing is pinned:
 * the load (wrk) takes its processors from the same machine. What counts is the CPU of the server for each request.
 * Needs Linux, wrk, Node 23.1 or newer.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "1,2" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    connections: { type: "string", default: "64" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "gyre-bench-"));
const root = resolve(import.meta.dirname, "..");
const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const constant = join(folder, "constant.mjs");
writeFileSync(
  constant,
  `import { createServer } from "node:net";
import { isMainThread, Worker, workerData } from "node:worker_threads";
const answer = Buffer.from("HTTP/1.1 200 OK\\r\\ncontent-length: 1024\\r\\ncontent-type: text/plain\\r\\n\\r\\n" + "x".repeat(1024));
const serve = (port, reusePort) =>
  createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(answer));
  }).listen({ port, host: "127.0.0.1", reusePort });
const [, , port, threads] = process.argv;
if (!isMainThread) serve(workerData, true);
else if (threads === "1") serve(Number(port), false);
else for (let thread = 0; thread < Number(threads); thread++) new Worker(new URL(import.meta.url), { workerData: Number(port) });
`,
);
const origin = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    const requests = bytes.toString("latin1").split("\r\n\r\n").length - 1;
    socket.write(
      `HTTP/1.1 200 OK\r\ncache-control: max-age=36000\r\ncontent-length: 1024\r\n\r\n${"x".repeat(1024)}`.repeat(
        requests,
      ),
    );
  });
});
await new Promise((done) => origin.listen(0, "127.0.0.1", done));

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function start(file, parameters, port) {
  const child = spawn(process.execPath, [file, ...parameters], {
    stdio: "ignore",
    env: { ...process.env, GYRE_SECRET: "a secret for the benchmark", GYRE_RUN_DIR: folder },
  });
  children.add(child);
  for (let tries = 0; ; tries++) {
    try {
      await fetch(`http://127.0.0.1:${port}/hit`).then((answer) => answer.text());
      return { child, port };
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((again) => setTimeout(again, 50));
    }
  }
}

const servers = {
  constant: (threads, port) => start(constant, [String(port), String(threads)], port),
  gyre: (threads, port) =>
    start(
      join(root, "bin/gyre"),
      [
        "start",
        "--threads",
        String(threads),
        "--origin",
        `http://127.0.0.1:${origin.address().port}`,
        "--listen",
        `127.0.0.1:${port}`,
        "--peer",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--memory",
        "1GB",
        "--access-log",
        "off",
      ],
      port,
    ),
};

const cpuMs = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
};

let salt = 0;
async function load({ child, port }, kind) {
  const script = join(folder, `${kind}-${++salt}.lua`);
  const path = kind === "hit" ? '"/hit"' : `"/miss-${salt}-" .. at`;
  writeFileSync(
    script,
    `local at = 0
request = function() at = at + 1; return wrk.format("GET", ${path}) end
done = function(summary, latency)
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration, latency:percentile(99)))
end
`,
  );
  const before = cpuMs(child.pid);
  const output = await new Promise((done) => {
    const wrk = spawn(
      "wrk",
      ["-t", "1", "-c", values.connections, "-d", `${values.seconds}s`, "-s", script, `http://127.0.0.1:${port}/`],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let text = "";
    wrk.stdout.on("data", (chunk) => (text += chunk));
    wrk.once("close", () => done(text));
  });
  const spent = cpuMs(child.pid) - before;
  const [requests, durationUs, p99] = /RESULT (\d+) (\d+) (\d+)/.exec(output).slice(1).map(Number);
  return { cpuUs: (spent * 1000) / requests, perSecond: (requests * 1e6) / durationUs, p99Ms: p99 / 1000 };
}

if (spawnSync("wrk", ["-v"]).error !== undefined) {
  console.error("wrk is missing. On Debian: apt-get install wrk");
  process.exit(1);
}
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const results = [];
for (const threads of values.threads.split(",").map(Number)) {
  const started = { constant: await servers.constant(threads, await freePort()) };
  started.gyre = await servers.gyre(threads, await freePort());
  const rows = [
    { name: "constant", kind: "hit", samples: [] },
    { name: "gyre", kind: "hit", samples: [] },
    { name: "gyre", kind: "miss", samples: [] },
  ];
  for (let round = 0; round < Number(values.rounds); round++)
    for (const row of rows) row.samples.push(await load(started[row.name], row.kind));
  for (const { child } of Object.values(started)) child.kill("SIGKILL");
  for (const { name, kind, samples } of rows) {
    const of = (which) => median(samples.map((sample) => sample[which]));
    const row = {
      threads,
      name: `${name} ${kind}`,
      cpuUs: of("cpuUs"),
      perSecond: of("perSecond"),
      p99Ms: of("p99Ms"),
    };
    results.push(row);
    console.log(
      `${row.name.padEnd(13)} ${threads} thread${threads === 1 ? " " : "s"}  ${row.cpuUs.toFixed(1).padStart(6)} µs CPU a request ` +
        `${row.perSecond.toFixed(0).padStart(8)}/s  p99 ${row.p99Ms.toFixed(2)} ms`,
    );
  }
}
console.log(`${cpus().length} processors, Node ${process.versions.node}`);
process.exit(0);
