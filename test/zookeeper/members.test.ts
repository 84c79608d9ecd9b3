/**
 * Real members, a real ensemble, real clients: what a cluster kept together by ZooKeeper does when any part of it goes.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { request } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { paths } from "../../src/coordination/zookeeper-nodes.ts";
import { ZooKeeperClient } from "../../src/zookeeper/client.ts";
import { hasCode } from "../../src/zookeeper/error.ts";
import { aclAll, aclRead, openAcl } from "../../src/zookeeper/protocol.ts";
import { through } from "../support/client.ts";
import { gyre as run, type Run } from "../support/command.ts";
import {
  endAll,
  root,
  settled,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { openLoop } from "../support/open-loop.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { needsZooKeeper, startZooKeeper, type EnsembleUnderTest } from "../support/zookeeper.ts";

let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((asked, response) => {
    response.setHeader("cache-control", asked.url!.startsWith("/short") ? "max-age=1" : "max-age=300");
    response.setHeader("etag", '"same"');
    if (asked.url!.startsWith("/large")) response.end(Buffer.alloc(24 * 2 ** 20, "large "));
    else response.end(`content of ${asked.url}`);
  });
});
afterAll(() => origin.close());
afterEach(endAll);

const folder = temporaryFolder();
const gyre = (parameters: readonly string[]): Promise<Run> => run(parameters, folder);

let serial = 0;
const place = (zk: EnsembleUnderTest, sessionMs = 2000): string =>
  `zookeeper://${zk.addresses}/cluster-${serial++}?session=${sessionMs}ms`;

async function startAll(coordinator: string, count: number, flags: readonly string[] = []): Promise<TestMember[]> {
  const members: TestMember[] = [];
  for (let index = 0; index < count; index++)
    members.push(await startMember(["--name", `m${index + 1}`, "--coordinator", coordinator, ...flags]));
  await settled(members);
  return members;
}

/** Removes a node and all below it. Ephemeral nodes of living members too. */
async function removeAll(client: ZooKeeperClient, path: string): Promise<void> {
  const { children } = await client.children(path);
  for (const child of children) await removeAll(client, path === "/" ? `/${child}` : `${path}/${child}`);
  await client.delete(path, -1).catch((error: unknown) => {
    // Members put back what they miss while it is being removed.
    if (!hasCode(error, "NO_NODE", "NOT_EMPTY")) throw error;
  });
}

/** As ZooKeeper keeps it in access lists. */
function digestOf(credentials: string): string {
  return `${credentials.split(":")[0]}:${createHash("sha1").update(credentials).digest("base64")}`;
}

async function leaderOf(member: TestMember): Promise<string | null> {
  return (await statusOf(member)).leader;
}

