/**
 * `node bench/purge.mjs [--count N] [--members 1,3,5] [--memory SIZE]`: a cluster with all defaults but its budget gets
 * N distinct small responses, every tenth tagged otherwise and under a prefix of its own. Then it is purged by prefix
 * and by tag: the time until every member has acknowledged, what hits cost before, during the sweep and after (CPU of
 * all members for each request, of what no purge names), how long the sweep takes, and memory. Reads /proc: Linux.
 * Loopback only.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fetchAll } from "./fetch-all.mjs";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000000" },
    members: { type: "string", default: "1,3,5" },
    memory: { type: "string", default: "1GB" },
  },
});
const count = Number(values.count);
const secret = "a secret for the bench";
const ticksPerSecond = 100;
const measureMs = 4000;

const origin = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => {});
  let rest = "";
  socket.on("data", (data) => {
    rest += data.toString("latin1");
    let answers = "";
    for (let end = rest.indexOf("\r\n\r\n"); end !== -1; end = rest.indexOf("\r\n\r\n")) {
      const tag = rest.startsWith("GET /purged/") ? "purged" : "kept";
      rest = rest.slice(end + 4);
      answers += `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncache-control: max-age=36000\r\nsurrogate-key: all ${tag}\r\ncontent-length: 110\r\n\r\n${"x".repeat(110)}`;
    }
    socket.write(answers);
  });
});
await new Promise((done) => origin.listen(0, "127.0.0.1", done));

/** A tenth of all, in two halves: one for each kind of purge. */
function pathOf(index) {
  if (index % 10 !== 0) return `/kept/item-${index}`;
  return index % 20 === 0 ? `/purged/item-${index}` : `/folder/item-${index}`;
}

const cpuOf = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
};
const residentOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

async function start(index, coordinator, folder) {
  const child = spawn(
    process.execPath,
    [
      resolve(import.meta.dirname, "../bin/gyre"),
      "start",
      ..."--listen 127.0.0.1:0 --peer 127.0.0.1:0 --admin 127.0.0.1:0 --log-level warn --name".split(" "),
      `m${index + 1}`,
      "--memory",
      values.memory,
      "--origin",
      `http://127.0.0.1:${origin.address().port}`,
      ...(coordinator === null ? [] : ["--coordinator", `http://${coordinator}`]),
    ],
    {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: folder },
    },
  );
  const started = await new Promise((done, fail) => {
    child.once("message", done);
    child.once("exit", (code) => fail(new Error(`a member ended with ${code}`)));
  });
  return { ...started, child };
}

for (const size of values.members.split(",").map(Number)) {
  const folder = mkdtempSync(join(tmpdir(), "gyre-purge-"));
  const members = [await start(0, null, folder)];
  for (let index = 1; index < size; index++) members.push(await start(index, members[0].peer, folder));
  const ports = members.map(({ listen }) => Number(listen.split(":").at(-1)));
  const api = async (path, body) => {
    const answer = await fetch(`http://${members[0].admin}${path}`, {
      headers: { authorization: `Bearer ${secret}` },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
    return answer.json();
  };
  const resident = () => members.reduce((sum, { child }) => sum + residentOf(child.pid), 0);
  const cpu = () => members.reduce((sum, { child }) => sum + cpuOf(child.pid), 0);
  let next = 0;
  await fetchAll({ ports, more: () => (next < count ? pathOf(next++) : null) });
  const statuses = await Promise.all(
    members.map(async ({ admin }) => (await fetch(`http://${admin}/api/status`)).json()),
  );
  const stored = statuses.reduce((sum, { self }) => sum + self.store.responses - self.store.copies, 0);
  const before = resident();
  console.log(`\n${size} member${size === 1 ? "" : "s"}, ${stored} stored, ${before.toFixed(0)} MB resident`);
  // 1,000 of those that no purge names, each at its turn.
  const kept = Array.from({ length: 1000 }, (_, index) => pathOf(index * 10 + 1));
  const hits = async (until) => {
    let turn = 0;
    const cpuBefore = cpu();
    const done = await fetchAll({ ports, more: () => (until() ? null : kept[turn++ % kept.length]) });
    return ((cpu() - cpuBefore) * 1e6) / done;
  };
  const forAWhile = () => {
    const end = performance.now() + measureMs;
    return () => performance.now() > end;
  };
  await hits(forAWhile());
  const quiet = await hits(forAWhile());
  for (const { what, selector } of [
    { what: "prefix", selector: { prefix: "http://example.test/folder/" } },
    { what: "tag", selector: { tag: "purged" } },
  ]) {
    const times = [];
    // Those before the one that is counted name nothing.
    for (let turn = 0; turn < 20; turn++) {
      const nothing = what === "prefix" ? { prefix: `http://example.test/nothing${turn}/` } : { tag: `nothing${turn}` };
      const from = performance.now();
      await api("/api/purge", { selectors: [nothing] });
      times.push(performance.now() - from);
    }
    const from = performance.now();
    let report = await api("/api/purge", { selectors: [selector] });
    const took = performance.now() - from;
    let swept = null;
    const during = await Promise.all([
      hits(() => swept !== null),
      (async () => {
        for (;;) {
          await new Promise((done) => setTimeout(done, 500));
          report = await api(`/api/purge/${report.id}`);
          if (report.members.every((member) => member.swept)) break;
        }
        swept = performance.now() - from;
      })(),
    ]);
    const after = await hits(forAWhile());
    const ended = report.members.reduce((sum, { dropped }) => sum + dropped, 0);
    const applied = Math.max(...report.members.map(({ afterMs }) => afterMs));
    const part = (value) => `${value.toFixed(2)} µs (${((value / quiet - 1) * 100).toFixed(1)}%)`;
    console.log(
      `by ${what}: acknowledged by all after ${applied} ms (asked over HTTP: ${took.toFixed(1)} ms; median of 20 that name nothing ${times.sort((a, b) => a - b)[10].toFixed(1)} ms), ${ended} dropped, swept in ${(swept / 1000).toFixed(1)} s`,
    );
    console.log(`  a hit: ${quiet.toFixed(2)} µs before, ${part(during[0])} during, ${part(after)} after`);
  }
  console.log(`  resident ${resident().toFixed(0)} MB after`);
  const ends = members.map(({ child }) => new Promise((done) => child.once("exit", done)));
  for (const { child } of members) {
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
  }
  await Promise.race([Promise.all(ends), new Promise((done) => setTimeout(done, 1000))]);
  rmSync(folder, { recursive: true, force: true });
}
origin.close();
process.exit(0);
