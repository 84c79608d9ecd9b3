/**
 * `node bench/memory.mjs [--memory SIZE] [--count N] [--bytes N]`: a member that nobody has configured further gets N
 * distinct responses of so many bytes, and what it has resident is printed on the way: idle, in five steps, and for
 * each response that it still stores. Reads /proc: Linux. Loopback only.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { constantOrigin } from "./constant-origin.mjs";
import { fetchAll } from "./fetch-all.mjs";

const { values } = parseArgs({
  options: {
    memory: { type: "string" },
    count: { type: "string", default: "1000000" },
    bytes: { type: "string", default: "110" },
  },
});
const [count, bytes] = [Number(values.count), Number(values.bytes)];
const folder = mkdtempSync(join(tmpdir(), "gyre-memory-"));

const origin = await constantOrigin(bytes);

const child = spawn(
  process.execPath,
  [
    resolve(import.meta.dirname, "../bin/gyre"),
    "start",
    ..."--listen 127.0.0.1:0 --peer 127.0.0.1:0 --admin 127.0.0.1:0 --log-level warn".split(" "),
    "--origin",
    `http://127.0.0.1:${origin.address().port}`,
    ...(values.memory === undefined ? [] : ["--memory", values.memory]),
  ],
  {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    env: { ...process.env, GYRE_SECRET: "a secret for the bench", GYRE_RUN_DIR: folder },
  },
);
const { listen, admin } = await new Promise((done, fail) => {
  child.once("message", done);
  child.once("exit", (code) => fail(new Error(`the member ended with ${code}`)));
});
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) / 1024;
const idle = resident();
console.log(`idle: ${idle.toFixed(0)} MB resident`);

let next = 0;
const begun = performance.now();
await fetchAll({
  ports: [Number(listen.split(":").at(-1))],
  more: () => (next < count ? `/objects/item-${next++}?v=1` : null),
  answered: (done) => {
    if (done % Math.ceil(count / 5) === 0) console.log(`${done} answered: ${resident().toFixed(0)} MB resident`);
  },
});
const seconds = (performance.now() - begun) / 1000;
const status = await new Promise((got, fail) =>
  get(`http://${admin}/api/status`, (response) => {
    let text = "";
    response.on("data", (data) => (text += data));
    response.on("end", () => got(JSON.parse(text)));
  }).on("error", fail),
);
const { store } = status.self;
console.log(`${count} in ${seconds.toFixed(1)} s: ${resident().toFixed(0)} MB resident, ${store.responses} stored`);
console.log(
  `budget ${(store.bytesMax / 2 ** 20).toFixed(0)} MB, given to pages ${(store.givenBytes / 2 ** 20).toFixed(0)} MB`,
);
const each = ((resident() - idle) * 2 ** 20) / store.responses;
console.log(`resident above idle for each stored response of ${bytes} bytes: ${each.toFixed(0)} bytes`);
child.removeAllListeners("exit");
child.kill();
origin.close();
rmSync(folder, { recursive: true, force: true });
process.exit();
