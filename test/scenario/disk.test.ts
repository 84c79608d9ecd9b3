/** A member with a disk, as its operator has it: stopped, killed, full, shared by mistake, and in a cluster. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, truncateSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { ask, type Answer, type Asking } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import {
  endAll,
  program,
  secret,
  settled,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;

/** Content that follows from its name: `/size/whatever`. */
function contentOf(url: string): Buffer {
  const outputLength = Number(url.split("/")[1]);
  return outputLength === 0 ? Buffer.alloc(0) : createHash("shake256", { outputLength }).update(url).digest();
}

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const url = request.url!;
    response.setHeader("cache-control", "max-age=600");
    response.setHeader("etag", `"${url}"`);
    if (url.startsWith("/10/vary")) response.setHeader("vary", "x-kind");
    if (request.headers["if-none-match"] === `"${url}"`) return void response.writeHead(304).end();
    return void response.end(contentOf(url));
  });
});
afterEach(async () => {
  await endAll();
  origin.asked.length = 0;
});
afterAll(() => origin.close());

const start = (folder: string, ...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--disk", folder, "--disk-size", "64MB", "--memory", "8MB", ...flags]);
/** By the site's name: the ports are others after a restart. */
const get = ({ port }: TestMember, url: string, options: Asking = {}): Promise<Answer> =>
  ask(port, url, { ...options, headers: { host: "site.example", ...options.headers } });
const sizes = [0, 10, 3000, 16_000, 40_000, 250_000, 600_000];
const urls = sizes.flatMap((size) => [`/${size}/a`, `/${size}/b?x=1`]);

it("answers after a restart from what it had stored: whole, in parts, by validators, in variants", async () => {
  const folder = join(temporaryFolder(), "deep", "disk");
  let member = await start(folder);
  for (const url of urls) expect((await get(member, url)).body.equals(contentOf(url))).toBe(true);
  for (const kind of ["1", "2"]) await get(member, "/10/vary", { headers: { "x-kind": kind } });
  const asked = origin.asked.length;
  expect(await member.stop()).toBe(0);
  member = await start(folder);
  expect((await statusOf(member)).self.disk).toMatchObject({ folder, off: null, responses: urls.length + 2 });
  const explained = await gyre(["explain", `http://site.example/10/a`, "--admin", member.admin], temporaryFolder());
  expect(explained.output).toContain("on disk  1, to be brought back");
  for (const url of urls) {
    const whole = await get(member, url);
    expect(whole.cacheStatus, url).toMatch(/; hit; ttl=/);
    expect(whole.body.equals(contentOf(url)), url).toBe(true);
  }
  for (const kind of ["1", "2"])
    expect((await get(member, "/10/vary", { headers: { "x-kind": kind } })).cacheStatus).toMatch(/; hit;/);
  const content = contentOf("/600000/a");
  for (const [range, from, to] of [
    ["bytes=5-14", 5, 15],
    ["bytes=65530-131080", 65_530, 131_081],
    ["bytes=-7", 599_993, 600_000],
  ] as const) {
    const part = await get(member, "/600000/a", { headers: { range } });
    expect(part.status).toBe(206);
    expect(part.body.equals(content.subarray(from, to))).toBe(true);
  }
  const several = await get(member, "/600000/a", { headers: { range: "bytes=1-2,400000-400003" } });
  expect(several.text).toContain("bytes 400000-400003/600000");
  expect(several.body.includes(content.subarray(400_000, 400_004))).toBe(true);
  const conditional = await get(member, "/600000/a", { headers: { "if-none-match": '"/600000/a"' } });
  expect(conditional.status).toBe(304);
  const head = await get(member, "/600000/b?x=1", { method: "HEAD" });
  expect([head.status, head.headers["content-length"]]).toEqual([200, "600000"]);
  // What a reload has found right goes on from there, its content where it was.
  const reloaded = await get(member, "/600000/a", { headers: { "cache-control": "no-cache" } });
  expect(reloaded.cacheStatus).toContain("fwd-status=304");
  expect((await get(member, "/600000/a")).body.equals(content)).toBe(true);
  expect(origin.asked.length).toBe(asked + 1);
  const metrics = await (await fetch(`http://${member.admin}/metrics`)).text();
  expect(metrics).toMatch(/^gyre_disk_recalled_total\{[^}]*\} 16$/m);
});

