/** The access log, of requests that end before their time: refused as they are read, or left by their clients. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { RawClient, rawExchange, statuses } from "../support/client.ts";
import { endAll, startCluster, startMember, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
const folder = temporaryFolder();
const config = join(folder, "limits.yaml");
let files = 0;
const newFile = (): string => join(folder, `access-${++files}.log`);

beforeAll(async () => {
  writeFileSync(config, "limits: { body-bytes: 3000, head-timeout: 600ms, body-timeout: 600ms }\n");
  origin = await startOrigin((request, response) => response.end(`content of ${request.url}`));
});
afterEach(endAll);
afterAll(() => origin.close());

type Line = Record<"method" | "uri" | "status" | "outcome" | "reason" | "bytes" | "complete", unknown>;

function linesOf(file: string): Line[] {
  if (!existsSync(file)) return [];
  const whole = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return whole.map((line) => JSON.parse(line) as Line);
}

async function logging(file: string, ...flags: string[]): Promise<TestMember> {
  const toFile = ["--access-log", "all", "--access-log-file", file];
  return startMember(["--origin", origin.url, "--config", config, ...toFile, ...flags]);
}

async function metricsOf({ admin }: TestMember, name: string): Promise<string[]> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith(`${name}{`) && !line.endsWith(" 0"));
}

async function refusedAt(member: TestMember): Promise<number> {
  return Number((await metricsOf(member, "gyre_refused_total"))[0]?.split(" ").at(-1) ?? 0);
}

const short = ({ method, uri, status }: Line): string => `${String(method)} ${String(uri)} ${String(status)}`;

describe.each([1, 3])("what cannot be read has a line, and counts as refused (threads: %i)", (threads) => {
  const inThreads = ["--threads", String(threads), "--listen", "127.0.0.1:0,http2"];
  const long = "y".repeat(40_000);
  const bad: readonly (readonly [string, string])[] = [
    ["GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "- GET /a b HTTP/1.1 400"],
    ["\x16\x03\x01\x1b[2J\n", "- \\x16\\x03\\x01\\x1b[2J 400"],
    ["GET /a HTTP/3.0\r\nHost: h\r\n\r\n", "GET /a 505"],
    [`GET /a HTTP/1.1\r\nHost: h\r\nX: ${long}\r\n\r\n`, "GET /a 431"],
    [`GET /${long} HTTP/1.1\r\nHost: h\r\n\r\n`, `- GET /${long.slice(0, 195)} 414`],
    ["POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3001\r\n\r\n", "POST /a 413"],
    ["GET /late HTTP/1.1\r\n", "GET /late 408"],
  ];

  it("of HTTP/1.1, also behind others on its connection, and each with what its client was told", async () => {
    const file = newFile();
    const member = await logging(file, ...inThreads);
    const told: number[] = [];
    for (const [bytes] of bad) told.push(...statuses(await rawExchange(member.port, bytes)));
    const both = await rawExchange(member.port, `GET /first HTTP/1.1\r\nHost: h\r\n\r\n${bad[0]![0]}`);
    expect(statuses(both)).toEqual([200, 400]);
    await until(() => linesOf(file).length === bad.length + 2, "all lines");
    const lines = linesOf(file);
    expect(lines.map(short)).toEqual([
      ...bad.map(([, line]) => line),
      "GET http://h/first 200",
      "- GET /a b HTTP/1.1 400",
    ]);
    expect(lines.slice(0, bad.length).map(({ status }) => status)).toEqual(told);
    expect(lines[0]).toMatchObject({
      outcome: "none",
      reason: expect.stringContaining("request line"),
      complete: true,
    });
    expect(lines[0]!.bytes).toBe(both.split("\r\n\r\n").at(-1)!.length);
    expect(await refusedAt(member)).toBe(bad.length + 1);
    expect(await metricsOf(member, "gyre_responses_total"), "who sends what is no request is no visitor").toHaveLength(
      1,
    );
  });

  it("of HTTP/2", async () => {
    const file = newFile();
    const member = await logging(file, ...inThreads);
    const session = connectHttp2(`http://127.0.0.1:${member.port}`);
    const asked = (fields: Record<string, string>): Promise<unknown> =>
      new Promise((resolve) => {
        const stream = session.request({ ":path": "/two", ":authority": "h", ...fields });
        stream.on("error", () => {});
        stream.on("response", (head) => resolve(head[":status"]));
        stream.resume();
      });
    expect(await asked({ host: "other" })).toBe(400);
    expect(await asked({ x: "z".repeat(40_000) })).toBe(431);
    session.destroy();
    await until(() => linesOf(file).length === 2, "two lines");
    expect(linesOf(file).map(short).sort()).toEqual(["GET /two 400", "GET /two 431"]);
    expect(await refusedAt(member)).toBe(2);
  });

  it("in the formats of others", async () => {
    const told = async (format: string): Promise<string[]> => {
      const file = newFile();
      const member = await logging(file, ...inThreads, "--access-log-format", format);
      for (const [bytes] of bad.slice(0, 3)) await rawExchange(member.port, bytes);
      const lines = (): string[] => (existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []);
      await until(() => lines().length === 3, "three lines");
      await member.stop();
      return lines();
    };
    expect((await told("combined")).map((line) => line.split("] ")[1]!.replace(/ \d+ "-"/, ' N "-"'))).toEqual([
      '"GET /a b HTTP/1.1" 400 N "-" "-"',
      '"\\x16\\x03\\x01\\x1b[2J" 400 N "-" "-"',
      '"GET /a HTTP/3.0" 505 N "-" "-"',
    ]);
    expect((await told("squid")).map((line) => line.split(/ +/).slice(3).join(" ").replace(/ \d+ /, " N "))).toEqual([
      "NONE/400 N NONE error:invalid-request - HIER_NONE/- -",
      "NONE/400 N NONE error:invalid-request - HIER_NONE/- -",
      "NONE/505 N GET /a - HIER_NONE/- -",
    ]);
  });
});

describe.each([1, 3])("content that cannot be read (threads: %i)", (threads) => {
  it("is told with the status that its client was given", async () => {
    const file = newFile();
    const member = await logging(file, "--threads", String(threads));
    const chunked = (method: string): string =>
      `${method} /up HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const all = ["POST", "QUERY"].flatMap((method) => [
      `${chunked(method)}zz\r\n`,
      `${chunked(method)}bb9\r\n${"a".repeat(0xbb9)}\r\n0\r\n\r\n`,
      `${chunked(method)}5\r\nab`,
    ]);
    const answers: string[] = [];
    for (const bytes of all) answers.push(await rawExchange(member.port, bytes));
    expect(answers.flatMap(statuses)).toEqual([400, 413, 408, 400, 413, 408]);
    await until(() => linesOf(file).length === all.length, "a line each");
    const lines = linesOf(file);
    expect(lines.map(({ method, status, complete }) => [method, status, complete])).toEqual(
      ["POST", "QUERY"].flatMap((method) => [400, 413, 408].map((status) => [method, status, true])),
    );
    expect(lines.map(({ bytes }) => bytes)).toEqual(answers.map((answer) => answer.split("\r\n\r\n")[1]!.length));
    expect((await metricsOf(member, "gyre_responses_total")).map((line) => /status="(\d+)"/.exec(line)![1])).toEqual([
      "400",
      "408",
      "413",
    ]);
  });
});

describe.each([1, 3])("clients that leave (threads: %i)", (threads) => {
  const leaves = async (
    member: TestMember,
    bytes: string,
    when: () => Promise<unknown>,
    how: "end" | "reset" = "end",
  ): Promise<void> => {
    const client = await RawClient.open(member.port);
    client.send(bytes);
    await when();
    if (how === "reset") client.socket.resetAndDestroy();
    else client.close();
  };

  it("in the midst of their content are told as such, and are no fault of an origin", async () => {
    const file = newFile();
    const begun: Socket[] = [];
    const reader = createServer((socket) => socket.once("data", () => begun.push(socket)).on("error", () => {}));
    await new Promise<void>((listening) => reader.listen(0, "127.0.0.1", listening));
    const at = `http://127.0.0.1:${(reader.address() as AddressInfo).port}`;
    const member = await logging(file, "--threads", String(threads), "--origin", at);
    for (const method of ["POST", "PUT"])
      await leaves(member, `${method} /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, () =>
        until(() => begun.length === (method === "POST" ? 1 : 2), "the origin has got some of it"),
      );
    await leaves(
      member,
      "QUERY /q HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 9\r\n\r\nabc",
      async () => {},
    );
    await until(() => linesOf(file).length === 3, "three lines");
    expect(linesOf(file).map(({ method, status, bytes, complete }) => [method, status, bytes, complete])).toEqual([
      ["POST", 0, 0, false],
      ["PUT", 0, 0, false],
      ["QUERY", 0, 0, false],
    ]);
    for (const name of ["gyre_origin_errors_total", "gyre_origin_requests_total"])
      expect(await metricsOf(member, name)).toEqual([]);
    for (const socket of begun) socket.destroy();
    reader.close();
  });

  it("while a tunnel is being opened for them have their line", async () => {
    const file = newFile();
    let asked = 0;
    const parent = createServer((socket) => void socket.on("error", () => {}).once("data", () => asked++));
    await new Promise<void>((listening) => parent.listen(0, "127.0.0.1", listening));
    const at = `http://127.0.0.1:${(parent.address() as AddressInfo).port}`;
    const toFile = ["--access-log", "all", "--access-log-file", file];
    const member = await startMember(["--parent", at, "--threads", String(threads), ...toFile]);
    await leaves(member, "CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n", () =>
      until(() => asked === 1, "the parent is asked"),
    );
    await until(() => linesOf(file).length === 1, "a line");
    expect(linesOf(file)[0]).toMatchObject({ method: "CONNECT", uri: "site.test:443", status: 0, complete: false });
    parent.close();
  });

  it("while a purge is made for them have their line", async () => {
    const file = newFile();
    const [m1, m2] = await startCluster(
      2,
      ["--origin", origin.url, "--purge-allow", "127.0.0.1", "--threads", String(threads)],
      (index) => (index === 0 ? ["--access-log", "all", "--access-log-file", file] : []),
    );
    process.kill(m2!.pid, "SIGSTOP");
    await leaves(
      m1!,
      "PURGE /a HTTP/1.1\r\nHost: h\r\n\r\n",
      () => until(async () => (await metricsOf(m1!, "gyre_invalidations_heard_total")).length > 0, "it is being made"),
      "reset",
    );
    await until(() => linesOf(file).length === 1, "a line");
    process.kill(m2!.pid, "SIGCONT");
    expect(linesOf(file)[0]).toMatchObject({ method: "PURGE", uri: "http://h/a", status: 0, complete: false });
  });
});

describe.each([1, 3])("tunnels (threads: %i)", (threads) => {
  it("are told with what they have brought their clients, in the log and in metrics", async () => {
    const file = newFile();
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", (bytes: Buffer) => {
        const isUpgrade = /upgrade: websocket/i.test(bytes.toString());
        if (isUpgrade)
          socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        socket.end(isUpgrade ? "brought" : "brought through");
      });
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const open = ["--forward", "true", "--connect-ports", "any", "--origin", `http://${place}`];
    const member = await logging(file, "--threads", String(threads), ...open);
    const upgrade = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (const bytes of [upgrade, `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\nx`]) {
      const client = await RawClient.open(member.port);
      await client.send(bytes).until((text) => text.includes("brought"), "what the tunnel brings");
      client.socket.end();
      await client.end();
    }
    await until(() => linesOf(file).length === 2, "two lines");
    expect(linesOf(file).map(({ method, status, bytes }) => [method, status, bytes])).toEqual([
      ["GET", 101, 7],
      ["CONNECT", 200, 15],
    ]);
    expect((await metricsOf(member, "gyre_sent_bytes_total"))[0]).toMatch(/ 22$/);
    server.close();
  });
});
