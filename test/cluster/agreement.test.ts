/** Members that do not agree, come, or go: who answers then, and what is said of it. */
import { spawn } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
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
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { ownedBy } from "../support/owned-by.ts";

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
