/** The embedded coordinator's host: lost, replaced at an operator's word, started anew. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { livingMembers, memberLog, type MemberRecord } from "../../src/member/records.ts";
import { ask } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
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
import { ownedBy } from "../support/owned-by.ts";

let origin: TestOrigin;
const held: (() => void)[] = [];
beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", "max-age=600");
    if (request.url!.includes("slow")) {
      response.write("half");
      held.push(() => response.end("half"));
    } else response.end(`${request.url!}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

/** A member that misses the coordinator is made its host. */
async function chosen(name: string, { admin }: TestMember): Promise<void> {
  await until(async () => (await statusOf({ admin })).session === "suspended", "the coordinator is missed");
  expect((await gyre(["coordinate", name, "--admin", admin], temporaryFolder())).code).toBe(0);
}

describe("a coordinator that is lost for good", () => {
  it("is hosted by another member at an operator's word: no restart, no failed request, no cold cache", async () => {
    // Whom a busy machine gives no processor for a moment is not gone round: the origin would be asked twice.
    const flags = ["--origin", origin.url, "--still-after", "1500ms"];
    const members = await startCluster(3, flags);
    const [first, second, third] = members as [TestMember, TestMember, TestMember];
    const paths = Array.from({ length: 30 }, (_, index) => `/kept-${index}`);
    for (const path of paths) await ask(second.port, path, { headers: { host: "h" } });
    const folder = temporaryFolder();
    const refused = await gyre(["coordinate", "m2", "--admin", second.admin], folder);
    expect([refused.code, refused.errors]).toEqual([1, expect.stringContaining("answers: stop it first")]);
    await first.kill();
    await until(async () => (await statusOf(second)).session === "suspended", "the coordinator is missed");
    const { epoch } = await statusOf(second);
    const moved = await gyre(["coordinate", "m2", "--admin", second.admin], folder);
    expect([moved.code, moved.output]).toEqual([0, expect.stringContaining(`http://${second.peer}`)]);
    const before = origin.asked.length;
    for (const path of paths) expect((await ask(third.port, path, { headers: { host: "h" } })).status).toBe(200);
    await until(async () => (await statusOf(third)).session === "connected", "m3 has found it by itself");
    await settled([second, third]);
    expect((await statusOf(third)).epoch).toBeGreaterThan(epoch);
    expect((await statusOf(third)).coordinator, "where it is, not where it was").toBe(`http://${second.peer}`);
    for (const path of paths) expect((await ask(third.port, path, { headers: { host: "h" } })).status).toBe(200);
    // What only the lost member had is asked for once more; what the others have counts as before.
    const asked = origin.asked.slice(before).map(({ url }) => url);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.length).toBeLessThan(paths.length);
    const joined = await startMember([
      "--name",
      "m4",
      "--coordinator",
      `http://${first.peer},http://${second.peer}`,
      ...flags,
    ]);
    await settled([second, third, joined]);
    const drained = await gyre(["drain", "m2", "--admin", third.admin], folder, { GYRE_SECRET: secret });
    expect([drained.code, drained.errors]).toEqual([0, expect.stringContaining("m2 hosts the coordinator")]);
  }, 60_000);
});

describe("gyre stop", () => {
  it("ends the member that hosts the coordinator by now last, so that every departure before is published", async () => {
    const environment = { GYRE_RUN_DIR: temporaryFolder() };
    const first = await startMember(["--name", "m1"], environment);
    const other = (name: string): Promise<TestMember> =>
      startMember(["--name", name, "--coordinator", `http://${first.peer}`], environment);
    const [second, third] = [await other("m2"), await other("m3")];
    await settled([first, second, third]);
    await first.kill();
    await chosen("m2", second);
    await settled([second, third]);
    const run = await gyre(["stop", "--json"], environment.GYRE_RUN_DIR);
    const ended = JSON.parse(run.output) as { name: string; result: string }[];
    expect(ended.map(({ name, result }) => `${name} ${result}`)).toEqual(["m3 drained", "m2 drained"]);
  });
});

