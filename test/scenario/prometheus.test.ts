/** Metrics as Prometheus takes them, and what the examples make of them. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, root, startMember, temporaryFolder } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const promtool = "/usr/bin/promtool";
const hasPromtool = existsSync(promtool);
if (!hasPromtool && process.env["CI"] === "true") throw new Error("promtool is missing: apt-get install prometheus");
const examples = join(root, "examples/prometheus");
let origin: TestOrigin;
let metrics = "";

beforeAll(async () => {
  origin = await startOrigin((_, response) => {
    response.setHeader("cache-control", "max-age=60");
    response.end("content");
  });
  const member = await startMember(["--origin", origin.url, "--disk", temporaryFolder(), "--threads", "2"]);
  for (let turn = 0; turn < 3; turn++) await ask(member.port, "/x");
  metrics = await (await fetch(`http://${member.admin}/metrics`)).text();
});
afterAll(async () => {
  await endAll();
  await origin.close();
});

/** All names that a scrape gives, those of a histogram's parts too, and those that have no values just now. */
function names(): Set<string> {
  return new Set([...metrics.matchAll(/^(?:# TYPE )?([a-z0-9_]+)(?:\{| )/gm)].map((match) => match[1]!));
}

it.skipIf(!hasPromtool)("are such that promtool finds nothing wrong with them", () => {
  const { status, stderr, stdout } = spawnSync(promtool, ["check", "metrics"], { input: metrics, encoding: "utf8" });
  expect([status, stderr, stdout]).toEqual([0, "", ""]);
});

it("say what runs, and count the same as was asked", () => {
  expect(metrics).toMatch(/^gyre_build_info\{version="[^"]+",node="[^"]+",member="[^"]+"\} 1$/m);
  expect(metrics).toMatch(/^gyre_requests_total\{outcome="hit",[^}]*\} 2$/m);
});

it.skipIf(!hasPromtool)("have alerts whose rules are right, and name metrics that there are", () => {
  const file = join(examples, "alerts.yml");
  execFileSync(promtool, ["check", "rules", file], { stdio: "pipe" });
  const there = names();
  const named = [...readFileSync(file, "utf8").matchAll(/\b(?:gyre|nodejs|process)_[a-z0-9_]+/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !there.has(name))).toEqual([]);
});

it.skipIf(!hasPromtool)("have a dashboard for Grafana whose queries are right, and name metrics that there are", () => {
  const dashboard = JSON.parse(readFileSync(join(examples, "grafana-dashboard.json"), "utf8")) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(queries.length).toBeGreaterThan(20);
  const there = names();
  for (const query of queries)
    for (const [name] of query.matchAll(/\b(?:gyre|nodejs|process)_[a-z0-9_]+/g))
      expect([query, there.has(name)]).toEqual([query, true]);
  // Rules are the one form in which promtool reads queries.
  const rules = queries.map((query, index) => ({
    record: `query:number:${index}`,
    expr: query.replaceAll("$__rate_interval", "5m").replaceAll("$member", ".*"),
  }));
  const file = join(temporaryFolder(), "queries.yml");
  writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  execFileSync(promtool, ["check", "rules", file], { stdio: "pipe" });
});
