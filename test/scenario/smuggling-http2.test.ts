/**
 * Request smuggling from HTTP/2 into HTTP/1.1: what a library would never send is sent frame by frame, and an origin
 * that keeps bytes tells what became of it. Nothing malformed reaches it, nor anything that it could take for two.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endAll, startMember, until, type TestMember } from "../support/member.ts";
import { block, frameOf, frameType, raw } from "../support/raw-http2.ts";
import { startRecordingOrigin, type RecordingOrigin } from "../support/recording-origin.ts";

const { data, headers } = frameType;
const endStream = 1;
const endHeaders = 4;
const smuggled = "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";

let members: Readonly<Record<string, TestMember>>;
let origin: RecordingOrigin;
let received: readonly string[];
beforeAll(async () => {
  origin = await startRecordingOrigin();
  const one = (...flags: string[]): Promise<TestMember> =>
    startMember(["--origin", origin.url, "--listen", "127.0.0.1:0,http2", ...flags]);
  members = { "one thread": await one("--threads", "1"), "three threads": await one("--threads", "3") };
});
beforeEach(() => {
  received = origin.begin();
});
afterAll(async () => {
  await endAll();
  origin.close();
});

type Field = readonly [name: string, value: string];
const pseudo: readonly Field[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":authority", "h"],
  [":path", "/bad"],
];
/** A request's pseudo-fields with another value for one. */
const changed = (name: string, value: string): readonly Field[] =>
  pseudo.map((field) => (field[0] === name ? [name, value] : field));
const without = (name: string): readonly Field[] => pseudo.filter((field) => field[0] !== name);

/** Sends a request, with content if there is some, a frame for each part between `|`, and a right one behind it; resolves when that has been judged. */
async function send(
  member: TestMember,
  fields: readonly Field[],
  content: string | null,
  trailers: readonly Field[] = [],
): Promise<void> {
  const { socket, received: answered } = await raw(member);
  const flags = endHeaders | (content === null ? endStream : 0);
  socket.write(frameOf(headers, flags, 1, block(...fields)));
  if (content !== null) {
    const isLast = trailers.length === 0;
    const parts = content.split("|");
    for (const [index, part] of parts.entries()) {
      const isEnd = isLast && index === parts.length - 1;
      socket.write(frameOf(data, isEnd ? endStream : 0, 1, Buffer.from(part, "latin1")));
    }
    if (!isLast) socket.write(frameOf(headers, endHeaders | endStream, 1, block(...trailers)));
  }
  const right = [...changed(":path", "/right")].map((field): Field =>
    field[0] === ":method" ? [":method", "GET"] : field,
  );
  socket.write(frameOf(headers, endHeaders | endStream, 3, block(...right)));
  const isAnswered = (): boolean => answered().includes("ok");
  await until(
    () => socket.destroyed || (received.some((one) => one.startsWith("GET /right ")) && isAnswered()),
    "the one behind it is judged",
  );
  socket.destroy();
}

/** What has come, but for the right one. */
const others = (): readonly string[] => received.filter((one) => !one.startsWith("GET /right HTTP/1.1\r\n"));