it("says what it doubts after it was killed, before it is asked for and when it is", async () => {
  const folder = temporaryFolder();
  let member = await start(folder);
  const [kept, anew] = ["/10/kept", "/10/anew"] as const;
  for (const url of [kept, anew]) await get(member, url);
  await until(async () => (await statusOf(member)).self.disk?.responses === 2, "both are on the disk");
  await member.kill();
  member = await start(folder);
  const explained = async (url: string): Promise<string> =>
    (await gyre(["explain", `http://site.example${url}`, "--admin", member.admin], temporaryFolder())).output;
  expect((await get(member, kept)).cacheStatus).toMatch(/; fwd=stale; fwd-status=304; ttl=\d+; detail=in-doubt$/);
  expect((await get(member, kept)).cacheStatus).toMatch(/; hit;/);
  // Brought back by who may have only what needs no origin.
  const unasked = await get(member, anew, { headers: { "cache-control": "only-if-cached" } });
  expect(unasked.status).toBe(504);
  expect(await explained(anew)).toMatch(/decision validate: nobody knows whether it has been invalidated meanwhile/);
  expect(await explained(kept)).toMatch(/decision hit/);
});

it("keeps what has been purged away purged, and settings say what may go to the disk", async () => {
  const folder = temporaryFolder();
  const config = join(temporaryFolder(), "gyre.yaml");
  writeFileSync(
    config,
    `routes:\n  - path: /10/private\n    origin: ${origin.url}\n    caching: { disk: false }\n  - origin: ${origin.url}\n`,
  );
  const flags = ["--config", config, "--disk", folder, "--disk-size", "64MB", "--memory", "8MB"];
  let member = await startMember(flags);
  const one = (path: string): Promise<Answer> => get(member, path);
  for (const path of ["/10/kept", "/10/purged", "/20/purged", "/10/private"]) await one(path);
  const purge = async (...what: string[]) =>
    gyre(["purge", ...what, "--admin", member.admin], temporaryFolder(), { GYRE_SECRET: secret });
  expect((await purge("http://site.example/10/purged")).code).toBe(0);
  await member.stop();
  member = await startMember(flags);
  expect((await purge("--prefix", "http://site.example/20/")).code).toBe(0);
  await member.stop();
  member = await startMember(flags);
  expect((await one("/10/kept")).cacheStatus).toContain("; hit;");
  for (const path of ["/10/purged", "/20/purged", "/10/private"])
    expect((await one(path)).cacheStatus, path).toContain("fwd=uri-miss");
});

/** How often the member is killed; bench/torture.mjs does it more often. */
const killsMax = Number(process.env["CRASH_ROUNDS"] ?? 20);

