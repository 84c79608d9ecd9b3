/** The built program on whatever Node runs this file: a cluster of two, a miss, a hit, a clean end. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const program = resolve(import.meta.dirname, "../bin/gyre");
const folder = mkdtempSync(join(tmpdir(), "gyre-smoke-"));
const environment = { ...process.env, GYRE_RUN_DIR: folder, GYRE_NODE: "own" };
let fetches = 0;
const origin = createServer((_request, response) => {
  fetches++;
  response.writeHead(200, { "cache-control": "max-age=60" });
  response.end("smoke\n");
});
await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${origin.address().port}/smoke`;
let failure = null;
try {
  const started = await gyre(
    "cluster",
    "--members",
    "2",
    "--detach",
    "--listen",
    "127.0.0.1:0",
    "--peer",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
  );
  expect(started.status === 0, `gyre cluster failed: ${started.output}`);
  const status = JSON.parse((await gyre("status", "--json")).output);
  expect(status.members.length === 2, "two members");
  for (const member of [...status.members, ...status.members]) {
    const answer = await through(member.listen);
    expect(answer.status === 200 && answer.text === "smoke\n", `${member.name} answered ${answer.status}`);
  }
  expect(fetches === 1, `the origin was asked ${fetches} times, not once`);
  expect((await through(status.members[0].listen)).cacheStatus.includes("hit"), "a hit");
} catch (error) {
  failure = error;
}
const stopped = await gyre("stop", "--json");
if (
  failure === null &&
  (stopped.status !== 0 || !JSON.parse(stopped.output).every(({ result }) => result === "drained"))
)
  failure = new Error(`gyre stop: ${stopped.output}`);
origin.close();
rmSync(folder, { recursive: true, force: true });
console.log(failure === null ? `smoke: well on ${process.version}` : `smoke: ${failure.message}`);
process.exit(failure === null ? 0 : 1);

function gyre(...parameters) {
  const child = spawn(process.execPath, [program, ...parameters], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (errors += chunk));
  return new Promise((resolve) => child.once("exit", (status) => resolve({ status, output: output || errors })));
}

function through(listen) {
  const [host, port] = listen.split(":");
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path: url, headers: { host: url.split("/")[2] } }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode, text, cacheStatus: response.headers["cache-status"] ?? "" }),
      );
    });
    asked.on("error", reject);
    asked.end();
  });
}

function expect(condition, what) {
  if (!condition) throw new Error(what);
}
