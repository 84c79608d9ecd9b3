/** What an operator asks a cluster, and whether its answers are those that requests get. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { endAll, program, startCluster, startMember, temporaryFolder } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
const folder = temporaryFolder();
beforeAll(async () => {
  origin = await startOrigin((_, response) => {
    response.setHeader("cache-control", "max-age=60");
    response.end("content");
  });
});
afterEach(endAll);
afterAll(() => origin.close());

it("gyre ring names the owner that requests go to, whatever a route leaves out of keys or puts into them", async () => {
  const file = join(folder, "keys.yaml");
  writeFileSync(
    file,
    `routes:
  - { path: /a, origin: "${origin.url}", caching: { query-ignore: [utm] } }
  - { path: /b, origin: "${origin.url}", caching: { query-select: [id] } }
  - { path: /c, origin: "${origin.url}", caching: { key-fields: [x-device] } }
`,
  );
  const [first] = await startCluster(2, ["--config", file]);
  const targets = ["a", "b", "c"].flatMap((path) => [1, 2, 3, 4, 5, 6].map((n) => `/${path}?utm=${n}`));
  const urls = targets.map((target) => `http://site.example${target}`);
  const run = await gyre(["ring", ...urls, "--json", "--admin", first!.admin], folder);
  const located = (JSON.parse(run.output) as { urls: { owner: string }[] }).urls.map(({ owner }) => owner);
  const asked = [];
  for (const target of targets) {
    const { headers } = await ask(first!.port, target, { headers: { host: "site.example" } });
    asked.push(String(headers["cache-status"]).split(";", 1)[0]);
  }
  expect(located).toEqual(asked);
});

it("gyre check takes the file as other commands do, too", async () => {
  const file = join(folder, "checked.yaml");
  writeFileSync(file, "memory: 64MB\n");
  expect(await gyre(["check", "--config", file], folder)).toMatchObject({ code: 0, output: `${file}: valid\n` });
  expect((await gyre(["check", "--config", file, file], folder)).code).toBe(2);
});

it("gyre config says defaults as one would write them", async () => {
  const { output } = await gyre(["config", "--json"], folder);
  const settings = JSON.parse(output) as { name: string; value: unknown; from: string }[];
  for (const [name, value] of [
    ["disk-size", "10GB"],
    ["object-max", "64MB"],
    ["drain-limit", "10s"],
  ])
    expect(settings.find((one) => one.name === name)).toEqual({ name, value, from: "default" });
});

it("gyre config says of a default that follows from another setting what it is", async () => {
  const objectMax = async (memory: string): Promise<unknown> => {
    const { output } = await gyre(["config", "--json", "--memory", memory], folder);
    return (JSON.parse(output) as { name: string }[]).find(({ name }) => name === "object-max");
  };
  expect(await objectMax("64MB")).toEqual({ name: "object-max", value: "16.0 MB", from: "a quarter of memory" });
  expect(await objectMax("1GB")).toEqual({ name: "object-max", value: "64MB", from: "default" });
});

it("gyre config keeps its lines short where a value is long", async () => {
  const file = join(folder, "long.yaml");
  const routes = Array.from({ length: 20 }, (_, n) => `  - { path: /${n}, origin: "http://127.0.0.1:1" }\n`);
  writeFileSync(file, `zone: here\nroutes:\n${routes.join("")}`);
  const { output } = await gyre(["config", "--config", file], folder);
  const lines = output.split("\n");
  expect(lines.filter(({ length }) => length > 160).map((line) => line.slice(0, 6))).toEqual(["routes"]);
  const [where] = lines.filter((line) => line.startsWith("zone")).map((line) => line.indexOf(`${file}:1`));
  expect(where).toBe(lines[0]!.indexOf("from"));
});

it("one member is one member, wherever it is counted", async () => {
  const { admin } = await startMember();
  for (const command of [["status"], ["top", "--once"]])
    expect((await gyre([...command, "--admin", admin], folder)).output, command[0]).toMatch(/\b1 member\b/);
});

describe("a coordinator on this machine, without a secret given", () => {
  const status = (where: readonly string[], runs: string): Promise<string> =>
    new Promise((done) => {
      const { GYRE_SECRET: _, ...inherited } = process.env;
      const env = { ...inherited, GYRE_RUN_DIR: runs };
      execFile(process.execPath, [program, "status", ...where], { env }, (__, output, errors) => done(output + errors));
    });

  it("is asked under its cluster's name, and that is said where it has another", async () => {
    const runs = temporaryFolder();
    const member = await startMember(["--cluster", "other"], { GYRE_RUN_DIR: runs });
    const where = ["--coordinator", `http://${member.peer}`];
    expect(await status(where, runs)).toContain(
      `the member at http://${member.peer} is of the cluster other: say --cluster other`,
    );
    expect(await status([...where, "--cluster", "other"], runs)).toContain("cluster other");
  });

  it("is not said to ask for anything where nobody has been asked", async () => {
    expect(await status(["--coordinator", "http://127.0.0.1:1"], temporaryFolder())).toContain(
      "no member of this machine listens at http://127.0.0.1:1: for one elsewhere give the cluster's secret",
    );
  });
});

it("what strangers say moves no terminal: fields that answers vary by, and those that the access log has", async () => {
  const varied = await startOrigin((_, response) => {
    response.setHeader("cache-control", "max-age=60");
    response.setHeader("vary", "x-said");
    response.end("content");
  });
  const fields = ["--access-log", "all", "--access-log-fields", "uri,request:x-said"];
  const member = await startMember(["--origin", varied.url, ...fields]);
  // CSI in eight bits, as xterm and its kin read it: clears the screen.
  await ask(member.port, "/varied", { headers: { "x-said": "\u009b2J", host: "site.example" } });
  const explained = await gyre(["explain", "http://site.example/varied", "--admin", member.admin], folder);
  expect(explained.output).toContain("x-said:\\u009b2J");
  expect(explained.output).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  await member.stop();
  expect(member.output()).toContain('"request:x-said":"\\u009b2J"');
  await varied.close();
});
