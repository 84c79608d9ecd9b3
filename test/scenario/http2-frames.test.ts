/** HTTP/2 frame by frame: what no library would send is sent to the running member. */
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, constants } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { block, frameOf, frameType, getting, raw } from "../support/raw-http2.ts";

const folder = temporaryFolder();
let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const url = request.url!;
    response.setHeader("cache-control", url.startsWith("/private") ? "no-store" : "max-age=600");
    response.end(url.startsWith("/long") ? `${url} `.repeat(200_000) : `content of ${url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const { data, headers, priority, resets, settings, ping, window, continuation } = frameType;

/** A member that speaks it, with prior knowledge, in clear. */
const clear = (...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--listen", "127.0.0.1:0,http2", ...flags]);

/** Writes until the member ends the connection, or `count` have been written. @returns how many were. */
async function flood(socket: Socket, count: number, one: (index: number) => Buffer): Promise<number> {
  for (let index = 0; index < count; index++) {
    if (socket.destroyed) return index;
    if (!socket.write(one(index))) await new Promise<void>((go) => void socket.once("drain", go).once("close", go));
    if (index % 200 === 0) await new Promise((go) => setImmediate(go));
  }
  return count;
}

describe("a connection that makes work and no requests", () => {
  it.each<[string, (index: number) => Buffer]>([
    ["pings", () => frameOf(ping, 0, 0, Buffer.alloc(8))],
    ["settings", () => frameOf(settings, 0, 0)],
    [
      "resets",
      (index) =>
        Buffer.concat([
          frameOf(headers, 5, index * 2 + 1, getting("/private")),
          frameOf(resets, 0, index * 2 + 1, Buffer.alloc(4)),
        ]),
    ],
    ["windows", () => frameOf(window, 0, 0, Buffer.from([0, 0, 0, 1]))],
    ["priorities", (index) => frameOf(priority, 0, (index % 1000) * 2 + 1, Buffer.from([0, 0, 0, 0, 1]))],
    [
      "empty content",
      (index) =>
        index === 0
          ? frameOf(
              headers,
              4,
              1,
              block([":method", "POST"], [":scheme", "http"], [":authority", "h"], [":path", "/p"]),
            )
          : frameOf(data, 0, 1),
    ],
    [
      "heads without end",
      (index) =>
        index === 0
          ? frameOf(headers, 0, 1, getting("/x"))
          : frameOf(continuation, 0, 1, block(["a", "b".repeat(100)])),
    ],
  ])(
    "is ended: %s",
    async (_, one) => {
      const member = await clear();
      const { socket, closed } = await raw(member);
      void flood(socket, 200_000, one);
      await closed;
      // And nobody else has noticed.
      expect((await ask(member.port, "/x")).text).toBe("content of /x");
    },
    60_000,
  );

  it("is ended where it takes nothing, whichever thread has the answer", async () => {
    const file = join(folder, "stall.yaml");
    writeFileSync(
      file,
      `origin: ${origin.url}\nlisten: "127.0.0.1:0,http2"\nlimits: { rate-window: 1s, idle-timeout: 2s }\n`,
    );
    const member = await startMember(["--config", file], {}, ["--peer", "--admin"]);
    for (let turn = 0; turn < 2; turn++) await ask(member.port, "/x", { headers: { host: "h" } });
    const { socket, closed } = await raw(member);
    socket.write(frameOf(settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])));
    for (let stream = 1; stream < 8; stream += 2) socket.write(frameOf(headers, 5, stream, getting("/x")));
    await closed;
  });

  it("holds a window of each upload that nobody takes, and no more; all go on when somebody does", async () => {
    // It takes requests, and for a while nothing of their content.
    const waiting: (() => void)[] = [];
    const slow = createHttpServer((request, response) => {
      waiting.push(() => {
        request.on("end", () => response.end());
        request.resume();
      });
    });
    await new Promise<void>((done) => slow.listen(0, "127.0.0.1", done));
    const { port } = slow.address() as AddressInfo;
    const member = await startMember(["--origin", `http://127.0.0.1:${port}`, "--listen", "127.0.0.1:0,http2"]);
    // The client's own bound must not be what is met.
    const session = connect(`http://127.0.0.1:${member.port}`, { maxSessionMemory: 2000 });
    const much = Buffer.alloc(6 * 2 ** 20);
    const before = (await statusOf(member)).self.residentBytes;
    const answers = Array.from({ length: 100 }, () => {
      const stream = session.request({ ":method": "PUT", ":path": "/slow" }, { endStream: false });
      stream.end(much);
      return new Promise<number>((done) => {
        let status = 0;
        stream.on("response", (head) => (status = Number(head[":status"])));
        stream.on("close", () => done(stream.rstCode === constants.NGHTTP2_NO_ERROR ? status : -stream.rstCode));
        stream.resume();
      });
    });
    await until(() => waiting.length === 100, "all have come to the origin");
    await new Promise((go) => setImmediate(go));
    expect((await statusOf(member)).self.residentBytes - before).toBeLessThan(150 * 2 ** 20);
    for (const go of waiting) go();
    expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
    session.destroy();
    await member.stop();
    slow.close();
  }, 60_000);

  it("closes a tunnel that was refused, whatever its client has sent ahead", async () => {
    const member = await startMember(["--listen", "127.0.0.1:0,http2"]);
    const session = connect(`http://127.0.0.1:${member.port}`);
    for (let turn = 0; turn < 300; turn++) {
      const stream = session.request({ ":method": "CONNECT", ":authority": "127.0.0.1:1" }, { endStream: false });
      stream.on("error", () => {});
      const status = new Promise<number>((done) => stream.on("response", (head) => done(Number(head[":status"]))));
      stream.write("early data");
      stream.resume();
      expect(await status, `tunnel ${turn}`).toBe(403);
      // More of them than there may be at once: those before have been closed.
    }
    session.destroy();
  });

  it("is ended where it never lets an answer through", async () => {
    const member = await clear();
    const { socket, received } = await raw(member);
    // No room for content at all, in any of its streams.
    socket.write(frameOf(settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])));
    for (let stream = 1; stream < 100; stream += 2) socket.write(frameOf(headers, 5, stream, getting("/long")));
    await until(() => received().length > 500, "heads have come");
    // What it is owed lies in the store once, not once for each.
    expect((await statusOf(member)).self.residentBytes).toBeLessThan(400 * 2 ** 20);
    socket.destroy();
    await until(async () => (await statusOf(member)).self.inFlight === 0, "nothing is under way");
  });
});

