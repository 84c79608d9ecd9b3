/** Members that do not agree, come, or go: who answers then, and what is said of it. */
import { spawn } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { livingMembers, type MemberRecord } from "../../src/member/records.ts";
import { ask, RawClient } from "../support/client.ts";
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

let origin: TestOrigin;
const held: (() => void)[] = [];
beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", "max-age=600");
    if (request.url!.includes("slow")) {
      if (request.url!.includes("length")) response.setHeader("content-length", 8);
      response.write("half");
      held.push(() => response.end("half"));
    } else response.end(`${request.url!}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

function configFile(text: string): string {
  const file = join(temporaryFolder(), "gyre.yaml");
  writeFileSync(file, text);
  return file;
}
async function ownedBy(members: readonly TestMember[], owner: string, paths: readonly string[]): Promise<string> {
  const query = paths.map((path) => `url=${encodeURIComponent(`http://h${path}`)}`).join("&");
  const located = (await (await fetch(`http://${members[0]!.admin}/api/locate?${query}`)).json()) as {
    urls: { url: string; owner: string }[];
  };
  return located.urls.find((one) => one.owner === owner)!.url.slice("http://h".length);
}

describe("settings that differ while they are rolled out", () => {
  it("are answered for by the member that the client asked, and shown by status", async () => {
    const old = configFile(`routes:\n  - path: /old\n    origin: ${origin.url}\n`);
    const next = configFile(
      `routes:\n  - path: /old\n    origin: ${origin.url}\n  - path: /new\n    origin: ${origin.url}\n    caching: { query-ignore: [u] }\n`,
    );
    const members = await startCluster(2, [], (index) => ["--config", index === 0 ? next : old]);
    for (let index = 0; index < 20; index++) {
      const { status, text } = await ask(members[0]!.port, `/new/${index}`, { headers: { host: "h" } });
      expect([status, text]).toEqual([200, `/new/${index}`]);
      expect((await ask(members[0]!.port, `/old/${index}`, { headers: { host: "h" } })).status).toBe(200);
    }
    const { members: shown } = await statusOf(members[1]!);
    expect(new Set(shown.map(({ settings }) => settings)).size).toBe(2);
    const metrics = await (await fetch(`http://${members[0]!.admin}/metrics`)).text();
    expect(Number(/^gyre_declined_total\{[^}]*\} (\d+)/m.exec(metrics)![1])).toBeGreaterThan(0);
    const run = await gyre(["status", "--admin", members[0]!.admin], temporaryFolder());
    expect(run.output).toMatch(/settings differ: \w+ at m1, \w+ at m2/);
    writeFileSync(
      old,
      `routes:\n  - path: /old\n    origin: ${origin.url}\n  - path: /new\n    origin: ${origin.url}\n    caching: { query-ignore: [u] }\n`,
    );
    members[1]!.child.kill("SIGHUP");
    await until(
      async () => new Set((await statusOf(members[0]!)).members.map(({ settings }) => settings)).size === 1,
      "the reload is announced",
    );
  });
});