describe("gyre cluster", () => {
  it("ends the member that hosts the coordinator by now last", async () => {
    const folder = temporaryFolder();
    const free = ["--listen", "--peer", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
    const command = spawn(process.execPath, [program, "cluster", "--members", "3", ...free], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: folder },
    });
    let output = "";
    command.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise((done) => command.once("exit", done));
    try {
      await until(() => output.includes("Ctrl-C ends all of it"), "it runs");
      const record = (name: string): MemberRecord => livingMembers(folder).find((one) => one.name === name)!;
      process.kill(record("m1").pid, "SIGKILL");
      await until(async () => (await statusOf(record("m3"))).session === "suspended", "the coordinator is missed");
      expect((await gyre(["coordinate", "m3", "--admin", record("m3").admin], folder)).code).toBe(0);
      await until(async () => (await statusOf(record("m2"))).session === "connected", "m2 has found it");
    } finally {
      command.kill("SIGINT");
    }
    await ended;
    const told = (name: string): string => {
      const lines = readFileSync(memberLog(folder, { cluster: "gyre", name }), "utf8")
        .trim()
        .split("\n");
      return lines
        .map((line) => JSON.parse(line) as { kind: string; time: string })
        .find(({ kind }) => kind === "stop")!.time;
    };
    expect(["m2", "m3"].toSorted((a, b) => (told(a) < told(b) ? -1 : 1))).toEqual(["m2", "m3"]);
  }, 60_000);
});

describe("a member that has been chosen to host the coordinator", () => {
  const again = async ({ name, listen, peer, admin }: TestMember, coordinator: string): Promise<TestMember> => {
    const own = ["--name", name, "--listen", listen, "--peer", peer, "--admin", admin];
    return startMember([...own, "--coordinator", coordinator]);
  };
  /** Loses the first of three, and has the second take its place. */
  const moved = async (): Promise<[TestMember, TestMember, TestMember]> => {
    const [first, second, third] = (await startCluster(3)) as [TestMember, TestMember, TestMember];
    await first.kill();
    await until(async () => (await statusOf(second)).session === "suspended", "the coordinator is missed");
    expect((await gyre(["coordinate", "m2", "--admin", second.admin], temporaryFolder())).code).toBe(0);
    await settled([second, third]);
    return [first, second, third];
  };

  it.each(["stop", "kill"] as const)(
    "is that again when it is started as before: those that look for it say so (after a %s)",
    async (how) => {
      const [first, second, third] = await moved();
      const { epoch } = await statusOf(third);
      await second[how]();
      const back = await again(second, `http://${first.peer}`);
      await settled([back, third]);
      expect((await statusOf(third)).epoch).toBeGreaterThan(epoch);
      expect((await statusOf(back)).leader).toBe("m2");
      const { code } = await gyre(["purge", "--all", "--yes", "--admin", third.admin], temporaryFolder());
      expect(code, "a purge is complete").toBe(0);
      // Whoever was lost finds it there, as before.
      const own = ["--listen", first.listen, "--peer", first.peer, "--admin", first.admin];
      const found = await startMember(["--name", "m1", ...own]);
      await settled([found, back, third]);
      expect((await statusOf(found)).leader).toBe("m2");
    },
    60_000,
  );

  it("joins the next one that was chosen while it was away", async () => {
    const [first, second, third] = await moved();
    await second.stop();
    await until(async () => (await statusOf(third)).session === "suspended", "the coordinator is missed");
    expect((await gyre(["coordinate", "m3", "--admin", third.admin], temporaryFolder())).code).toBe(0);
    const back = await again(second, `http://${first.peer}`);
    await settled([back, third]);
    expect((await statusOf(back)).leader).toBe("m3");
  }, 60_000);
});

describe("a member that has not joined yet", () => {
  it("does not become the coordinator's host: there is nothing to go on from", async () => {
    const folder = temporaryFolder();
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const flags = ["--listen", "--peer", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
    const late = spawn(
      process.execPath,
      [program, "start", "--name", "late", "--coordinator", nobody, ...flags, "--access-log", "off"],
      { stdio: "ignore", env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: folder } },
    );
    try {
      await until(() => livingMembers(folder).length === 1, "it listens");
      const [{ admin }] = livingMembers(folder) as [MemberRecord];
      const headers = { authorization: `Bearer ${secret}` };
      const answer = await fetch(`http://${admin}/api/coordinate`, { method: "POST", headers });
      expect(answer.ok).toBe(false);
      expect(await answer.text()).toContain("has not joined a cluster yet");
      const run = await gyre(["coordinate", "late", "--admin", admin], folder);
      expect([run.code, run.errors]).toEqual([1, expect.stringContaining("late has not joined a cluster yet")]);
    } finally {
      late.kill("SIGKILL");
    }
  });
});