describe("nothing malformed reaches an origin", () => {
  it.each<[string, Buffer]>([
    ["a name in upper case", getting("/bad", ["Upper", "c"])],
    ["Transfer-Encoding", getting("/bad", ["transfer-encoding", "chunked"])],
    ["Connection", getting("/bad", ["connection", "x-secret"])],
    ["a Host that differs", getting("/bad", ["host", "other"])],
    ["Host twice", getting("/bad", ["host", "h"], ["host", "h"])],
    ["a path with a blank", getting("/bad HTTP/1.1")],
    ["a path with CRLF", getting("/bad\r\nx: y")],
    [":path twice", getting("/bad", [":path", "/bad2"])],
    [
      "a pseudo-field behind a field",
      block([":method", "GET"], [":scheme", "http"], ["a", "b"], [":path", "/bad"], [":authority", "h"]),
    ],
    [
      "an authority with a path",
      block([":method", "GET"], [":scheme", "http"], [":authority", "h/bad"], [":path", "/bad"]),
    ],
    ["a content-length without content", getting("/bad", ["content-length", "5"])],
  ])("%s", async (_, fields) => {
    const member = await clear();
    const before = origin.asked.length;
    const { socket } = await raw(member);
    socket.write(frameOf(headers, 5, 1, fields));
    // One that is right, behind it: when it is answered, or the connection is closed, the other has been judged.
    socket.write(frameOf(headers, 5, 3, getting("/right")));
    await until(() => socket.destroyed || origin.asked.length > before, "it is judged");
    expect(origin.asked.slice(before).filter(({ url }) => url.includes("bad"))).toEqual([]);
    socket.destroy();
  });

  // The library leaves such a field out and says nothing of it: what is delivered is right without it.
  it.each<[string, readonly [string, string]]>([
    ["a value with CRLF", ["a", "b\r\nhost: other"]],
    ["a name with a colon", ["a:b", "c"]],
    ["a name with a blank", ["a b", "c"]],
  ])("%s is left out", async (_, field) => {
    const member = await clear();
    const before = origin.asked.length;
    const { socket } = await raw(member);
    socket.write(frameOf(headers, 5, 1, getting("/left-out", field)));
    await until(() => socket.destroyed || origin.asked.length > before, "it is judged");
    for (const { headers: got } of origin.asked.slice(before)) {
      expect(Object.keys(got).filter((name) => name.startsWith("a"))).toEqual([]);
      expect(got.host).toBe("h");
    }
    socket.destroy();
  });

  it("content that is longer or shorter than was said", async () => {
    const member = await clear();
    for (const [said, sent] of [
      [5, "longer than that\r\n\r\nGET /bad HTTP/1.1\r\nhost: h\r\n\r\n"],
      [500, "short"],
    ] as const) {
      const before = origin.asked.length;
      const { socket, received } = await raw(member);
      const post = [
        [":method", "POST"],
        [":scheme", "http"],
        [":authority", "h"],
        [":path", "/bad"],
      ] as const;
      socket.write(frameOf(headers, 4, 1, block(...post, ["content-length", String(said)])));
      socket.write(frameOf(data, 1, 1, Buffer.from(sent)));
      socket.write(frameOf(headers, 5, 3, getting("/right")));
      await until(() => socket.destroyed || received().includes("content of /right"), "the next is answered");
      expect(origin.asked.slice(before).filter(({ url }) => url.includes("bad"))).toEqual([]);
      socket.destroy();
    }
  });
});
