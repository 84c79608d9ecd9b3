/** What a stranger may send before the answer is a refusal, and what it cannot hold on to. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FrameType, FrameWriter, protocolVersion } from "../../src/peer/frames.ts";
import { RawClient, rawExchange, statuses } from "../support/client.ts";
import { endAll, startMember, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let member: TestMember;
let origin: TestOrigin;

beforeAll(async () => {
  origin = await startOrigin((_request, response, asked) => {
    response.setHeader("cache-control", "max-age=60");
    response.end(asked.url.startsWith("/large") ? Buffer.alloc(8 * 2 ** 20) : `got ${asked.body.length}`);
  });
  const file = join(temporaryFolder(), "limits.yaml");
  writeFileSync(
    file,
    `origin: ${origin.url}
limits:
  head-bytes: 2KB
  fields: 20
  uri-bytes: 1000B
  body-bytes: 10KB
  head-timeout: 700ms
  body-timeout: 700ms
  idle-timeout: 900ms
  rate-bytes: 100KB
  rate-window: 1500ms
  connections-per-client: 8
  requests-per-connection: 3
  pipelined-bytes: 4KB
`,
  );
  member = await startMember(["--config", file]);
});
afterAll(async () => {
  await endAll();
  await origin.close();
});

const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n${fields}\r\n`;

describe("limits", () => {
  it.each([
    [431, "a head that is too long", get("/", `X: ${"a".repeat(3000)}\r\n`)],
    [431, "a head that never ends", `GET / HTTP/1.1\r\nHost: h\r\n${"X: y\r\n".repeat(500)}`],
    [431, "too many fields", get("/", "X: y\r\n".repeat(25))],
    [414, "a URI that is too long", get(`/${"a".repeat(1100)}`)],
    [414, "a request line that never ends", `GET /${"a".repeat(5000)}`],
    [413, "declared content that is too large", `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n`],
    [
      413,
      "chunked content that grows too large",
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${"1000\r\n".concat("x".repeat(4096), "\r\n").repeat(4)}`,
    ],
  ])("%d for %s", async (status, _, bytes) => {
    const answer = await rawExchange(member.port, bytes);
    expect(statuses(answer)).toEqual([status]);
    expect(answer).toContain("connection: close");
  });

  it("408 for a head, and for content, that does not come", async () => {
    expect(statuses(await rawExchange(member.port, "GET / HTTP/1.1\r\nHo"))).toEqual([408]);
    expect(
      statuses(await rawExchange(member.port, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")),
    ).toEqual([408]);
  });

  it("closes a connection that stays idle, and one that has had its requests (RFC 9112 §9.6)", async () => {
    const idle = await RawClient.open(member.port);
    expect(await idle.end()).toBe("");
    const answer = await rawExchange(member.port, get("/").repeat(3));
    expect(statuses(answer)).toEqual([200, 200, 200]);
    expect(answer.lastIndexOf("connection: close")).toBeGreaterThan(answer.lastIndexOf("HTTP/1.1 200"));
  });

  it("lets a client that is still sending read why it was refused, before the connection ends (RFC 9112 §9.6)", async () => {
    const client = await RawClient.open(member.port);
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n");
    client.socket.pause();
    // Had the member closed at once, each of these would be answered by a reset, and the answer lost unread.
    for (let sent = 0; sent < 8; sent++) {
      client.send(Buffer.alloc(1024));
      await new Promise((again) => setTimeout(again, 10));
    }
    client.socket.resume();
    const answer = await client.end();
    client.close();
    expect(statuses(answer)).toEqual([413]);
    expect(answer).toContain("connection: close");
  });

  it("refuses more connections from one client than it may have, and admits it again later", async () => {
    const clients: RawClient[] = [];
    // Those of other tests may still be closing; and each counts from when it is answered, whichever thread it comes to.
    await until(async () => {
      const client = await RawClient.open(member.port);
      client.send(get("/"));
      await client.until((text) => text.includes("\r\n\r\n"), "an answer");
      return clients.push(client) === 8;
    }, "eight are there");
    const ninth = await RawClient.open(member.port);
    expect(await ninth.send(get("/")).end()).toBe("");
    for (const client of clients) client.close();
    await until(
      async () => statuses(await rawExchange(member.port, get("/", "Connection: close\r\n")))[0] === 200,
      "it is admitted again",
    );
  });

  it("cuts a reader that takes too little, and holds no more than its due meanwhile", async () => {
    const client = await RawClient.open(member.port);
    client.send(get("/large"));
    await client.until((text) => text.length > 1000, "the answer begins");
    client.socket.pause();
    // Read on at once, and the kernel's buffers would hide the cut.
    await until(() => connectionsOf(member) === 0, "the member has cut it");
    client.socket.resume();
    await until(() => client.ended, "the client has seen it");
    expect(client.received.length).toBeLessThan(8 * 2 ** 20);
  });

  it("answers 417 to expectations it does not know, and 100 only when the content is wanted", async () => {
    expect(
      statuses(await rawExchange(member.port, "POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 1\r\n\r\n")),
    ).toEqual([417]);
    const client = await RawClient.open(member.port);
    client.send("POST /expect HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    await client.until((text) => text.includes("100 Continue"), "the member asks for the content");
    client.send("hi");
    await client.until((text) => text.includes("got 2"), "the answer");
    client.close();
  });
});

/** Connections of clients that the kernel knows of at the member's port, from its own table. */
function connectionsOf({ port }: TestMember): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .filter((line) => new RegExp(`^ *\\d+: 0100007F:${hex} [0-9A-F]{8}:[0-9A-F]{4} 01 `).test(line)).length;
}

it("strangers at the peer port write no more than a hundred lines a minute, whatever each of them says", async () => {
  const told = await startMember(["--origin", origin.url]);
  const hello = (version: number): string => {
    const frames = new FrameWriter();
    frames.begin(FrameType.hello, 0, 0);
    frames.u8(version);
    for (const text of ["gyre", "stranger", "member"]) frames.text(text);
    frames.end(Buffer.alloc(24));
    return Buffer.concat(frames.take()).toString("latin1");
  };
  const port = Number(told.peer.split(":").at(-1));
  const ours = Array.from({ length: 250 }, (_, version) => version).filter((version) => version !== protocolVersion);
  for (const version of ours) await rawExchange(port, hello(version));
  await told.stop();
  const lines = told.output().split("\n");
  expect(lines.filter((line) => line.includes("this member speaks")).length).toBe(100);
});
