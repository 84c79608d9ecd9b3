/**
 * Request smuggling, judged by what a recording origin received: for every ambiguous message the origin must see
 * nothing, or exactly what we answered for. The origin speaks raw bytes, so that no parser hides anything.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RawClient, rawExchange, statuses } from "../support/client.ts";
import { endAll, startMember, type TestMember } from "../support/member.ts";
import { startRecordingOrigin, type RecordingOrigin } from "../support/recording-origin.ts";

let member: TestMember;
let origin: RecordingOrigin;
let received: readonly string[];

beforeAll(async () => {
  origin = await startRecordingOrigin();
  member = await startMember(["--origin", origin.url]);
});
beforeEach(() => {
  received = origin.begin();
});
afterAll(async () => {
  await endAll();
  origin.close();
});

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

describe("what is ambiguous reaches no origin, and closes the connection", () => {
  it.each([
    [
      "CL.TE",
      `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${5 + smuggled.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      "TE.CL",
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    ],
    [
      "TE.TE with a second coding",
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      "TE.TE with an unknown coding",
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      "TE with a blank before the colon",
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ["TE behind a tab", `POST / HTTP/1.1\r\nHost: h\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    [
      "TE with a vertical tab",
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ["TE folded", `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    [
      "TE hidden behind a bare LF",
      `POST / HTTP/1.1\r\nHost: h\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      "TE hidden behind a bare CR",
      `POST / HTTP/1.1\r\nHost: h\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ["TE in HTTP/1.0", `POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    [
      "two Content-Lengths",
      `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    ],
    [
      "a list of Content-Lengths",
      `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, ${smuggled.length}\r\n\r\n${smuggled}`,
    ],
    ["a signed Content-Length", `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +${smuggled.length}\r\n\r\n${smuggled}`],
    ["a head ended by bare LFs", `GET / HTTP/1.1\nHost: h\n\n${smuggled}`],
    ["a NUL in a field name", `POST / HTTP/1.1\r\nHost: h\r\nContent\0-Length: 5\r\n\r\n${smuggled}`],
    ["two Hosts", `GET / HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n${smuggled}`],
    ["two Hosts beside an absolute target", `GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${smuggled}`],
  ])("%s", async (_, bytes) => {
    const answer = await rawExchange(member.port, bytes);
    expect(statuses(answer)).toHaveLength(1);
    expect(statuses(answer)[0]).toBeGreaterThanOrEqual(400);
    expect(answer).toContain("connection: close");
    expect(received).toEqual([]);
  });
});

describe("chunk tricks end the request and the connection; nothing behind them is taken for a request", () => {
  it.each([
    ["a size line ended by LF", `5\nhello\r\n0\r\n\r\n${smuggled}`],
    ["an extension with a LF", `5;a\nb\r\nhello\r\n0\r\n\r\n${smuggled}`],
    ["a chunk longer than its size", `3\r\nhello\r\n0\r\n\r\n${smuggled}`],
    ["a negative size", `-5\r\nhello\r\n0\r\n\r\n${smuggled}`],
    ["a size with 0x", `0x5\r\nhello\r\n0\r\n\r\n${smuggled}`],
    ["a size that overflows", `ffffffffffffffff5\r\nhello\r\n0\r\n\r\n${smuggled}`],
    ["a trailer ended by LF", `0\r\nX: y\n\r\n${smuggled}`],
    ["a trailer that is a request", `0\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n`],
  ])("%s", async (_, chunks) => {
    await rawExchange(member.port, `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`).catch(
      () => "reset",
    );
    expect(received.filter((request) => request.includes("/smuggled"))).toEqual([]);
  });

  it("trailers that frame or route do not become fields of the request", async () => {
    const answer = await rawExchange(
      member.port,
      "POST /t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\nContent-Length: 99\r\nHost: evil\r\n\r\n",
    );
    expect(statuses(answer)).toEqual([200]);
    expect(received).toHaveLength(1);
    expect(received[0]).not.toMatch(/evil|content-length|: 99/);
  });
});

describe("what is not ambiguous is passed on in one meaning", () => {
  it("CL.0: content of a GET is content, not the next request", async () => {
    const answer = await rawExchange(
      member.port,
      `GET /get HTTP/1.1\r\nHost: h\r\nContent-Length: ${smuggled.length}\r\nConnection: close\r\n\r\n${smuggled}`,
    );
    expect(statuses(answer)).toEqual([200]);
    expect(received.every((request) => !request.startsWith("GET /smuggled"))).toBe(true);
  });

  it("pipelined requests are answered in order, each by itself (RFC 9112 §6)", async () => {
    const requests = ["/1", "/2", "/3"].map(
      (path, index) =>
        `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n${index === 2 ? "Connection: close\r\n" : ""}\r\n${index}`,
    );
    const answer = await rawExchange(member.port, requests.join(""));
    expect(statuses(answer)).toEqual([200, 200, 200]);
    expect(received.map((request) => /^POST (\S+)/.exec(request)![1])).toEqual(["/1", "/2", "/3"]);
  });

  it("hop-by-hop fields and those that Connection names are taken out, and those it must not name are not (RFC 9110 §7.6, §7.6.1)", async () => {
    await rawExchange(
      member.port,
      "POST / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Private, Cache-Control, Cookie\r\nX-Private: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nCookie: kept=1\r\nContent-Length: 0\r\n\r\n",
    );
    expect(received[0]).not.toMatch(/x-private|keep-alive: 5|proxy-connection|^te:|proxy-authorization/im);
    expect(received[0]).toMatch(/^cookie: kept=1/im);
  });

  it("what reaches the origin is written anew: Host, framing, spelling of fields; not the target (RFC 9110 §7.7)", async () => {
    await rawExchange(
      member.port,
      "PUT /a/../%7euser HTTP/1.1\r\nHOST:   h\r\nX-Odd:\t v \r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;ext=1\r\nx\r\n0\r\n\r\n",
    );
    expect(received[0]).toMatch(/^PUT \/a\/\.\.\/%7euser HTTP\/1\.1\r\nhost: h\r\n/i);
    expect(received[0]).toContain("x-odd: v\r\n");
    expect(received[0]).not.toContain("ext=1");
  });

  it("gives the same answer however a request is split into packets", async () => {
    const bytes =
      "POST /split HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for (let cut = 1; cut < bytes.length; cut += 3) {
      const client = await RawClient.open(member.port);
      client.send(bytes.slice(0, cut));
      await new Promise((sent) => setImmediate(sent));
      client.send(bytes.slice(cut));
      expect(statuses(await client.end())).toEqual([200]);
      client.close();
    }
    expect(new Set(received.map((request) => request.replace(/.*\r\n\r\n/s, ""))).size).toBe(1);
  });
});