it(
  "gives right bytes or asks the origin after it was killed, wherever that found it",
  async () => {
    const folder = temporaryFolder();
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const many = Array.from(
      { length: 120 },
      (_, index) => `/${[100, 2000, 9000, 30_000, 150_000, 400_000][index % 6]}/${index}`,
    );
    await (await start(folder)).stop();
    // Files full of something else, a little at a time: else what a kill leaves unwritten is missing, and nothing worse.
    const garbage = Buffer.alloc(4096, "garbage ");
    for (const name of readdirSync(folder).filter((one) => one.startsWith("seg-"))) {
      const path = join(folder, name);
      truncateSync(path, 4096);
      for (let at = 4096; at < 2 ** 20; at += garbage.length) writeFileSync(path, garbage, { flag: "a" });
    }
    let validated = 0;
    for (let round = 0; round < killsMax; round++) {
      const member = await start(folder);
      const ask = async (url: string): Promise<void> => {
        const { status, body, cacheStatus } = await get(member, url, { agent });
        expect(status).toBe(200);
        expect(body.equals(contentOf(url)), `${url} in round ${round}: ${cacheStatus}`).toBe(true);
        if (cacheStatus.includes("fwd-status=304")) validated++;
        // From a process that was killed, nothing is used unseen.
        expect(cacheStatus).not.toContain("; hit");
      };
      for (let at = 0; at < many.length; at += 12) await Promise.all(many.slice(at, at + 12).map(ask));
      // Killed while it stores anew what it is asked for.
      const load = many.map((url) => get(member, `${url}?${round}`, { agent }).catch(() => null));
      await Promise.race([
        Promise.all(load),
        get(member, `${many[(round * 5) % many.length]!}?${round}`, { agent }).catch(() => null),
      ]);
      await member.kill();
      await Promise.all(load);
    }
    expect(validated).toBeGreaterThan(25 * killsMax);
  },
  killsMax * 9000,
);

it("has a folder to itself, until it has ended", async () => {
  const folder = temporaryFolder();
  const member = await start(folder);
  const flags = ["--disk", folder, "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  const second = await gyre(["start", ...flags], temporaryFolder(), { GYRE_SECRET: secret });
  expect(second.code).toBe(2);
  expect(second.errors).toContain(`${folder} is another member's: each needs a folder of its own (--disk)`);
  await member.kill();
  expect(await (await start(folder)).stop()).toBe(0);
  const small = await gyre(["start", ...flags, "--disk-size", "1MB"], temporaryFolder());
  expect(small.code).toBe(2);
  expect(small.errors).toContain("disk-size is less than a disk tier needs");
});

it("leaves a disk that has become full, and loses nothing by it", async () => {
  const mount = temporaryFolder();
  // A file system of 6 MB in a mount namespace of its own.
  const script = 'mount -t tmpfs -o size=6m tmpfs "$0" && exec "$@"';
  const flags = `--origin ${origin.url} --disk ${mount}/disk --disk-size 64MB --memory 16MB --access-log off`.split(
    " ",
  );
  const ports = "--listen 127.0.0.1:0 --peer 127.0.0.1:0 --admin 127.0.0.1:0".split(" ");
  const isolation = process.getuid!() === 0 ? "-m" : "-rm";
  const child = spawn(
    "unshare",
    [isolation, "sh", "-c", script, mount, process.execPath, program, "start", ...ports, ...flags],
    {
      env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: temporaryFolder() },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const addressOf = (what: string): string =>
    new RegExp(`^ *${what} +http://(127\\.0\\.0\\.1:\\d+)`, "m").exec(output)![1]!;
  try {
    await until(() => /^ *admin +http/m.test(output), "it listens");
    const port = Number(addressOf("proxy").split(":")[1]);
    const one = (index: number): Promise<Answer> =>
      ask(port, `/200000/${index}`, { headers: { host: "site.example" } });
    for (let index = 0; index < 60; index++) expect((await one(index)).status).toBe(200);
    await until(() => output.includes("the disk is not used any more: writing failed: ENOSPC"), "it says so");
    const last = await one(59);
    expect(last.cacheStatus).toContain("; hit;");
    expect(last.body.equals(contentOf("/200000/59"))).toBe(true);
    const metrics = await (await fetch(`http://${addressOf("admin")}/metrics`)).text();
    expect(metrics).toMatch(/^gyre_disk_up\{[^}]*\} 0$/m);
  } finally {
    child.kill("SIGTERM");
  }
  expect(await ended, output).toBe(0);
});

it("works without a disk that cannot be used, and says so", async () => {
  const file = join(temporaryFolder(), "no folder");
  writeFileSync(file, "");
  const member = await start(file);
  await until(() => /the disk is not used: .*EEXIST|ENOTDIR/.test(member.output()), "it says so");
  await get(member, "/10/a");
  expect((await get(member, "/10/a")).cacheStatus).toContain("; hit;");
  expect((await statusOf(member)).self.disk).toMatchObject({
    folder: file,
    off: expect.stringMatching(/EEXIST|ENOTDIR/),
  });
  expect(await (await fetch(`http://${member.admin}/metrics`)).text()).toMatch(/^gyre_disk_up\{[^}]*\} 0$/m);
  const told = await gyre(["status", "--admin", member.admin], temporaryFolder());
  expect(told.output).toContain(`${member.name} does not use its disk: E`);
  expect(await member.stop()).toBe(0);
});

