/** `gyre eval` and `gyre ring` as users run them, and the HTML page in a real browser. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { afterEach, describe, expect, it } from "vitest";
import type { Report } from "../../src/eval/report.ts";
import { gyre } from "../support/command.ts";
import { endAll, startCluster, temporaryFolder } from "../support/member.ts";

const browser = "/usr/bin/chromium";
const hasBrowser = existsSync(browser);
if (!hasBrowser && process.env["CI"] === "true") throw new Error("Chromium is missing: apt-get install chromium");

const folder = temporaryFolder();
afterEach(endAll);

interface Ring {
  readonly members: readonly { name: string; share: number }[];
  readonly after: readonly { name: string; share: number }[];
  readonly moved: readonly { from: string; to: string; fraction: number }[];
  readonly movedTotal: number;
}
const ringOf = async (...parameters: string[]): Promise<Ring> => {
  const { code, output, errors } = await gyre(["ring", ...parameters, "--json"], folder);
  expect(code, errors).toBe(0);
  return JSON.parse(output) as Ring;
};

describe("gyre ring", () => {
  it("shares the key space of members that need not exist", async () => {
    const { members } = await ringOf("--members", "10");
    expect(members.map(({ name }) => name)).toContain("m10");
    expect(members.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(Math.max(...members.map(({ share }) => share)) * 10).toBeLessThan(1.05);
  });

  it("tells what a change would move, and from whom to whom", async () => {
    const joined = await ringOf("--members", "9", "--what-if", "+1");
    expect(joined.moved.every(({ to }) => to === "m10")).toBe(true);
    expect(joined.moved).toHaveLength(9);
    expect(joined.movedTotal).toBeGreaterThan(0.09);
    expect(joined.movedTotal).toBeLessThan(0.105);
    expect(joined.after.find(({ name }) => name === "m10")!.share).toBeCloseTo(joined.movedTotal, 2);
    const left = await ringOf("--members", "3", "--what-if", "-m3");
    expect(left.moved.map(({ from }) => from)).toEqual(["m3", "m3"]);
    const weighed = await ringOf("--members", "3", "--what-if", "m1*2");
    expect(weighed.moved.every(({ to }) => to === "m1")).toBe(true);
    expect(weighed.after.find(({ name }) => name === "m1")!.share).toBeCloseTo(0.5, 1);
  });

  it("does so for a cluster that runs, as a table", async () => {
    const members = await startCluster(3);
    const { code, output } = await gyre(["ring", "--admin", members[0]!.admin, "--what-if", "-m2"], folder);
    expect(code).toBe(0);
    expect(output).toMatch(/^MEMBER +NOW +THEN +GAINS +LOSES\n/);
    expect(output).toMatch(/m2 +\d\d\.\d\d% +- +0\.00% +\d\d\.\d\d%/);
    expect(output).toMatch(/FROM +TO +MOVES\nm2 +m[13] +1\d\.\d\d%\nm2 +m[13] +1\d\.\d\d%/);
  });

  it.each([
    [["--members", "3", "--what-if", "-m9"], "no member named m9; there are m1, m2, m3"],
    [["--members", "none"], "write a number from 1 to 10000"],
    [["http://a.example/", "--members", "3"], "leave out --members"],
  ])("%j is refused with a sentence", async (parameters, sentence) => {
    const { code, errors } = await gyre(["ring", ...parameters], folder);
    expect(code).toBe(2);
    expect(errors).toContain(sentence);
  });
});

describe("gyre eval", () => {
  const evaluate = async (...parameters: string[]): Promise<{ output: string; errors: string; out: string }> => {
    const out = join(temporaryFolder(), "out");
    const { code, output, errors } = await gyre(["eval", ...parameters, "--out", out], folder);
    expect(code, `${output}\n${errors}`).toBe(0);
    return { output, errors, out };
  };

  it("prints tables, shows how far it is, and leaves JSON that repeats with the seed", async () => {
    const { output, errors, out } = await evaluate("distribution", "--members", "3");
    expect(output).toMatch(/MEMBER +URLS +REQUESTS BY OWNER/);
    expect(output).toContain("50/30/20");
    expect(errors).toContain("distribution [########################] 100% done");
    const reports = (folderOf: string): unknown =>
      (JSON.parse(readFileSync(join(folderOf, "distribution.json"), "utf8")) as { reports: unknown }).reports;
    const again = await evaluate("distribution", "--members", "3");
    expect(reports(again.out)).toEqual(reports(out));
  });

  it("says what is wrong with what it is asked for", async () => {
    for (const [parameters, sentence] of [
      [["nonsense"], 'no experiment is named "nonsense": there are distribution, balance'],
      [["distribution", "--trace", "web99"], "there are web07, web12"],
      [["distribution", "--zipf", "--trace", "web07"], "one workload at a time"],
      [["distribution", "--members", "many"], "write a number from 1 to 64"],
      [["distribution", "--urls", "/nowhere/list"], "/nowhere/list"],
    ] as const) {
      const { code, errors } = await gyre(["eval", ...parameters, "--out", join(folder, "none")], folder);
      expect(code, errors).toBeGreaterThan(0);
      expect(errors).toContain(sentence);
    }
  });

  it.skipIf(!hasBrowser)(
    "leaves a page whose charts a browser draws, without a word on its console, and without network",
    async () => {
      const { out } = await evaluate("hit-ratio", "--trace", "web12");
      const { out: other } = await evaluate("distribution", "--zipf", "--requests", "5000", "--members", "5");
      const running = await chromium.launch({
        executablePath: browser,
        args: [
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync",
        ],
      });
      try {
        const page = await running.newPage({ viewport: { width: 1100, height: 800 } });
        const heard: string[] = [];
        const asked: string[] = [];
        page.on("console", (message) => heard.push(message.text()));
        page.on("pageerror", (error) => heard.push(error.message));
        page.on("request", (request) => asked.push(request.url()));
        for (const [file, charts, words] of [
          [join(out, "hit-ratio.html"), 1, "headissue"],
          [join(other, "distribution.html"), 2, "Zipf 1 over 10000 URLs"],
        ] as const) {
          await page.goto(pathToFileURL(file).href);
          await page.waitForFunction("document.documentElement.dataset.charts !== undefined");
          expect(await page.evaluate("document.documentElement.dataset.charts")).toBe(String(charts));
          const drawn = await page.evaluate(
            `[...document.querySelectorAll("canvas")].map((canvas) => new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size)`,
          );
          expect(drawn).toHaveLength(charts);
          // More than a blank canvas: lines, letters, colours.
          for (const colours of drawn as number[]) expect(colours).toBeGreaterThan(20);
          expect(await page.textContent("body")).toContain(words);
          const keep = process.env["GYRE_TEST_SCREENSHOTS"];
          if (keep !== undefined) {
            mkdirSync(keep, { recursive: true });
            await page.screenshot({ path: join(keep, `${charts}.png`), fullPage: true });
          }
        }
        expect(heard).toEqual([]);
        expect(asked.every((url) => url.startsWith("file:") || url.startsWith("data:"))).toBe(true);
      } finally {
        await running.close();
      }
    },
    60_000,
  );

  it("runs real members: a small failover, and hot keys, with no request lost", async () => {
    const { output } = await evaluate("failover", "--members", "4", "--rate", "100");
    expect(output).toContain("real processes");
    expect(output).toMatch(/requests that failed +0 +at most 0 +reached/);
    expect(output).toMatch(/kill -9 of the leader, which hosts the coordinator \(m1\) +\d+ +0 /);
    // How even it is, and what a busy machine's pauses cost in hits, is the experiment's to say; that it ran, and lost
    // nothing, is the test's.
    const hot = await gyre(
      ["eval", "hot", "--members", "4", "--objects", "1000", "--requests", "6000", "--out", temporaryFolder()],
      folder,
    );
    expect(hot.output, hot.errors).toMatch(/peak-to-mean of requests, with both +1\.\d+ +at most 1\.25/);
    expect(hot.output, hot.errors).toMatch(/hit ratio with both, over that without +(1|1\.0\d*|0\.99\d*) +at least/);
    expect(hot.output, hot.errors).toMatch(/requests that failed +0 +at most 0 +reached/);
  }, 120_000);

  it("a join, a drain, a rolling restart and a kill -9, small: no fetch too many, no request lost", async () => {
    const out = join(temporaryFolder(), "out");
    const sizes = ["--members", "3", "--objects", "300", "--rate", "100", "--seconds", "4"];
    const { output, errors } = await gyre(["eval", "churn", ...sizes, "--out", out, "--json"], folder);
    const [report] = (JSON.parse(output) as { reports: Report[] }).reports;
    const [nothing, ...changes] = report!.tables[0]!.rows;
    const what = `${output}\n${errors}`;
    for (const [name, , failed] of [nothing!, ...changes]) expect(failed, `${name}: ${what}`).toBe(0);
    expect(nothing![4]).toBe(0);
    // So small, one fetch too many would be more than the goal's 1%. Where the machine gives a member no processor for
    // 100 ms, a successor asks the origin in its place: a few of these are no fault of the change.
    for (const row of changes.slice(0, 3)) expect(row[4], what).toBeLessThanOrEqual(5);
    expect(changes[3]![4]).toBeGreaterThan(0);
  }, 120_000);
});
