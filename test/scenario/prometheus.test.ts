/** Metrics as Prometheus takes them, and what the examples make of them. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { endAll, root, startCluster, startMember, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const promtool = "/usr/bin/promtool";
const hasPromtool = existsSync(promtool);
if (!hasPromtool && process.env["CI"] === "true") throw new Error("promtool is missing: apt-get install prometheus");
const examples = join(root, "examples/prometheus");
let origin: TestOrigin;
let metrics = "";

beforeAll(async () => {
  origin = await startOrigin((asked, response) => {
    response.setHeader("cache-control", asked.url!.endsWith("/private") ? "no-store" : "max-age=60");
    if (asked.url === "/a/held") {
      response.setHeader("etag", '"1"');
      if (asked.headers["if-none-match"] === '"1"') response.statusCode = 304;
    }
    if (asked.url === "/a/cut") {
      response.setHeader("content-length", "1000");
      response.write("cut");
      return void setImmediate(() => response.destroy());
    }
    return void response.end(asked.url === "/a/large" ? Buffer.alloc(2 * 2 ** 20) : "content");
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

/** The values of a metric by what some of its labels say, summed. */
function valuesOf(text: string, name: string, ...labels: string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [, said, value] of text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, "gm"))) {
    const key = labels.map((label) => new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(said!)?.[1] ?? "").join(" ");
    found[key] = (found[key] ?? 0) + Number(value);
  }
  return found;
}
const metricsOf = async (member: TestMember): Promise<string> => (await fetch(`http://${member.admin}/metrics`)).text();

it.each([1, 3])("tell routes and origins apart, over a reload too (threads: %i)", async (threads) => {
  const dead = await freePort();
  const file = join(temporaryFolder(), "gyre.yaml");
  const text = (first: string): string =>
    `object-max: 1MB\nroutes:\n${first}  - { path: /a, origin: "${origin.url}" }\n  - { path: /b, origins: ["http://127.0.0.1:${dead}", "${origin.url}"], balance: first }\n`;
  writeFileSync(file, text(""));
  const member = await startMember(["--config", file, "--threads", String(threads)]);
  for (let turn = 0; turn < 4; turn++) await ask(member.port, "/a/x");
  await ask(member.port, "/a/private");
  for (let turn = 0; turn < 2; turn++) await ask(member.port, "/b/x");
  await ask(member.port, "/elsewhere");
  let told = "";
  const requests = { "*/a uri-miss": 2, "*/a hit": 3, "*/b uri-miss": 1, "*/b hit": 1, "- none": 1 };
  await until(
    async () => {
      told = await metricsOf(member);
      return isDeepStrictEqual(valuesOf(told, "gyre_route_requests_total", "route", "outcome"), requests);
    },
    `all are counted: ${JSON.stringify(valuesOf(told, "gyre_route_requests_total", "route", "outcome"))}`,
  );
  expect(valuesOf(told, "gyre_route_sent_bytes_total", "route")).toMatchObject({ "*/a": 35, "*/b": 14 });
  expect(valuesOf(told, "gyre_route_request_seconds_count", "route")).toEqual({ "*/a": 5, "*/b": 2, "-": 1 });
  expect(valuesOf(told, "gyre_origin_requests_total", "route", "origin", "result")).toEqual({
    [`*/a ${origin.url} 2xx`]: 2,
    [`*/b http://127.0.0.1:${dead} error`]: 1,
    [`*/b ${origin.url} 2xx`]: 1,
  });
  expect(valuesOf(told, "gyre_origin_head_seconds_count", "route", "origin")).toMatchObject({
    [`*/a ${origin.url}`]: 2,
    [`*/b http://127.0.0.1:${dead}`]: 0,
  });
  expect(valuesOf(told, "gyre_stored_total")).toEqual({ "": 2 });
  expect(valuesOf(told, "gyre_not_stored_total", "reason")).toEqual({ "no-store": 1 });
  // What is found to hold still is neither; what breaks off, or is too large, is not stored.
  for (let turn = 0; turn < 2; turn++) await ask(member.port, "/a/held", { headers: { "cache-control": "no-cache" } });
  await expect(ask(member.port, "/a/cut")).rejects.toThrow();
  await ask(member.port, "/a/large");
  const why = (): Promise<Record<string, number>> =>
    metricsOf(member).then((text) => valuesOf(text, "gyre_not_stored_total", "reason"));
  await until(
    async () => isDeepStrictEqual(await why(), { "no-store": 1, incomplete: 1, "no-room": 1 }),
    "all are told",
  );
  expect(valuesOf(await metricsOf(member), "gyre_stored_total")).toEqual({ "": 3 });
  const counted = { "2xx": 4, "3xx": 1 };
  // Another route before them: names change, and what has been counted under the old ones stays as it was.
  writeFileSync(file, text(`  - { path: /new, origin: "${origin.url}" }\n`));
  expect((await gyre(["reload", "--admin", member.admin], temporaryFolder())).code).toBe(0);
  for (let turn = 0; turn < 3; turn++) await ask(member.port, "/a/x");
  await until(async () => {
    told = await metricsOf(member);
    const now = valuesOf(told, "gyre_route_requests_total", "route", "outcome");
    return now["*/a hit"] === 6 && now["*/a uri-miss"] === 5;
  }, "what is counted goes on under the same name");
  expect(valuesOf(told, "gyre_origin_requests_total", "route", "result")).toMatchObject({
    "*/a 2xx": counted["2xx"] + 1,
    "*/a 3xx": counted["3xx"],
    "*/b error": 1,
  });
});

it("tell a hit of the cluster by its route where the client came in, and which members can be reached", async () => {
  const [first, second] = await startCluster(2, ["--origin", origin.url, "--hot-copies", "0"]);
  for (let turn = 0; turn < 3; turn++) for (let key = 0; key < 8; key++) await ask(first!.port, `/key${key}`);
  const [here, there] = [await metricsOf(first!), await metricsOf(second!)];
  expect(valuesOf(here, "gyre_route_requests_total", "route", "outcome")).toEqual({
    "*/ uri-miss": 8,
    "*/ hit": 16,
  });
  expect(valuesOf(there, "gyre_route_requests_total", "route", "outcome")).toEqual({});
  expect(valuesOf(here, "gyre_peer_up", "peer")).toEqual({ m2: 1 });
});

it.skipIf(!hasPromtool)("have alerts whose rules are right, and name metrics that there are", () => {
  const file = join(examples, "alerts.yml");
  execFileSync(promtool, ["check", "rules", file], { stdio: "pipe" });
  const there = names();
  const named = [...readFileSync(file, "utf8").matchAll(/\b(?:gyre|nodejs|process)_[a-z0-9_]+/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !there.has(name))).toEqual([]);
});

it.skipIf(!hasPromtool)(
  "have alerts that fire for what they are for, in the cluster that it is true of, and for nothing else",
  () => {
    const rules = join(examples, "alerts.test.yml");
    const { status, stderr, stdout } = spawnSync(promtool, ["test", "rules", rules], { encoding: "utf8" });
    expect([status, stderr, stdout]).toEqual([0, "", expect.stringContaining("SUCCESS")]);
    const tried = readFileSync(rules, "utf8");
    const alerts = [...readFileSync(join(examples, "alerts.yml"), "utf8").matchAll(/- alert: (\w+)/g)];
    expect(alerts.map(([, name]) => name!).filter((name) => !tried.includes(`"${name}"`))).toEqual([]);
  },
);

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