describe("a coordinator that is away", () => {
  it("is looked for at everybody, some times a second, and told of once", async () => {
    const [first, , third] = await startCluster(3, ["--origin", origin.url, "--log-level", "debug"]);
    await first!.kill();
    const refusals = (): string[] => third!.output().match(/^.*"m3 does not host the coordinator".*$/gm) ?? [];
    await until(() => refusals().length >= 3, "m2 has asked m3 three times");
    expect(refusals().filter((line) => line.includes('"level":40')).length).toBe(1);
  });
});

describe("the coordinator's host, after a pause in which another was made the host", () => {
  it("gives way: it stops, and says where the coordinator is", async () => {
    const flags = ["--origin", origin.url];
    const [first, second, third] = (await startCluster(3, flags)) as [TestMember, TestMember, TestMember];
    const ended = new Promise<number | null>((resolve) => first.child.once("exit", resolve));
    process.kill(first.pid, "SIGSTOP");
    await chosen("m2", second);
    await settled([second, third]);
    process.kill(first.pid, "SIGCONT");
    expect(await ended).toBe(1);
    const told = `m2 hosts the coordinator by now, at http://${second.peer}`;
    await until(() => first.output().includes(told), "it says so");
    const again = await startMember(["--name", "m1", "--peer", first.peer, ...flags]);
    await settled([second, third, again]);
    expect((await statusOf(second)).leader).toBe("m2");
  }, 60_000);

  it("gives way also where the other one has come since: those that it has lost say where they are", async () => {
    const [first, second, third] = (await startCluster(3)) as [TestMember, TestMember, TestMember];
    const ended = new Promise<number | null>((resolve) => first.child.once("exit", resolve));
    process.kill(first.pid, "SIGSTOP");
    await chosen("m2", second);
    const newcomer = await startMember(["--name", "m4", "--coordinator", `http://${second.peer}`]);
    await settled([second, third, newcomer]);
    await second.kill();
    await chosen("m4", newcomer);
    await settled([third, newcomer]);
    process.kill(first.pid, "SIGCONT");
    expect(await ended).toBe(1);
    await until(
      () => first.output().includes(`m4 hosts the coordinator by now, at http://${newcomer.peer}`),
      "it says so",
    );
  }, 60_000);

  it("leaves in order where it has been told to leave before it finds that out", async () => {
    const flags = ["--origin", origin.url, "--drain-limit", "60s"];
    const [first, second, third] = (await startCluster(3, flags)) as [TestMember, TestMember, TestMember];
    const slow = Array.from({ length: 40 }, (_, index) => `/slow-host-${index}`);
    const path = await ownedBy([first], "m1", slow);
    const answer = ask(first.port, path, { headers: { host: "h" } });
    const begun = held.length;
    await until(() => held.length > begun, "an answer is on its way");
    const ended = new Promise<number | null>((resolve) => first.child.once("exit", resolve));
    process.kill(first.pid, "SIGSTOP");
    await chosen("m2", second);
    await settled([second, third]);
    process.kill(first.pid, "SIGTERM");
    process.kill(first.pid, "SIGCONT");
    await until(() => first.output().includes("m2 hosts the coordinator by now"), "it has found that out");
    for (const finish of held) finish();
    expect((await answer).text).toBe("halfhalf");
    expect(await ended).toBe(0);
  }, 60_000);

  it("gives way also where an operator had chosen it before the other one", async () => {
    const [first, second, third] = (await startCluster(3)) as [TestMember, TestMember, TestMember];
    await first.kill();
    await chosen("m2", second);
    await settled([second, third]);
    const ended = new Promise<number | null>((resolve) => second.child.once("exit", resolve));
    process.kill(second.pid, "SIGSTOP");
    await chosen("m3", third);
    process.kill(second.pid, "SIGCONT");
    expect(await ended).toBe(1);
    await until(() => second.output().includes(`start it again with --coordinator http://${third.peer}`), "it says so");
    expect((await statusOf(third)).session).toBe("connected");
  }, 60_000);
});

