/**
 * `node bench/compress.mjs [--rounds N] [--seconds N]`: hits of one page of 100 KB for clients that take a coding: Gyre, which
 * codes once and stores that, beside nginx, which codes each answer of its cache anew (gzip 6, and 1). CPU of the server
 * for each request, and bytes of an answer. Needs Linux, wrk and nginx.
 */
import { createServer, request } from "node:http";
import { parseArgs } from "node:util";
import { load, median } from "./load.mjs";
import { answers, installed, servers, stop } from "./servers.mjs";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, seconds: { type: "string", default: "4" } },
});
for (const need of ["taskset", "wrk", "nginx"]) {
  if (installed(need)) continue;
  console.error(`${need} is missing. On Debian: apt-get install util-linux wrk nginx-light`);
  process.exit(1);
}

const page = prose(100 * 1024);
const origin = createServer((_, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.setHeader("cache-control", "max-age=36000");
  response.end(page);
});
await new Promise((done) => origin.listen(0, "127.0.0.1", done));
const { port: originPort } = origin.address();

const gyre = (coding) => () => servers.gyre.start(originPort, null, ["--compress", coding]);
const gzip = (level) =>
  `gzip on; gzip_comp_level ${level}; gzip_types *; gzip_proxied any; proxy_set_header Accept-Encoding "";`;
const nginx = (level) => () => servers.nginx.start(originPort, null, gzip(level));
const all = [
  { name: "nginx gzip 6", start: nginx(6), coding: "gzip" },
  { name: "nginx gzip 1", start: nginx(1), coding: "gzip" },
  { name: "gyre gzip", start: gyre("gzip"), coding: "gzip" },
  { name: "gyre br", start: gyre("br"), coding: "br" },
  { name: "gyre zstd", start: gyre("zstd"), coding: "zstd" },
];
const results = [];
for (const { name, start, coding } of all) {
  const { port, child } = await start();
  const url = `http://127.0.0.1:${port}/page`;
  await answers(url);
  const headers = [`Accept-Encoding: ${coding}`];
  await load(url, [child.pid], { seconds: 1, connections: 16, headers });
  const samples = [];
  for (let round = 0; round < Number(values.rounds); round++)
    samples.push(await load(url, [child.pid], { seconds: Number(values.seconds), connections: 16, headers }));
  results.push({ name, cpuUs: median(samples.map(({ cpuUs }) => cpuUs)), bytes: await bytesOf(url, coding) });
  await stop(child);
}
origin.close();

const [base] = results;
console.log("CPU µs a request, and bytes of an answer; beside nginx's gzip 6");
for (const { name, cpuUs, bytes } of results)
  console.log(
    `${name.padEnd(14)}${cpuUs.toFixed(1).padStart(9)} µs ${(cpuUs / base.cpuUs).toFixed(3).padStart(7)} ×${String(bytes).padStart(8)} B ${(bytes / base.bytes).toFixed(2).padStart(6)} ×`,
  );

/** Bytes of the content as it comes. */
function bytesOf(url, coding) {
  return new Promise((done, fail) => {
    request(url, { headers: { "accept-encoding": coding } }, (response) => {
      let bytes = 0;
      if (response.headers["content-encoding"] !== coding) fail(new Error(`${url} is not in ${coding}`));
      response.on("data", (chunk) => (bytes += chunk.length));
      response.on("end", () => done(bytes));
    })
      .on("error", fail)
      .end();
  });
}

/** Text that is neither all alike nor all different: words of a small language, the same in every run. */
function prose(bytes) {
  let seed = 42;
  const next = (below) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const syllables = ["ka", "to", "mi", "re", "son", "da", "lu", "vi", "ne", "pra", "sti", "go", "ber", "in", "al"];
  const words = Array.from({ length: 2000 }, () =>
    Array.from({ length: 1 + next(4) }, () => syllables[next(syllables.length)]).join(""),
  );
  let text = "<!doctype html><html><body>\n";
  while (text.length < bytes)
    text += `<p class="line">${Array.from({ length: 8 + next(12) }, () => words[Math.floor(next(2000) ** 2 / 2000)]).join(" ")}.</p>\n`;
  return text.slice(0, bytes);
}
