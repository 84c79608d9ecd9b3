/**
 * `node bench/soak.mjs [--minutes N] [--threads N] [--disk]`: mixed load on two members for ten minutes (hits, misses,
 * large bodies, aborts, slow readers, bad requests), and what it leaves: memory at the same load early and late, open
 * handles, unhandled errors. Prints a line every ten seconds, ends with a verdict, and exits 1 where memory grew or
 * handles stayed. Threads are the default's, where they are not said. Loopback only.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    threads: { type: "string" },
    disk: { type: "boolean", default: false },
  },
});
const durationMs = Number(values.minutes) * 60_000;
const folder = mkdtempSync(join(tmpdir(), "gyre-soak-"));
const program = resolve(import.meta.dirname, "../bin/gyre");

const origin = createServer((asked, response) => {
  const bytes = Number(/^\/(\d+)/.exec(asked.url)?.[1] ?? 100);
  if (asked.url.includes("dies")) {
    response.writeHead(200, { "content-length": bytes });
    response.write("x");
    setImmediate(() => response.destroy());
    return;
  }
  response.writeHead(200, {
    "cache-control": asked.url.includes("private") ? "private" : "max-age=30",
    etag: `"${bytes}"`,
    ...(asked.url.includes("chunked") ? {} : { "content-length": bytes }),
  });
  response.end(Buffer.alloc(bytes, "y"));
});
await new Promise((done) => origin.listen(0, "127.0.0.1", done));
const base = `http://127.0.0.1:${origin.address().port}`;

const members = [];
members.push(await start([]));
members.push(await start(["--coordinator", `http://${members[0].peer}`, "--name", "m2"]));

function start(flags) {
  const child = spawn(
    process.execPath,
    [
      program,
      "start",
      "--listen",
      "127.0.0.1:0",
      "--peer",
      "127.0.0.1:0",
      "--admin",
      "127.0.0.1:0",
      "--memory",
      "128MB",
      "--object-max",
      "8MB",
      "--access-log",
      "1/1000",
      "--log-level",
      "warn",
      ...(values.threads === undefined ? [] : ["--threads", values.threads]),
      ...(values.disk ? ["--disk", mkdtempSync(join(folder, "disk-")), "--disk-size", "1GB"] : []),
      ...flags,
    ],
    {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, GYRE_SECRET: "a secret for the soak", GYRE_RUN_DIR: folder },
    },
  );
  const problems = [];
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => /bug|unhandled|fatal/i.test(String(chunk)) && problems.push(String(chunk)));
  return new Promise((done, fail) => {
    child.once("exit", (code) => fail(new Error(`a member ended with ${code}`)));
    child.once("message", (message) =>
      done({ ...message, child, problems, port: Number(message.listen.split(":")[1]) }),
    );
  });
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const counts = { answered: 0, aborted: 0, failed: 0, refused: 0, slow: 0 };
let running = true;

function ask(path, { abort = false, slow = false } = {}) {
  return new Promise((done) => {
    const { port } = members[Math.floor(Math.random() * members.length)];
    const asked = request(
      { host: "127.0.0.1", port, path: base + path, headers: { host: base.slice(7) }, agent },
      (response) => {
        if (abort) {
          response.once("data", () => {
            counts.aborted++;
            response.destroy();
            done();
          });
        } else if (slow) {
          response.pause();
          setTimeout(() => response.resume(), 500);
          counts.slow++;
        } else response.resume();
        response.on("end", () => {
          counts.answered++;
          done();
        });
        response.on("error", done);
        response.on("close", done);
      },
    );
    asked.on("error", () => {
      counts.failed++;
      done();
    });
    asked.end();
  });
}

/** Bytes that are no request, or half of one. */
function nonsense() {
  return new Promise((done) => {
    const { port } = members[Math.floor(Math.random() * members.length)];
    const socket = connect({ host: "127.0.0.1", port }, () =>
      socket.write(
        [
          "GET / HTTP/9.9\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
          "GE",
          "\0\0\0",
        ][Math.floor(Math.random() * 4)],
      ),
    );
    socket.on("error", done);
    socket.on("close", done);
    socket.resume();
    setTimeout(() => socket.destroy(), 200);
    counts.refused++;
  });
}

async function worker() {
  while (running) {
    const dice = Math.random();
    if (dice < 0.6) await ask(`/1000/hot${Math.floor(Math.random() ** 2 * 500)}`);
    else if (dice < 0.75) await ask(`/2000/cold${Math.random()}`);
    else if (dice < 0.8) await ask(`/${3 * 2 ** 20}/large${Math.floor(Math.random() * 20)}`);
    else if (dice < 0.83) await ask(`/${12 * 2 ** 20}/chunked${Math.floor(Math.random() * 5)}`, { slow: true });
    else if (dice < 0.88) await ask(`/${3 * 2 ** 20}/abort${Math.floor(Math.random() * 50)}`, { abort: true });
    else if (dice < 0.92) await ask("/500/private");
    else if (dice < 0.95) await ask("/50000/dies");
    else await nonsense();
  }
}

const workers = Array.from({ length: 24 }, worker);
const samples = [];
const startedMs = performance.now();
while (performance.now() - startedMs < durationMs) {
  await new Promise((done) => setTimeout(done, 10_000));
  const line = members.map(({ child }) => ({ rss: rss(child.pid), handles: handles(child.pid) }));
  samples.push(line);
  console.log(
    `${Math.round((performance.now() - startedMs) / 1000)} s  ${line.map(({ rss: bytes, handles: open }) => `${Math.round(bytes / 2 ** 20)} MB ${open} handles`).join("  |  ")}  ${JSON.stringify(counts)}`,
  );
}
running = false;
await Promise.all(workers);
agent.destroy();
await new Promise((done) => setTimeout(done, 15_000)); // Longer than idle connections to origins are kept.
const after = members.map(({ child }) => handles(child.pid));
const failures = [];
for (const [index, { problems, name }] of members.entries()) {
  // After a third of the time everything is warm: from then on the peak must not move.
  const warm = samples.slice(Math.floor(samples.length / 3)).map((line) => line[index].rss);
  const half = Math.floor(warm.length / 2);
  const [early, late] = [Math.max(...warm.slice(0, half)), Math.max(...warm.slice(half))];
  console.log(
    `${name}: peak ${Math.round(early / 2 ** 20)} MB early, ${Math.round(late / 2 ** 20)} MB late; ${after[index]} handles at rest`,
  );
  if (late > early * 1.15) failures.push(`${name} grew from ${early} to ${late} bytes`);
  if (after[index] > 60) failures.push(`${name} keeps ${after[index]} handles`);
  if (problems.length > 0) failures.push(`${name} said: ${problems[0]}`);
}
await Promise.all(
  members.map(({ child }) => {
    child.removeAllListeners("exit");
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    return ended;
  }),
);
origin.close();
origin.closeAllConnections();
rmSync(folder, { recursive: true, force: true });
console.log(failures.length === 0 ? "flat" : failures.join("\n"));
process.exit(failures.length === 0 ? 0 : 1);

function rss(pid) {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
}

/** Without the files of a disk, which stay open. */
function handles(pid) {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => !targetOf(pid, fd).includes("/seg-")).length;
}

function targetOf(pid, fd) {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return ""; // It was closed while we looked.
  }
}