it("members that were away learn what was purged meanwhile before they answer from their disks", async () => {
  const folder = temporaryFolder();
  const flags = ["--origin", origin.url, "--disk-size", "64MB", "--memory", "8MB"];
  const members = await startCluster(3, flags, (index) => ["--disk", join(folder, `m${index + 1}`)]);
  const [m1, m2, m3] = members as [TestMember, TestMember, TestMember];
  const all = Array.from({ length: 60 }, (_, index) => `/500/${index}`);
  for (const url of all) await get(m1, url);
  const stored = async (member: TestMember): Promise<number> => (await statusOf(member)).self.disk!.responses;
  await until(async () => (await stored(m1)) + (await stored(m2)) + (await stored(m3)) >= 60, "all are on disks");
  const before = await stored(m3);
  expect(before).toBeGreaterThan(5);
  await m3.stop();
  await until(async () => (await statusOf(m1)).members.length === 2, "it has left");
  const purged = await gyre(
    ["purge", "--prefix", `http://site.example/500/1`, "--admin", m1.admin],
    temporaryFolder(),
    { GYRE_SECRET: secret },
  );
  expect(purged.code, purged.errors).toBe(0);
  const back = await startMember([
    ...flags,
    "--name",
    "m3",
    "--coordinator",
    `http://${m1.peer}`,
    "--disk",
    join(folder, "m3"),
  ]);
  expect((await statusOf(back)).self.disk!.responses).toBe(before);
  origin.asked.length = 0;
  for (const url of all) {
    const { cacheStatus, body } = await get(back, url);
    expect(body.equals(contentOf(url))).toBe(true);
    expect(cacheStatus.includes("; hit"), `${url}: ${cacheStatus}`).toBe(!url.startsWith("/500/1"));
  }
});

it.each([
  // As `gyre stop` does it: the coordinator's host last.
  { order: [1, 2, 0], where: "elsewhere" },
  // Each where it was: the first looks for the others before they listen.
  { order: [1, 2, 0], where: "there" },
  { order: [0, 1, 2], where: "there" },
])(
  "a cluster that was stopped in order ($order) answers from its disks when it is started again $where, one after the other",
  async ({ order, where }) => {
    const folder = temporaryFolder();
    const flags = ["--origin", origin.url, "--disk-size", "64MB", "--memory", "8MB"];
    const disk = (index: number): string[] => ["--disk", join(folder, `m${index + 1}`)];
    const before = await startCluster(3, flags, disk);
    const all = Array.from({ length: 60 }, (_, index) => `/500/${index}`);
    for (const url of all) await get(before[0]!, url);
    for (const index of order) expect(await before[index]!.stop()).toBe(0);
    const place = (index: number): string[] => (where === "there" ? ["--peer", before[index]!.peer] : []);
    const first = await startMember(["--name", "m1", ...flags, ...disk(0), ...place(0)]);
    const after = [first];
    for (const index of [1, 2]) {
      const joining = ["--name", `m${index + 1}`, "--coordinator", `http://${first.peer}`];
      after.push(await startMember([...joining, ...flags, ...disk(index), ...place(index)]));
    }
    await settled(after);
    await until(async () => (await Promise.all(after.map(statusOf))).every(({ self }) => self.inTouch), "all trust");
    origin.asked.length = 0;
    for (const url of all) expect((await get(first, url)).cacheStatus, url).toContain("; hit");
    expect(origin.asked.length).toBe(0);
  },
);
