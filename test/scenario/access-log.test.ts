/** The access log: what its lines say, and that nobody ever waits for whoever takes them. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { createSocket as createDatagrams } from "node:dgram";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient, rawExchange, through } from "../support/client.ts";
import {
  endAll,
  program,
  secret,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { selfSigned } from "../support/own-authority.ts";

let origin: TestOrigin;
const folder = temporaryFolder();
let files = 0;
const newFile = (): string => join(folder, `access-${++files}.log`);

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", "max-age=600");
    if (request.url === "/tagged") response.setHeader("cache-tag", "one, two");
    response.end(`content of ${request.url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const linesOf = (file: string): string[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");

async function logging(file: string, ...flags: string[]): Promise<TestMember> {
  return startMember(["--origin", origin.url, "--access-log", "all", "--access-log-file", file, ...flags]);
}

async function metricOf({ admin }: TestMember, name: string): Promise<number> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, "m").exec(text)?.[1]);
}

/** So many requests on one connection, one behind the other: all are hits but the first. */
async function hits(member: TestMember, count: number): Promise<void> {
  const client = await RawClient.open(member.port);
  for (let sent = 0; sent < count; sent += 100) {
    const some = Math.min(100, count - sent);
    client.send("GET /hit HTTP/1.1\r\nHost: h\r\n\r\n".repeat(some));
    await client.until((text) => text.split("content of /hit").length > sent + some, `${sent + some} answers`);
  }
  client.close();
}