describe("a drain", () => {
  it.each(["slow", "slow-length"])(
    "waits for what other members are passing on to their clients (%s)",
    async (kind) => {
      const members = await startCluster(2, ["--origin", origin.url]);
      const path = await ownedBy(
        members,
        "m2",
        Array.from({ length: 40 }, (_, index) => `/${kind}-${index}`),
      );
      const client = await RawClient.open(members[0]!.port);
      client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      await client.until((text) => text.includes("half"), "the first half has come");
      const stopped = members[1]!.stop();
      await until(
        async () => (await statusOf(members[0]!)).members.some(({ state }) => state === "draining"),
        "m2 drains",
      );
      for (const end of held.splice(0)) end();
      const received = await client.end();
      expect(received.match(/half/g)).toHaveLength(2);
      expect(await stopped).toBe(0);
      expect(members[1]!.output()).toContain("drained and left");
    },
  );

  it("says what it cut when its limit has passed", async () => {
    const members = await startCluster(2, ["--origin", origin.url, "--drain-limit", "700ms"]);
    const path = await ownedBy(
      members,
      "m2",
      Array.from({ length: 40 }, (_, index) => `/slow-cut-${index}`),
    );
    const client = await RawClient.open(members[0]!.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    await client.until((text) => text.includes("half"), "the first half has come");
    await members[1]!.stop();
    expect(members[1]!.output()).toContain("left; 1 connections and answers cut at the limit");
    held.splice(0);
    client.close();
  });
});

describe("a member that is ready", () => {
  it("has links with all others, both ways, and hears of what they invalidate", async () => {
    const members = await startCluster(3, ["--origin", origin.url]);
    await members[2]!.kill();
    const again = await startMember([
      "--name",
      "m3",
      "--coordinator",
      `http://${members[0]!.peer}`,
      "--origin",
      origin.url,
    ]);
    // Ready means that it can reach the others, and they it: they may still be reading the last word of the handshake.
    for (const member of [again, members[0]!, members[1]!]) {
      const seen = async (): Promise<string> =>
        (await statusOf(member)).members.map(({ name, state }) => `${name} ${state}`).join();
      await until(async () => (await seen()) === "m1 active,m2 active,m3 active", `${member.name} has a link`, 200);
    }
    await settled([members[0]!, members[1]!, again]);
  });
});

describe("the admin port", () => {
  it("answers health whoever holds connections to it", async () => {
    const member = await startMember(["--origin", origin.url]);
    const [host, port] = member.admin.split(":") as [string, string];
    const silent = await Promise.all(
      Array.from(
        { length: 600 },
        () =>
          new Promise<ReturnType<typeof connect>>((done, fail) => {
            const socket = connect({ host, port: Number(port) }, () => done(socket));
            socket.on("error", fail);
          }),
      ),
    );
    for (const path of ["/healthz", "/readyz"]) expect((await fetch(`http://${member.admin}${path}`)).status).toBe(200);
    for (const socket of silent) socket.destroy();
  });
});

describe("a secret that everybody can read", () => {
  it("is refused, and taken once it is private", async () => {
    const file = join(temporaryFolder(), "secret");
    writeFileSync(file, secret);
    chmodSync(file, 0o644);
    const run = await gyre(["start", "--secret-file", file], temporaryFolder(), {
      GYRE_SECRET: undefined as unknown as string,
    });
    expect([run.code, run.errors]).toEqual([2, expect.stringContaining(`chmod 600 ${file}`)]);
    chmodSync(file, 0o600);
    const member = await startMember(["--secret-file", file, "--origin", origin.url]);
    expect((await statusOf(member)).self.state).toBe("ready");
  });
});

describe("few file descriptors", () => {
  it("are said at start, and bound the clients so that those who are served can be answered", async () => {
    const flags = [
      "start",
      "--listen",
      "127.0.0.1:0",
      "--peer",
      "127.0.0.1:0",
      "--admin",
      "127.0.0.1:0",
      "--origin",
      origin.url,
    ];
    const child = spawn("sh", ["-c", 'ulimit -n 80; exec "$0" "$@"', process.execPath, program, ...flags], {
      env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: temporaryFolder() },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    try {
      await until(() => output.includes("with 80 file descriptors (ulimit -n) at most 16 clients"), "it is said");
      await until(() => /proxy {2}http:\/\/127\.0\.0\.1:\d+/.test(output), "it is ready");
      const port = Number(/proxy {2}http:\/\/127\.0\.0\.1:(\d+)/.exec(output)![1]);
      const clients = await Promise.all(Array.from({ length: 40 }, () => RawClient.open(port)));
      const answers = clients.map(async (client, index) => {
        client.send(`GET /few${index} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
        return (await client.end()).slice(9, 12);
      });
      const statuses = await Promise.all(answers);
      expect(statuses.filter((status) => status === "200")).toHaveLength(16);
      expect(statuses.filter((status) => status !== "200").every((status) => status === "")).toBe(true);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

describe("a coordinator that is lost for good", () => {
  it("is hosted by another member at an operator's word: no restart, no failed request, no cold cache", async () => {
    const members = await startCluster(3, ["--origin", origin.url]);
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
      "--origin",
      origin.url,
    ]);
    await settled([second, third, joined]);
    const drained = await gyre(["drain", "m2", "--admin", third.admin], folder, { GYRE_SECRET: secret });
    expect([drained.code, drained.errors]).toEqual([0, expect.stringContaining("m2 hosts the coordinator")]);
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
    await until(async () => (await statusOf(second)).session === "suspended", "the coordinator is missed");
    expect((await gyre(["coordinate", "m2", "--admin", second.admin], temporaryFolder())).code).toBe(0);
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
    const chosen = async (name: string, { admin }: TestMember): Promise<void> => {
      await until(async () => (await statusOf({ admin })).session === "suspended", "the coordinator is missed");
      expect((await gyre(["coordinate", name, "--admin", admin], temporaryFolder())).code).toBe(0);
    };
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
    await until(async () => (await statusOf(second)).session === "suspended", "the coordinator is missed");
    expect((await gyre(["coordinate", "m2", "--admin", second.admin], temporaryFolder())).code).toBe(0);
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
    const chosen = async (name: string, { admin }: TestMember): Promise<void> => {
      await until(async () => (await statusOf({ admin })).session === "suspended", "the coordinator is missed");
      expect((await gyre(["coordinate", name, "--admin", admin], temporaryFolder())).code).toBe(0);
    };
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
    await until(async () => (await statusOf(second)).session === "suspended", "the coordinator is missed");
    expect((await gyre(["coordinate", "m2", "--admin", second.admin], temporaryFolder())).code).toBe(0);
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
    await until(async () => (await statusOf(second)).session === "suspended", "the coordinator is missed");
    expect((await gyre(["coordinate", "m2", "--admin", second.admin], temporaryFolder())).code).toBe(0);
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