const refused: readonly (readonly [string, readonly Field[], string | null])[] = [
  ["a method with a blank", changed(":method", "GET /smuggled HTTP/1.1"), null],
  ["a method with CRLF", changed(":method", `${smuggled}POST`), null],
  ["an empty method", changed(":method", ""), null],
  ["no method", without(":method"), null],
  ["a path with a blank", changed(":path", "/bad HTTP/1.1"), null],
  ["a path with a tab", changed(":path", "/bad\t"), null],
  ["a path with CRLF", changed(":path", `/bad HTTP/1.1\r\nhost: h\r\n\r\n${smuggled}`), null],
  ["a path with a bare LF", changed(":path", "/bad\nx: y"), null],
  ["a path with NUL", changed(":path", "/bad\0"), null],
  ["a path that is absolute", changed(":path", "http://other/bad"), null],
  ["an empty path", changed(":path", ""), null],
  ["no path", without(":path"), null],
  ["* for a POST", changed(":path", "*"), null],
  ["a scheme with CRLF", changed(":scheme", "http\r\nx: y"), null],
  ["a scheme that is a target", changed(":scheme", "http://other/bad?"), null],
  ["a scheme that is not known", changed(":scheme", "gopher"), null],
  ["no scheme", without(":scheme"), null],
  ["an authority with CRLF", changed(":authority", "h\r\nx: y"), null],
  ["an authority with a path", changed(":authority", "h/bad"), null],
  ["an authority with userinfo", changed(":authority", "user@h"), null],
  ["an authority with a blank", changed(":authority", "h other"), null],
  ["an authority that is a list", changed(":authority", "h, other"), null],
  ["an authority with a colon too many", changed(":authority", "h:80:90"), null],
  ["no authority and no host", without(":authority"), null],
  ["a host that differs", [...pseudo, ["host", "other"]], null],
  ["a host with CRLF", [...without(":authority"), ["host", "h\r\nx: y"]], null],
  ["two hosts, the same", [...pseudo, ["host", "h"], ["host", "h"]], null],
  ["a pseudo-field twice", [...pseudo, [":path", "/bad2"]], null],
  ["a pseudo-field of responses", [...pseudo, [":status", "200"]], null],
  ["a pseudo-field that nobody knows", [...pseudo, [":bad", "x"]], null],
  ["a pseudo-field behind a field", [pseudo[0]!, ["a", "b"], ...pseudo.slice(1)], null],
  ["a protocol that is not known", [...changed(":method", "CONNECT"), [":protocol", "bad"]], null],
  ["a protocol for another method", [...pseudo, [":protocol", "websocket"]], null],
  ["a CONNECT with a path", changed(":method", "CONNECT"), null],
  ["a name in upper case", [...pseudo, ["X-Bad", "x"]], null],
  ["H2.TE", [...pseudo, ["transfer-encoding", "chunked"]], `0\r\n\r\n${smuggled}`],
  ["H2.TE with another coding", [...pseudo, ["transfer-encoding", "identity"]], smuggled],
  ["H2.TE and a length", [...pseudo, ["content-length", "5"], ["transfer-encoding", "chunked"]], "0\r\n\r\n"],
  ["Connection", [...pseudo, ["connection", "x-secret"]], null],
  ["Upgrade", [...pseudo, ["upgrade", "h2c"]], null],
  ["Keep-Alive", [...pseudo, ["keep-alive", "timeout=5"]], null],
  ["Proxy-Connection", [...pseudo, ["proxy-connection", "close"]], null],
  ["TE with more than trailers", [...pseudo, ["te", "trailers, gzip"]], null],
  ["H2.CL, shorter than the content", [...pseudo, ["content-length", "0"]], smuggled],
  ["H2.CL, shorter than the content, which comes in parts", [...pseudo, ["content-length", "2"]], "ab|c"],
  ["H2.CL, longer than the content", [...pseudo, ["content-length", "500"]], smuggled],
  ["a length without content", [...pseudo, ["content-length", "5"]], null],
  ["two lengths, the same", [...pseudo, ["content-length", "2"], ["content-length", "2"]], "ab"],
  ["a list of lengths", [...pseudo, ["content-length", "2, 2"]], "ab"],
  ["a signed length", [...pseudo, ["content-length", "+2"]], "ab"],
  ["a padded length", [...pseudo, ["content-length", " 2"]], "ab"],
];

describe.each(["one thread", "three threads"])("nothing malformed reaches an origin, %s", (threads) => {
  it.each(refused)("%s", async (_, fields, content) => {
    await send(members[threads]!, fields, content);
    expect(others()).toEqual([]);
  });
});

describe("what the library leaves out or takes apart makes nothing else of a request", () => {
  it.each<[string, Field, string | null]>([
    ["a value with CRLF and a request", ["x-bad", `b\r\n\r\n${smuggled}`], null],
    ["a value with CRLF and a length", ["x-bad", "b\r\ncontent-length: 5"], "hello"],
    ["a value with a bare CR", ["x-bad", "b\rcontent-length: 0"], "hello"],
    ["a value with NUL", ["x-bad", "b\0"], null],
    ["a name with a colon", ["x-bad: y\r\nhost", "other"], null],
    ["a name with a blank", ["transfer-encoding ", "chunked"], `0\r\n\r\n${smuggled}`],
    ["an empty name", ["", "x"], null],
    ["a cookie with CRLF", ["cookie", "a=b\r\nhost: other"], null],
  ])("%s", async (_, field, content) => {
    await send(members["one thread"]!, [...pseudo, field], content);
    for (const request of others()) {
      const [head, ...rest] = request.split("\r\n\r\n");
      expect(head!.split("\r\n")[0]).toBe("POST /bad HTTP/1.1");
      expect(head!.match(/^(?:host|content-length|transfer-encoding):.*$/gim)).toEqual(
        content === null ? ["host: h", "content-length: 0"] : ["host: h", "transfer-encoding: chunked"],
      );
      expect(head).not.toMatch(/x-bad|other/i);
      if (content !== null)
        expect(rest.join("\r\n\r\n")).toBe(`${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`);
    }
  });

  it("content is content, whatever it looks like, and trailers frame nothing", async () => {
    for (const content of [smuggled, `0\r\n\r\n${smuggled}`, `${"x".repeat(100)}\r\n${smuggled}`]) {
      received = origin.begin();
      await send(members["one thread"]!, changed(":method", "GET"), content);
      const request = others().join("");
      expect(request).toMatch(/^GET \/bad HTTP\/1\.1\r\n/);
      expect(request.endsWith(`${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`)).toBe(true);
    }
    received = origin.begin();
    await send(members["one thread"]!, pseudo, "hi", [
      ["host", "other"],
      ["x-sum", "99"],
      ["transfer-encoding ", "chunked"],
    ]);
    expect(others()).toHaveLength(1);
    expect(others()[0]).not.toMatch(/other|encoding :/);
  });
});