describe("lines", () => {
  it("are one for each request, whichever way it took, in each format", async () => {
    const asks = async (format: string): Promise<string[]> => {
      const file = newFile();
      const member = await logging(file, "--access-log-format", format);
      const headers = { host: "site.test", "user-agent": 'odd "agent" \\', referer: "http://from.test/" };
      for (let turn = 0; turn < 3; turn++) await ask(member.port, '/a"b', { headers });
      await ask(member.port, "/a", { method: "HEAD", headers });
      await ask(member.port, "/", { method: "OPTIONS", headers: { host: "site.test", "max-forwards": "0" } });
      await until(() => linesOf(file).length === 5, "five lines");
      await member.stop();
      return linesOf(file);
    };
    const json = (await asks("json")).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(json[0]).toMatchObject({
      kind: "access",
      member: "m1",
      client: "127.0.0.1",
      method: "GET",
      uri: 'http://site.test/a"b',
      status: 200,
      outcome: "uri-miss",
      owner: "m1",
      hop: 0,
      bytes: 15,
      complete: true,
    });
    expect(json.map(({ outcome, status }) => `${String(outcome)} ${String(status)}`)).toEqual([
      "uri-miss 200",
      "hit 200",
      "hit 200",
      "uri-miss 200",
      "none 204",
    ]);
    expect(Object.keys(json[1]!), "the fast way tells what the whole one does").toEqual(Object.keys(json[2]!));
    const combined = await asks("combined");
    expect(combined[1]).toMatch(
      /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/a\\"b HTTP\/1\.1" 200 15 "http:\/\/from\.test\/" "odd \\"agent\\" \\\\"$/,
    );
    const common = await asks("common");
    expect(common[3]).toMatch(/ "HEAD \/a HTTP\/1\.1" 200 0$/);
    const squid = await asks("squid");
    expect(squid.map((line) => line.split(/\s+/)[3])).toEqual([
      "TCP_MISS/200",
      "TCP_HIT/200",
      "TCP_HIT/200",
      "TCP_MISS/200",
      "NONE/204",
    ]);
    expect(squid.map((line) => line.split(/\s+/)[8])).toEqual([
      "HIER_DIRECT/127.0.0.1",
      "HIER_NONE/-",
      "HIER_NONE/-",
      "HIER_DIRECT/127.0.0.1",
      "HIER_NONE/-",
    ]);
  }, 60_000);

  it.each([1, 3])("say what a client has spoken, of misses and hits (threads: %i)", async (threads) => {
    const told = async (...format: string[]): Promise<string[]> => {
      const file = newFile();
      const listen = ["--listen", "127.0.0.1:0,http2", "--threads", String(threads)];
      const member = await logging(file, ...listen, ...format);
      const session = connectHttp2(`http://127.0.0.1:${member.port}`);
      for (let turn = 0; turn < 2; turn++) {
        for (const version of ["1.0", "1.1"])
          await rawExchange(member.port, `GET /${version} HTTP/${version}\r\nHost: h\r\nConnection: close\r\n\r\n`);
        const stream = session.request({ ":path": "/2", ":authority": "h" });
        await once(stream.resume(), "end");
      }
      session.close();
      await until(() => linesOf(file).length === 6, "six lines");
      await member.stop();
      return linesOf(file);
    };
    const spoken = ["/1.0 HTTP/1.0", "/1.1 HTTP/1.1", "/2 HTTP/2.0"];
    const common = (await told("--access-log-format", "common")).map((line) => /"GET (.*)"/.exec(line)![1]!);
    expect([...common].sort()).toEqual(spoken.flatMap((what) => [what, what]));
    const chosen = await told("--access-log-fields", "target,protocol,hit");
    expect(chosen.map((line) => Object.values(JSON.parse(line) as object).join(" ")).sort()).toEqual(
      spoken.flatMap((what) => [`${what} false`, `${what} true`]),
    );
  });

  it("have a status of three digits for who left before an answer, too", async () => {
    let asked = 0;
    const late = await startOrigin(() => void asked++);
    for (const [format, line] of [
      ["combined", / "GET \/late HTTP\/1\.1" 499 0 "-" "-"$/],
      ["squid", / TCP_MISS_ABORTED\/000 0 GET http:\/\/h\/late - HIER_DIRECT\/127\.0\.0\.1 -$/],
    ] as const) {
      const file = newFile();
      const where = ["--access-log-file", file, "--access-log-format", format];
      const member = await startMember(["--origin", late.url, "--access-log", "all", ...where]);
      const client = await RawClient.open(member.port);
      asked = 0;
      client.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
      await until(() => asked === 1, "the origin is asked");
      client.close();
      await until(() => linesOf(file).length === 1, "a line");
      expect(linesOf(file)[0]).toMatch(line);
    }
    await late.close();
  });

  it.each([1, 3])(
    "say the name asked for in TLS, the tier and the tags, where they are to (threads: %i)",
    async (threads) => {
      const { cert, key } = selfSigned("site.test");
      const disk = temporaryFolder();
      const flags = ["--access-log-fields", "uri,server-name,tier,tags,hit", "--tls-cert", cert, "--tls-key", key];
      const lines = async (turns: number): Promise<unknown[]> => {
        const file = newFile();
        const member = await logging(file, ...flags, "--threads", String(threads), "--disk", disk);
        const address = `https://site.test:${member.port}`;
        for (let turn = 0; turn < turns; turn++)
          await promisify(execFile)("curl", [
            "--max-time",
            "10",
            "-sk",
            "--http1.1",
            "--resolve",
            `site.test:${member.port}:127.0.0.1`,
            `${address}/tagged`,
            "-H",
            "host: site.test",
          ]);
        await until(() => linesOf(file).length === turns, "all lines");
        await member.stop();
        return linesOf(file).map((line) => JSON.parse(line) as unknown);
      };
      const line = { uri: "https://site.test/tagged", "server-name": "site.test", tags: ["one", "two"] };
      expect(await lines(3)).toEqual([
        { ...line, tier: null, hit: false },
        { ...line, tier: "memory", hit: true },
        { ...line, tier: "memory", hit: true },
      ]);
      expect(await lines(2), "after a restart").toEqual([
        { ...line, tier: "disk", hit: true },
        { ...line, tier: "memory", hit: true },
      ]);
    },
    60_000,
  );

  it("have the fields that were chosen, and no others, whichever way a request took", async () => {
    const file = newFile();
    const names = ["time", "route", "user-agent", "request:X-Odd", "first-byte-ms", "hit", "status", "request-id"];
    const member = await logging(file, "--access-log-fields", names.join(","));
    const headers = { host: "site.test", "user-agent": 'odd "agent"', "x-odd": "yes" };
    for (let turn = 0; turn < 3; turn++) await ask(member.port, "/chosen", { headers });
    await until(() => linesOf(file).length === 3, "three lines");
    const lines = linesOf(file).map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const [index, line] of lines.entries()) {
      expect(Object.keys(line)).toEqual(names);
      expect(line).toMatchObject({
        route: "*/",
        "user-agent": 'odd "agent"',
        "request:X-Odd": "yes",
        hit: index > 0,
      });
      expect(line["first-byte-ms"]).toBeGreaterThan(0);
    }
    expect(lines[0]!["request-id"]).toMatch(/^[0-9a-f-]{36}$/);
    await expect(startMember(["--access-log-fields", "time,colour"])).rejects.toThrow(/one of time, member, client/);
  });

  it("are one at the member that the client spoke to, with the owner's part in it", async () => {
    const logs = [newFile(), newFile()];
    const members = await startCluster(2, ["--origin", origin.url, "--access-log", "all"], (index) => [
      "--access-log-file",
      logs[index]!,
    ]);
    for (let index = 0; index < 40; index++)
      for (let turn = 0; turn < 2; turn++) await ask(members[0]!.port, `/p${index}`, { headers: { host: "s.test" } });
    await until(() => linesOf(logs[0]!).length === 80, "80 lines at the first");
    const owned = linesOf(logs[0]!)
      .map((line) => JSON.parse(line) as { owned?: string })
      .filter(({ owned: part }) => part !== undefined);
    expect(owned.length).toBeGreaterThan(10);
    expect(owned.some(({ owned: part }) => part!.startsWith("m2; hit"))).toBe(true);
    expect(owned.some(({ owned: part }) => part!.startsWith("m2; fwd=uri-miss"))).toBe(true);
    expect(linesOf(logs[1]!)).toEqual([]);
  }, 60_000);
});