describe("the coordinator's host, started anew", () => {
  it("joins the member that has become the host meanwhile, and is no second cluster", async () => {
    const flags = ["--origin", origin.url];
    const [first, second, third] = (await startCluster(3, flags)) as [TestMember, TestMember, TestMember];
    await first.kill();
    await chosen("m2", second);
    await settled([second, third]);
    // As whoever supervises it does.
    const again = await startMember(["--name", "m1", "--peer", first.peer, ...flags]);
    await settled([second, third, again]);
    expect((await statusOf(again)).coordinator).toBe(`http://${second.peer}`);
    await until(() => again.output().includes("m2 hosts the coordinator by now"), "it says so");
    // Who still looks for it where it was is told where it is.
    const newcomer = await startMember(["--name", "m4", "--coordinator", `http://${first.peer}`, ...flags]);
    await settled([second, third, again, newcomer]);
    expect((await statusOf(newcomer)).coordinator).toBe(`http://${second.peer}`);
  }, 60_000);

  it("stays the host where one that it had lost has been started as the host of a cluster of its own", async () => {
    const [first, second, third] = (await startCluster(3)) as [TestMember, TestMember, TestMember];
    await third.kill();
    await until(async () => (await statusOf(first)).members.length === 2, "m3 is lost");
    const alone = await startMember(["--name", "m3", "--peer", third.peer]);
    await first.kill();
    const again = await startMember(["--name", "m1", "--peer", first.peer]);
    await settled([second, again]);
    expect((await statusOf(alone)).members.map(({ name }) => name)).toEqual(["m3"]);
  }, 60_000);

  it("is found by that one where what it remembered is gone, and joins it when it is started again", async () => {
    const [first, second] = (await startCluster(2)) as [TestMember, TestMember];
    await first.kill();
    await chosen("m2", second);
    await settled([second]);
    // As after a restart of its machine, or in a container of its own.
    const anew = (folder: string) => startMember(["--name", "m1", "--peer", first.peer], { GYRE_RUN_DIR: folder });
    const folder = temporaryFolder();
    const alone = await anew(folder);
    const code = await new Promise<number | null>((resolve) => alone.child.once("exit", resolve));
    expect([code, alone.output()]).toEqual([1, expect.stringContaining("m2 hosts the coordinator by now")]);
    const again = await anew(folder);
    await settled([second, again]);
    expect((await statusOf(again)).coordinator).toBe(`http://${second.peer}`);
  }, 60_000);

  it("begins alone where the members of its last view would not find it", async () => {
    const [first] = (await startCluster(2)) as [TestMember, TestMember];
    await first.kill();
    const elsewhere = await startMember(["--name", "m1"]);
    expect((await statusOf(elsewhere)).members.map(({ name }) => name)).toEqual(["m1"]);
  });

  it.each(["stop", "kill"] as const)("knows the others at once, and tells them what it changes (%s)", async (how) => {
    let version = 1;
    const changing = await startOrigin((request, response) => {
      if (request.method === "POST") version++;
      response.setHeader("cache-control", "max-age=600");
      response.end(`version ${version}`);
    });
    try {
      const flags = ["--origin", changing.url];
      const members = await startCluster(3, flags);
      const [first, second, third] = members as [TestMember, TestMember, TestMember];
      const paths = Array.from({ length: 60 }, (_, index) => `/${how}-${index}`);
      for (const path of paths) await ask(second.port, path, { headers: { host: "h" } });
      await first[how]();
      const again = await startMember(["--name", "m1", "--peer", first.peer, ...flags]);
      for (const path of paths) await ask(again.port, path, { method: "POST", headers: { host: "h" }, body: "new" });
      for (const member of [second, third, again]) {
        for (const path of paths) {
          const { text } = await ask(member.port, path, { headers: { host: "h" } });
          // Fetched after its own POST at the earliest: all of them had version 1 before.
          expect(Number(text.split(" ")[1])).toBeGreaterThan(1);
        }
      }
      expect(version).toBe(paths.length + 1);
    } finally {
      await changing.close();
    }
  });
});
