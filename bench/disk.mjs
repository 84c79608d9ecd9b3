/**
 * `node bench/disk.mjs [--count N] [--bytes N] [--restart 100000,1000000]`: content larger than memory, from the disk.
 *
 *   fill      N responses of so many bytes through members with and without a disk: what writing costs, CPU ms a MB
 *   hits      of any of them, by turns with nginx (proxy_cache, its defaults, and with open_file_cache): CPU µs a hit
 *   restart   members with so many responses of 1 KB on their disks: until the first answer from them, with what they
 *             have there in the system's page cache, and with nothing of it
 *
 * Gyre has 300 MB of memory (--memory) and all other defaults. The server on one core, wrk on another. Reads /proc:
 * Linux.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fetchAll } from "./fetch-all.mjs";
import { load, median } from "./load.mjs";
import { answers, cpuMs, folder, freePort, installed, pinned, serverCore, startOrigin, stop } from "./servers.mjs";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "60000" },
    bytes: { type: "string", default: "16384" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    memory: { type: "string", default: "300MB" },
    restart: { type: "string", default: "100000,1000000" },
  },
});
const [count, bytes, seconds, rounds] = [values.count, values.bytes, values.seconds, values.rounds].map(Number);
const environment = { ...process.env, GYRE_SECRET: "a secret for the benchmark", GYRE_RUN_DIR: join(folder, "run") };
mkdirSync(join(folder, "run"), { recursive: true });
const origin = await startOrigin();

async function gyre(disk, size, memory = values.memory) {
  const port = await freePort();
  const flags = [
    ..."start --name m1 --peer 127.0.0.1:0 --admin 127.0.0.1:0 --log-level warn --access-log off".split(" "),
    "--memory",
    memory,
    "--origin",
    `http://127.0.0.1:${origin.port}`,
    "--listen",
    `127.0.0.1:${port}`,
    ...(disk === null ? [] : ["--disk", disk, "--disk-size", size]),
  ];
  const child = pinned(serverCore, process.execPath, [resolve(import.meta.dirname, "../bin/gyre"), ...flags], {
    env: environment,
    stdio: "ignore",
  });
  return { port, child };
}

async function nginx(extra) {
  const port = await freePort();
  const home = mkdtempSync(join(folder, "nginx-"));
  writeFileSync(
    join(home, "nginx.conf"),
    `daemon off; worker_processes 1; worker_rlimit_nofile 16000; user root; pid ${home}/pid; error_log ${home}/error.log crit; events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s; proxy_cache_path ${home}/cache levels=1:2 keys_zone=c:100m max_size=10g; ${extra}
client_body_temp_path ${home}/b; proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
upstream o { server 127.0.0.1:${origin.port}; keepalive 64; }
server { listen 127.0.0.1:${port}; location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache c; } } }`,
  );
  return { port, child: pinned(serverCore, "nginx", ["-p", home, "-c", join(home, "nginx.conf")]) };
}

async function fill({ port, child }, size, number, at = 0) {
  await answers(`http://127.0.0.1:${port}/${size}-first`);
  const before = cpuMs(child.pid);
  let next = at;
  await fetchAll({ ports: [port], connections: 32, more: () => (next < number ? `/${size}-${next++}` : null) });
  return cpuMs(child.pid) - before;
}

const any = `
math.randomseed(7)
request = function() return wrk.format("GET", "/${bytes}-" .. math.random(0, ${count - 1})) end
`;

const megabytes = (count * bytes) / 2 ** 20;
console.log(`${count} responses of ${bytes} bytes: ${megabytes.toFixed(0)} MB`);
const without = await gyre(null);
const plain = await fill(without, bytes, count);
await stop(without.child);
const disk = mkdtempSync(join(folder, "disk-"));
const entrants = [["gyre", await gyre(disk, "10GB")]];
const written = await fill(entrants[0][1], bytes, count);
console.log(
  `fill: ${((plain * 1000) / count).toFixed(1)} µs a response without a disk, ${((written * 1000) / count).toFixed(1)} with one: ${((written - plain) / megabytes).toFixed(2)} ms a MB for the disk`,
);
if (installed("nginx")) {
  entrants.push(
    ["nginx", await nginx("")],
    ["nginx, open_file_cache", await nginx("open_file_cache max=10000 inactive=600s;")],
  );
  for (const [, one] of entrants.slice(1)) await fill(one, bytes, count);
}
const results = new Map(entrants.map(([name]) => [name, []]));
for (let round = 0; round < rounds; round++)
  for (const [name, { port, child }] of entrants)
    results.get(name).push(await load(`http://127.0.0.1:${port}/`, [child.pid], { seconds, script: any }));
for (const [name, all] of results) {
  const cpu = median(all.map(({ cpuUs }) => cpuUs));
  const base = median(results.get("gyre").map(({ cpuUs }) => cpuUs));
  const one = all.at(-1);
  console.log(
    `hits: ${name.padEnd(24)} ${cpu.toFixed(1)} µs CPU${name === "gyre" ? "" : ` (gyre ${(base / cpu).toFixed(2)} ×)`}, ${Math.round(one.requestsPerSecond)}/s, p50 ${one.p50Ms} p99 ${one.p99Ms} ms, failed ${one.failed}`,
  );
}
for (const [, { child }] of entrants) await stop(child);

for (const number of values.restart
  .split(",")
  .map(Number)
  .filter((one) => one > 0)) {
  const place = mkdtempSync(join(folder, "restart-"));
  const memory = "2GB";
  const first = await gyre(place, "10GB", memory);
  await fill(first, 1024, number);
  await stop(first.child);
  const empty = await timeToAnswer(null, memory);
  const full = await timeToAnswer(place, memory);
  forget(place);
  const cold = await timeToAnswer(place, memory);
  console.log(
    `restart: ${number} of 1 KB: first answer from the disk after ${Math.round(full)} ms, ${Math.round(cold)} where nothing of it is in the page cache; a member without one answers after ${Math.round(empty)} ms`,
  );
}
await stop(origin.child);

/** Has the system let go of what it keeps in memory of a folder's files (posix_fadvise, as coreutils' dd has it). */
function forget(place) {
  for (const file of readdirSync(place)) {
    const path = join(place, file);
    const { status } = spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"], { stdio: "ignore" });
    if (status !== 0) throw new Error(`dd cannot have ${path} forgotten`);
  }
}

/** From the start of the process to the first whole answer. */
async function timeToAnswer(place, memory) {
  const began = performance.now();
  const { port, child } = await gyre(place, "10GB", memory);
  for (;;) {
    const hit = await new Promise((done) => {
      get({ host: "127.0.0.1", port, path: "/1024-7", headers: { host: "example.test" } }, (response) => {
        response.resume();
        response.once("end", () => done(response.headers["cache-status"]));
      }).once("error", () => done(null));
    });
    if (hit !== null) {
      if (place !== null && !/; hit/.test(hit)) throw new Error(`not from the disk: ${hit}`);
      break;
    }
    await new Promise((again) => setTimeout(again, 5));
  }
  const time = performance.now() - began;
  await stop(child);
  return time;
}