describe("whoever takes the lines", () => {
  it("may rename the file: every request is in exactly one of them (SIGUSR1)", async () => {
    const file = newFile();
    const member = await logging(file);
    await hits(member, 100);
    let rotating = true;
    const rotated: string[] = [];
    const rotation = (async () => {
      while (rotating) {
        const old = `${file}.${rotated.length}`;
        renameSync(file, old);
        rotated.push(old);
        member.child.kill("SIGUSR1");
        await until(() => existsSync(file), "the file is there again");
      }
    })();
    await hits(member, 20_000);
    rotating = false;
    await rotation;
    await member.stop();
    const all = [file, ...rotated].flatMap(linesOf);
    expect(rotated.length).toBeGreaterThan(3);
    expect(all.length).toBe(20_100);
    for (const line of all) expect(() => JSON.parse(line) as unknown).not.toThrow();
  }, 60_000);

  it("may have a full disk: nobody is kept waiting, the loss is counted, and told", async () => {
    const member = await logging("/dev/full", "--log-format", "json");
    await hits(member, 5000);
    expect((await fetch(`http://${member.admin}/readyz`)).status).toBe(200);
    await until(async () => (await metricOf(member, "gyre_log_lines_dropped_total")) >= 5000, "the loss is counted");
    await until(() => member.output().includes("lines of the access log were lost: ENOSPC"), "the loss is told");
    expect(await member.stop()).toBe(0);
  }, 60_000);

  it("may stall: what waits is bounded, and goes on when it is taken again", async () => {
    const fifo = newFile();
    execFileSync("mkfifo", [fifo]);
    // Open for both, so that the member's end opens, and nobody reads.
    const held = openSync(fifo, "r+");
    const member = await logging(fifo, "--log-format", "json");
    const before = (await statusOf(member)).self.residentBytes;
    // Far more than a pipe and the bound take.
    for (let round = 0; round < 3; round++) await hits(member, 10_000);
    expect((await ask(member.port, "/hit", { headers: { host: "h" } })).status).toBe(200);
    await until(async () => (await metricOf(member, "gyre_log_lines_dropped_total")) > 0, "lines are dropped");
    expect((await statusOf(member)).self.residentBytes - before).toBeLessThan(96 * 2 ** 20);
    const reader = spawn("cat", [fifo], { stdio: ["ignore", "pipe", "ignore"] });
    let taken = 0;
    reader.stdout.on("data", (chunk: Buffer) => (taken += chunk.length));
    await until(() => taken > 1_000_000, "what waited is taken");
    await until(() => member.output().includes("lines of the access log were lost: nobody takes them"), "it is told");
    expect(await member.stop()).toBe(0);
    reader.kill();
    closeSync(held);
  }, 60_000);

  it("may close the pipe of all output: the member goes on, and ends in order", async () => {
    const flags = [
      "--listen",
      "127.0.0.1:0",
      "--peer",
      "127.0.0.1:0",
      "--admin",
      "127.0.0.1:0",
      "--log-format",
      "json",
    ];
    const child = spawn(process.execPath, [program, "start", ...flags, "--origin", origin.url], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: join(folder, "closed") },
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    await until(() => output.includes('"kind":"start"'), "it is ready");
    const { listen } = JSON.parse(output.split("\n").find((line) => line.includes('"kind":"start"'))!) as {
      listen: string;
    };
    child.stdout.destroy();
    const port = Number(listen.split(":").at(-1));
    for (let turn = 0; turn < 300; turn++) expect((await ask(port, "/x", { headers: { host: "h" } })).status).toBe(200);
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  }, 60_000);

  it("is told of a file that cannot be opened before the member listens", async () => {
    await expect(logging(join(folder, "nowhere", "a.log"))).rejects.toThrow(
      /access-log-file .* cannot be opened: ENOENT/,
    );
  });
});

