/**
 * Makes the picture of the dashboard that the README shows: a cluster of three with some load, in Chromium.
 *
 *   npm run build && node scripts/dashboard-picture.mjs      writes docs/dashboard.png
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const root = resolve(import.meta.dirname, "..");
const picture = join(root, "docs/dashboard.png");
const loadMs = 90_000;

const origin = createServer((request, response) => {
  response.setHeader("cache-control", request.url.startsWith("/cart") ? "no-store" : "max-age=30");
  response.end("x".repeat(400 + 40 * request.url.length));
});
await new Promise((done) => origin.listen(0, "127.0.0.1", done));
const folder = mkdtempSync(join(tmpdir(), "gyre-picture-"));
const cluster = spawn(
  process.execPath,
  [
    join(root, "bin/gyre"),
    "cluster",
    "--members",
    "3",
    "--origin",
    `http://127.0.0.1:${origin.address().port}`,
    "--listen",
    "127.0.0.1:0",
    "--access-log",
    "off",
  ],
  { env: { ...process.env, GYRE_RUN_DIR: folder }, stdio: "ignore" },
);
try {
  const members = await membersOf();
  const end = Date.now() + loadMs;
  const clients = Array.from({ length: 40 }, async (_, index) => {
    const { listen } = members[index % members.length];
    const pages = ["/", "/news", "/news/today", "/style.css", "/app.js", "/logo.svg", "/cart"];
    while (Date.now() < end) {
      const page =
        Math.random() < 0.25
          ? `/article/${Math.floor(600 * Math.random() ** 2)}`
          : pages[Math.floor(pages.length * Math.random() ** 2)];
      await fetch(`http://${listen}${page}`, { headers: { host: "site.example" } }).then((answer) =>
        answer.arrayBuffer(),
      );
      await new Promise((done) => setTimeout(done, 20 * Math.random()));
    }
  });
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1240, height: 720 } });
  await page.goto(`http://${members[0].admin}/`);
  await page.waitForTimeout(loadMs - 5000);
  await page.screenshot({ path: picture });
  await browser.close();
  await Promise.all(clients);
  console.log(`${picture}: ${Math.round(statSync(picture).size / 1024)} KB`);
} finally {
  cluster.kill("SIGINT");
  await new Promise((done) => cluster.once("exit", done));
  origin.close();
  rmSync(folder, { recursive: true, force: true });
}

/** The members, when all three have joined. */
async function membersOf() {
  for (let turn = 0; turn < 100; turn++) {
    const status = await run(["status", "--json"]).catch(() => null);
    if (status?.members.length === 3) return status.members;
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new Error("the cluster did not come up");
}

function run(parameters) {
  const child = spawn(process.execPath, [join(root, "bin/gyre"), ...parameters], {
    env: { ...process.env, GYRE_RUN_DIR: folder },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  return new Promise((done, fail) =>
    child.once("close", () => {
      try {
        done(JSON.parse(text));
      } catch (error) {
        fail(error);
      }
    }),
  );
}