describe.skipIf(!needsZooKeeper())("members and one server", () => {
  let zk: EnsembleUnderTest;
  beforeAll(async () => {
    zk = await startZooKeeper({ tickMs: 300 });
  });
  afterAll(() => zk.stop());

  it("share one cache, have one leader, and numbers that stay with their names", async () => {
    const coordinator = place(zk);
    const members = await startAll(coordinator, 3);
    const url = `${origin.url}/shared${serial}`;
    for (const { port } of members) {
      expect((await through(port, url)).status).toBe(200);
    }
    expect(origin.count(`/shared${serial}`)).toBe(1);
    const status = JSON.parse((await gyre(["status", "--coordinator", coordinator, "--json"])).output) as {
      leader: string;
      coordinator: string;
      members: { name: string; id: number }[];
    };
    expect(status.leader).toBe("m1");
    expect(status.coordinator).toBe(coordinator);
    expect(new Set(status.members.map(({ id }) => id))).toEqual(new Set([1, 2, 3]));
  });

  it("a session that the server has ended: the member says so, joins again, and keeps its cache and its number", async () => {
    const coordinator = place(zk);
    const members = await startAll(coordinator, 2);
    const spy = new ZooKeeperClient({
      servers: [{ host: "127.0.0.1", port: zk.servers[0]!.port }],
      sessionMs: 10_000,
      chroot: `/cluster-${serial - 1}`,
    });
    const [, second] = members as [TestMember, TestMember];
    const stored = (await statusOf(second)).self.store.responses;
    process.kill(second.pid, "SIGSTOP");
    await until(async () => (await spy.exists(`${paths.members}/gyre/m2`)) === null, "its session has expired");
    process.kill(second.pid, "SIGCONT");
    await until(() => second.output().includes("session expired"), "it says so");
    // Both may still show the view from before: the leader has not yet heard of it.
    await until(async () => (await spy.exists(`${paths.members}/gyre/m2`)) !== null, "it has joined again");
    await settled(members);
    expect((await statusOf(second)).self.store.responses).toBe(stored);
    expect((await statusOf(second)).session).toBe("connected");
    expect((await spy.get(`${paths.members}/gyre/m2`)).data.toString()).toContain('"id":2');
    await spy.close();
  });

  it("digest credentials come from a file; without them others may read and not write", async () => {
    const file = join(temporaryFolder(), "credentials");
    writeFileSync(file, "gyre:a password\n".replace(" ", "-"));
    const coordinator = place(zk);
    const [member] = await startAll(coordinator, 1, ["--coordinator-credentials", file]);
    const stranger = new ZooKeeperClient({
      servers: [{ host: "127.0.0.1", port: zk.servers[0]!.port }],
      sessionMs: 5000,
      chroot: `/cluster-${serial - 1}`,
    });
    expect((await stranger.get(paths.leader)).data.toString()).toContain('"name":"m1"');
    await expect(stranger.set(paths.view, "mad", -1)).rejects.toMatchObject({ code: "NO_AUTH" });
    await stranger.close();
    const refused = await startMember(["--name", "m9", "--coordinator", coordinator]).catch(
      (error: Error) => error.message,
    );
    expect(refused).toContain("--coordinator-credentials");
    expect((await statusOf(member!)).members).toHaveLength(1);
  });

  it("a name that is taken is waited for, in case its bearer has died just now: both is said", async () => {
    const coordinator = place(zk);
    const [one] = (await startAll(coordinator, 1)) as [TestMember];
    const refused = await startMember(["--name", "m1", "--coordinator", coordinator]).then(
      () => "",
      (error: Error) => error.message,
    );
    const whose = `the name m1 belongs to another member (pid ${one.pid} at ${one.peer})`;
    expect(refused).toMatch(new RegExp(`${whose.replace(/[()]/g, "\\$&")}: waiting 4 s, it may have died just now`));
    expect(refused.lastIndexOf(whose)).toBeGreaterThan(refused.indexOf(whose));
  }, 30_000);

  it("whatever people do to the nodes by hand, it heals", async () => {
    const coordinator = place(zk);
    const chroot = `/cluster-${serial - 1}`;
    const [one, two] = (await startAll(coordinator, 2)) as [TestMember, TestMember];
    const hand = new ZooKeeperClient({
      servers: [{ host: "127.0.0.1", port: zk.servers[0]!.port }],
      sessionMs: 10_000,
      chroot,
    });
    const viewIn = async (): Promise<{ epoch: number; members: { name: string }[] }> =>
      JSON.parse((await hand.get(paths.view)).data.toString()) as never;
    const whole = (names: readonly string[], above: number): Promise<void> =>
      until(async () => {
        const view = await viewIn();
        return view.epoch > above && view.members.map(({ name }) => name).join() === names.join();
      }, `the view has ${names.join()} above epoch ${above}`);

    await hand.delete(`${paths.members}/gyre/m2`, -1);
    await until(async () => (await hand.exists(`${paths.members}/gyre/m2`)) !== null, "m2 has announced itself again");
    await whole(["m1", "m2"], 0);

    let { epoch } = await viewIn();
    await hand.delete(paths.view, -1);
    await whole(["m1", "m2"], epoch);

    ({ epoch } = await viewIn());
    await hand.set(paths.view, "not a view", -1);
    await whole(["m1", "m2"], epoch);

    // Replaced by an older copy in one go: its version begins anew.
    const { data } = await hand.get(paths.view);
    ({ epoch } = await viewIn());
    const older = Buffer.from(data.toString().replace(`"epoch":${epoch}`, '"epoch":1'));
    await hand.multi([
      { kind: "delete", path: paths.view, version: -1 },
      { kind: "create", path: paths.view, data: older, mode: "persistent", acl: openAcl },
    ]);
    const three = await startMember(["--name", "m3", "--coordinator", coordinator]);
    await whole(["m1", "m2", "m3"], epoch);

    ({ epoch } = await viewIn());
    await removeAll(hand, "/");
    await whole(["m1", "m2", "m3"], epoch);
    await settled([one, two, three]);
    expect((await hand.get(paths.leader)).data.length).toBeGreaterThan(0);
    await hand.close();
  }, 60_000);

  it("a place that an administrator has prepared is used, also below a root that members may not write to", async () => {
    const admin = new ZooKeeperClient({
      servers: [{ host: "127.0.0.1", port: zk.servers[0]!.port }],
      sessionMs: 10_000,
      auth: [
        { scheme: "digest", credentials: "admin:strong" },
        { scheme: "digest", credentials: "gyre:secret" },
      ],
    });
    const own = [{ permissions: aclAll, scheme: "digest", id: digestOf("gyre:secret") }];
    await admin.ensure("/locked");
    await admin.create("/locked/here", { acl: own });
    await admin.setAcl("/locked", [{ permissions: aclRead, scheme: "world", id: "anyone" }], -1);
    await admin.close();
    const file = join(temporaryFolder(), "credentials");
    writeFileSync(file, "gyre:secret\n");
    const member = await startMember([
      "--name",
      "m1",
      "--coordinator",
      `zookeeper://${zk.addresses}/locked/here`,
      "--coordinator-credentials",
      file,
    ]);
    expect((await statusOf(member)).leader).toBe("m1");
    const refused = await startMember([
      "--name",
      "m2",
      "--coordinator",
      `zookeeper://${zk.addresses}/locked/elsewhere`,
    ]).catch((error: Error) => error.message);
    expect(refused).toContain("does not let this member write");
    expect(refused).not.toContain("    at ");
  });

  it("the original's client, written with Kazoo, reads leader and members and follows a fail-over", async () => {
    const members = await startAll(place(zk), 3);
    const child = spawn(
      "/usr/bin/python3", // Debian's own, which knows Debian's packages
      [join(root, "test/support/kazoo-client.py"), zk.addresses, `/cluster-${serial - 1}`, "gyre"],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const told: Record<string, unknown>[] = [];
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    createInterface({ input: child.stdout }).on("line", (line) =>
      told.push(JSON.parse(line) as Record<string, unknown>),
    );
    const ended = new Promise<number | null>((done) => child.once("exit", done));
    await until(() => told.length >= 2, "it knows members and leader");
    expect(told[0]).toEqual({
      members: members.map(({ name, port }) => ({ id: name, address: "127.0.0.1", port })),
    });
    expect(told[1]).toMatchObject({ leader: "m1", port: members[0]!.port, epoch: 1 });
    await members[0]!.kill();
    expect(await ended, errors).toBe(0);
    expect(told[2]).toMatchObject({ epoch: 2 });
    expect(["m2", "m3"]).toContain(told[2]!["leader"]);
    expect(told[3]).toEqual({ mirror: told[2]!["leader"] });
  });

  it("gyre fetch finds the leader by itself, and goes on through the next when it dies in the middle of an answer", async () => {
    const coordinator = place(zk);
    const members = await startAll(coordinator, 3);
    const url = `${origin.url}/large-${serial}`;
    const child = spawn(process.execPath, [join(root, "bin/gyre"), "fetch", url, "-v", "--coordinator", coordinator], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [bytes, said] = [0, ""];
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise<number | null>((done) => child.once("exit", done));
    await new Promise<void>((begun) =>
      child.stdout.on("data", (chunk: Buffer) => {
        if (bytes === 0) {
          child.stdout.pause();
          begun();
        }
        bytes += chunk.length;
      }),
    );
    await members[0]!.kill();
    child.stdout.resume();
    expect(await ended, said).toBe(0);
    expect(said).toContain("through m1");
    expect(said).toMatch(/m1 broke off its answer after \d+ bytes/);
    expect(bytes).toBe(24 * 2 ** 20);
    const plain = await gyre(["fetch", `${origin.url}/after`, "-v", "--coordinator", coordinator]);
    expect(plain.output).toBe("content of /after");
    expect(plain.errors).toMatch(/through m[23]/);
  });

  it("a program with gyre/client asks owners directly, and does not notice that one dies", async () => {
    const coordinator = place(zk);
    const members = await startAll(coordinator, 3);
    const client = await connect({ coordinator });
    try {
      const urls = Array.from({ length: 30 }, (_, index) => `${origin.url}/library-${serial}-${index}`);
      for (const url of urls) {
        const response = await client.fetch(url);
        expect(response.status).toBe(200);
        expect(await response.text()).toBe(`content of ${new URL(url).pathname}`);
        // Straight to the owner: one member in Cache-Status, not an entry and an owner.
        expect(response.headers.get("cache-status")).not.toContain("owner-");
      }
      expect(client.leader).toBe("m1");
      await members[2]!.kill();
      const answers = await Promise.all(urls.map((url) => client.fetch(url)));
      expect(answers.every(({ status }) => status === 200)).toBe(true);
      await until(() => client.view?.members.length === 2, "the client has the new view");
      await members[0]!.kill();
      await until(() => client.leader === "m2", "the client knows the new leader");
      const { statusCode, body } = await request(urls[0]!, { dispatcher: client.dispatcher });
      expect(statusCode).toBe(200);
      expect(await body.text()).toContain("library");
    } finally {
      await client.close();
    }
  });

  it("gyre cluster starts five of them with one command, and gyre stop ends them", async () => {
    const coordinator = place(zk);
    const free = ["--listen", "127.0.0.1:0", "--peer", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const started = await gyre(["cluster", "--members", "5", "--detach", "--coordinator", coordinator, ...free]);
    expect(started.code, started.errors).toBe(0);
    const status = JSON.parse((await gyre(["status", "--json"])).output) as {
      leader: string;
      members: { name: string }[];
    };
    expect(status.members.map(({ name }) => name)).toEqual(["m1", "m2", "m3", "m4", "m5"]);
    expect(status.leader).toBe("m1");
    const stopped = await gyre(["stop", "--json"]);
    expect((JSON.parse(stopped.output) as { result: string }[]).map(({ result }) => result)).toEqual(
      Array.from({ length: 5 }, () => "drained"),
    );
  });
});

describe.skipIf(!needsZooKeeper())("five members and an ensemble of three, under steady load", () => {
  it("lose no request: leader, follower and server killed, leader frozen, the whole ensemble gone for a minute", async () => {
    const zk = await startZooKeeper({ servers: 3, tickMs: 300 });
    const sessionMs = 3000;
    const figures: string[] = [];
    try {
      const coordinator = place(zk, sessionMs);
      const flags = (name: string): string[] => ["--name", name, "--coordinator", coordinator];
      // Those by which clients enter stay: they join last, so that they stand at the end of the line.
      const [one, two, three, entry, other] = (await startAll(coordinator, 5)) as [
        TestMember,
        TestMember,
        TestMember,
        TestMember,
        TestMember,
      ];
      const load = openLoop(100, (index) => ({
        port: (index % 2 === 0 ? entry : other).port,
        url: `${origin.url}${index % 5 === 0 ? `/cold${serial}-${index}` : index % 7 === 0 ? `/short${index % 20}` : `/warm${index % 50}`}`,
      }));
      const healed = async (what: string, members: readonly TestMember[], from: number): Promise<void> => {
        await until(
          async () => {
            const views = await Promise.all(members.map((member) => statusOf(member)));
            const names = members
              .map(({ name }) => name)
              .sort()
              .join();
            return views.every(
              (view) =>
                view.epoch === views[0]!.epoch &&
                names.split(",").includes(view.leader ?? "") &&
                view.members
                  .map(({ name }) => name)
                  .sort()
                  .join() === names,
            );
          },
          `the view has healed after ${what}`,
          40_000,
        );
        figures.push(`${what}: ${Math.round(performance.now() - from)} ms`);
      };
      expect(await leaderOf(entry)).toBe("m1");

      let from = performance.now();
      await one.kill();
      await healed("kill -9 of the leader", [two, three, entry, other], from);

      from = performance.now();
      await three.kill();
      await healed("kill -9 of a follower", [two, entry, other], from);

      from = performance.now();
      await zk.servers[0]!.kill();
      await until(
        async () =>
          (await Promise.all([two, entry, other].map(statusOf))).every(({ session }) => session === "connected"),
        "every session is connected",
      );
      await healed("kill -9 of a ZooKeeper server", [two, entry, other], from);
      zk.servers[0]!.start();
      await zk.servers[0]!.serving();

      from = performance.now();
      const frozen = two;
      process.kill(frozen.pid, "SIGSTOP");
      await healed("SIGSTOP of the leader past its session", [entry, other], from);
      from = performance.now();
      process.kill(frozen.pid, "SIGCONT");
      await healed("its return", [frozen, entry, other], from);

      for (const server of zk.servers) await server.kill();
      await until(async () => (await statusOf(entry)).session !== "connected", "the ensemble's loss is seen");
      const shown = await gyre(["status", "--admin", entry.admin, "--json"]);
      expect((JSON.parse(shown.output) as { session: string }).session).not.toBe("connected");
      await until(
        async () =>
          /\(nobody leads now\).*session (?!connected)/.test((await gyre(["status", "--admin", entry.admin])).output),
        "the status says that nobody leads",
      );
      const before = (await statusOf(entry)).epoch;
      const lostAt = performance.now();
      await until(() => performance.now() - lostAt > 60_000, "a minute has passed", 70_000);
      expect((await statusOf(entry)).epoch).toBe(before);
      from = performance.now();
      for (const server of zk.servers) server.start();
      for (const server of zk.servers) await server.serving();
      const served = performance.now() - from;
      await until(
        async () =>
          (await Promise.all([frozen, entry, other].map(statusOf))).every(({ session }) => session === "connected"),
        "every session is connected again",
        40_000,
      );
      await healed(`the ensemble's return (itself up in ${Math.round(served)} ms)`, [frozen, entry, other], from);
      const late = await startMember(flags("m6"));
      await settled([late, frozen, entry, other]);

      const { sent, failures, latencies } = await load.stop();
      expect(failures).toEqual([]);
      const sorted = [...latencies].sort((a, b) => a - b);
      console.log(
        `members: ${sent} requests, 0 failed, p50 ${sorted[Math.floor(sent / 2)]!.toFixed(1)} ms, p99.9 ${sorted[Math.floor(sent * 0.999)]!.toFixed(0)} ms, longest ${sorted.at(-1)!.toFixed(0)} ms; T = ${sessionMs} ms; ${figures.join("; ")}`,
      );
    } finally {
      await endAll();
      await zk.stop();
    }
  }, 300_000);
});