it("SIGUSR1 opens no debugger, and SIGUSR2 ends nothing", async () => {
  const member = await startMember(["--log-format", "json"]);
  member.child.kill("SIGUSR1");
  member.child.kill("SIGUSR2");
  await until(() => member.output().includes("SIGUSR2 means nothing here"), "the signals have been heard");
  expect(member.output()).not.toContain("Debugger listening");
  expect((await through(member.port, `${origin.url}/after`)).status).toBe(200);
  expect(readdirSync(folder).length).toBeGreaterThan(0);
});

describe("metrics", () => {
  it("count every request, whichever way it took and whatever the log does", async () => {
    for (const flags of [
      ["--access-log", "all", "--access-log-file", newFile()],
      ["--access-log", "off"],
    ]) {
      const member = await startMember(["--origin", origin.url, ...flags]);
      await hits(member, 300);
      await ask(member.port, "/hit", { method: "HEAD", headers: { host: "h" } });
      await ask(member.port, "/hit", { headers: { host: "h", range: "bytes=0-3" } });
      await ask(member.port, "/hit", { method: "DELETE", headers: { host: "h" } });
      const text = await (await fetch(`http://${member.admin}/metrics`)).text();
      const of = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
      expect(of('gyre_responses_total\\{status="200",[^}]*\\}')).toBe(302);
      expect(of('gyre_responses_total\\{status="206",[^}]*\\}')).toBe(1);
      expect(of("gyre_request_seconds_count\\{[^}]*\\}")).toBe(303);
      expect(of("gyre_request_seconds_sum\\{[^}]*\\}")).toBeGreaterThan(0);
      const content = "content of /hit".length;
      expect(of("gyre_hit_bytes_total\\{[^}]*\\}")).toBe(299 * content + 4);
      expect(of("gyre_sent_bytes_total\\{[^}]*\\}")).toBe(301 * content + 4);
      await member.stop();
    }
  });
});

