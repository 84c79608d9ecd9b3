/**
 * `node bench/http2.mjs [--rounds N] [--seconds N]`: a 1 KB hit over HTTP/2 and TLS, 10 streams on each of 16 connections, from
 * Gyre, nginx and HAProxy: CPU of the server for each request. Needs Linux, h2load (nghttp2-client), nginx; HAProxy where
 * it is there.
 */
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { median } from "./load.mjs";
import { answers, certificate, cpuMs, installed, loadCore, servers, startOrigin, stop } from "./servers.mjs";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, seconds: { type: "string", default: "5" } },
});
for (const need of ["taskset", "h2load", "nginx"]) {
  if (installed(need)) continue;
  console.error(`${need} is missing. On Debian: apt-get install util-linux nghttp2-client nginx-light`);
  process.exit(1);
}
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
process.removeAllListeners("warning");
const tls = certificate();
const origin = await startOrigin();
const names = ["nginx", "gyre", ...(installed("haproxy") ? ["haproxy"] : [])];
const results = [];
for (const name of names) {
  const { port, child } = await servers[name].start(origin.port, { ...tls, http2: true });
  const url = `https://127.0.0.1:${port}/1024`;
  await answers(url);
  await h2load(url, 2);
  const samples = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const before = cpuMs(child.pid);
    const done = await h2load(url, Number(values.seconds));
    samples.push(((cpuMs(child.pid) - before) * 1000) / done);
  }
  results.push({ name, cpuUs: median(samples) });
  await stop(child);
}
await stop(origin.child);
const [base] = results;
console.log("1 KB hit over HTTP/2 and TLS: CPU µs a request, beside nginx");
for (const { name, cpuUs } of results)
  console.log(`${name.padEnd(10)}${cpuUs.toFixed(1).padStart(8)} µs ${(cpuUs / base.cpuUs).toFixed(2).padStart(6)} ×`);

/** @returns requests that were answered. */
function h2load(url, seconds) {
  const child = spawn(
    "taskset",
    ["-c", loadCore, "h2load", "-c", "16", "-m", "10", "-t", "1", "-D", String(seconds), url],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  return new Promise((done, fail) =>
    child.once("exit", () => {
      const succeeded = Number(/(\d+) succeeded/.exec(text)?.[1] ?? 0);
      if (succeeded === 0) fail(new Error(`h2load had no answer:\n${text}`));
      else done(succeeded);
    }),
  );
}