describe("the name of a request", () => {
  const named = async (member: TestMember, path: string, id?: string): Promise<string | undefined> => {
    await ask(member.port, path, { headers: { host: "s.test", ...(id === undefined ? {} : { "x-request-id": id }) } });
    const { headers } = origin.asked.findLast(({ url }) => url === path)!;
    return headers["x-request-id"] as string | undefined;
  };

  it("is the same in the origin's request and in the line, through an owner too", async () => {
    const logs = [newFile(), newFile()];
    const members = await startCluster(2, ["--origin", origin.url, "--access-log", "all"], (index) => [
      "--access-log-file",
      logs[index]!,
    ]);
    const paths = Array.from({ length: 12 }, (_, index) => `/named/${index}`);
    const ids = await Promise.all(paths.map((path) => named(members[0]!, path)));
    expect(new Set(ids).size).toBe(paths.length);
    await until(() => linesOf(logs[0]!).length === paths.length, "all lines");
    const lines = linesOf(logs[0]!).map(
      (line) => JSON.parse(line) as { uri: string; owner: string; requestId: string },
    );
    for (const [index, path] of paths.entries())
      expect(lines.find(({ uri }) => uri.endsWith(path))!.requestId).toBe(ids[index]);
    expect(new Set(lines.map(({ owner }) => owner))).toEqual(new Set(["m1", "m2"]));
  });

  it("is the client's own only where it is trusted, and never one that could be taken for more", async () => {
    const trusting = await startMember(["--origin", origin.url, "--trust-forwarded", "127.0.0.1"]);
    expect(await named(trusting, "/t1", "client-7")).toBe("client-7");
    expect(await named(trusting, "/t2", 'a","forged":"1')).toMatch(/^[0-9a-f-]{36}$/);
    const strict = await startMember(["--origin", origin.url, "--name", "m9"]);
    expect(await named(strict, "/s1", "client-7")).toMatch(/^[0-9a-f-]{36}$/);
    const silent = await startMember(["--origin", origin.url, "--name", "m8", "--request-id", "false"]);
    expect(await named(silent, "/q1")).toBeUndefined();
    expect(await named(silent, "/q2", "client-7")).toBe("client-7");
  });
});

describe("a syslog server", () => {
  it("gets a message of RFC 5424 for each line, by datagrams", async () => {
    const got: string[] = [];
    const server = createDatagrams("udp4");
    server.on("message", (message) => got.push(message.toString()));
    await new Promise<void>((done) => server.bind(0, "127.0.0.1", done));
    const { port } = server.address();
    const flags = [
      "--access-log",
      "all",
      "--access-log-syslog",
      `udp:127.0.0.1:${port}`,
      "--access-log-format",
      "common",
    ];
    const member = await startMember(["--origin", origin.url, ...flags]);
    for (let turn = 0; turn < 20; turn++) await ask(member.port, `/s${turn}`);
    await until(() => got.length === 20, "all have come");
    expect(got[3]).toMatch(
      /^<134>1 \d{4}-\d\d-\d\dT\S+Z \S+ gyre \d+ access - 127\.0\.0\.1 - - \[.*\] "GET \/s3 HTTP\/1\.1" 200 14$/,
    );
    await member.stop();
    server.close();
  });

  it("on a Unix stream gets them with their lengths, also one that comes late or goes; nobody waits for it", async () => {
    const path = join(folder, "syslog.sock");
    const flags = ["--access-log", "all", "--access-log-syslog", `unix:${path}`];
    const member = await startMember(["--origin", origin.url, ...flags]);
    for (let turn = 0; turn < 5; turn++) await ask(member.port, "/early");
    let text = "";
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    });
    await new Promise<void>((done) => server.listen(path, done));
    await until(async () => {
      await ask(member.port, "/late");
      return text.includes("/late");
    }, "it is found");
    for (let at = 0; at < text.length;) {
      const space = text.indexOf(" ", at);
      const length = Number(text.slice(at, space));
      if (space === -1 || space + 1 + length > text.length) break;
      expect(text.slice(space + 1, space + 6)).toBe("<134>");
      expect(text.slice(space + 1, space + 1 + length)).toMatch(/\}$/);
      at = space + 1 + length;
    }
    expect(await metricOf(member, "gyre_log_lines_dropped_total")).toBeGreaterThanOrEqual(1);
    await member.stop();
    server.close();
  });
});
