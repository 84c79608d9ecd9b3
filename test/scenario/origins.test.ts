/** One member before origins that behave, misbehave and die. Client and origin both say what they saw. */
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { rawExchange, through, RawClient } from "../support/client.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { endAll, startCluster, startMember, statusOf, until, type TestMember } from "../support/member.ts";

let member: TestMember;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  member = await startMember(["--name", "m1"]);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(endAll);

async function origin(answer: Parameters<typeof startOrigin>[0]): Promise<TestOrigin> {
  const started = await startOrigin(answer);
  closing.push(() => started.close());
  return started;
}

/** An origin that writes bytes of its own making. */
async function rawOrigin(answer: (socket: Socket, request: string) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes: Buffer) => answer(socket, bytes.toString("latin1")));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(() => new Promise((done) => server.close(() => done())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("storing and answering", () => {
  it("answers a second request from the store, with Age (RFC 9111 §5.1)", async () => {
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.setHeader("age", "7");
      response.end("content");
    });
    const first = await through(member.port, `${url}/a`);
    const second = await through(member.port, `${url}/a`);
    expect(first.cacheStatus).toMatch(/^m1; fwd=uri-miss; fwd-status=200; stored; ttl=53$/);
    expect(second.cacheStatus).toMatch(/^m1; hit; ttl=5[23]$/);
    expect(Number(second.headers.age)).toBeGreaterThanOrEqual(7);
    expect(second.text).toBe("content");
    expect(asked.length).toBe(1);
  });

  it.each([
    ["no-store", { "cache-control": "no-store" }, {}],
    ["private", { "cache-control": "private, max-age=60" }, {}],
    ["Vary: *", { "cache-control": "max-age=60", vary: "*" }, {}],
    ["a request with Authorization", { "cache-control": "max-age=60" }, { authorization: "Basic Zm9vOmJhcg==" }],
    ["Set-Cookie without a word for shared caches", { "cache-control": "max-age=60", "set-cookie": "session=1" }, {}],
    ["a request that says no-store", { "cache-control": "max-age=60" }, { "cache-control": "no-store" }],
  ])("stores nothing: %s", async (_, fields, headers) => {
    const { url, asked } = await origin((_request, response) => {
      for (const [name, value] of Object.entries(fields)) response.setHeader(name, value);
      response.end("x");
    });
    await through(member.port, `${url}/`, { headers });
    const second = await through(member.port, `${url}/`, { headers });
    expect(second.cacheStatus).not.toContain("hit");
    expect(asked.length).toBe(2);
  });

  it("keeps variants side by side, and tells spellings of the same preference apart from different ones", async () => {
    const { url, asked } = await origin((request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.setHeader("vary", "Accept-Language");
      response.end(request.headers["accept-language"] === "de" ? "deutsch" : "english");
    });
    const get = (language: string) => through(member.port, `${url}/`, { headers: { "accept-language": language } });
    expect((await get("de")).text).toBe("deutsch");
    expect((await get("en,fr;q=0.5")).text).toBe("english");
    expect((await get("en, fr;q=0.5")).cacheStatus).toContain("hit");
    expect((await get("de")).cacheStatus).toContain("hit");
    expect(asked.length).toBe(2);
  });

  it("validates with ETag and answers from the store after a 304 (RFC 9111 §4.3.1)", async () => {
    const { url, asked } = await origin((request, response) => {
      response.setHeader("cache-control", "max-age=0");
      response.setHeader("etag", '"v1"');
      if (request.headers["if-none-match"] === '"v1"') response.writeHead(304).end();
      else response.end("content");
    });
    await through(member.port, `${url}/`);
    const second = await through(member.port, `${url}/`);
    expect(second.status).toBe(200);
    expect(second.text).toBe("content");
    expect(second.cacheStatus).toContain("fwd=stale; fwd-status=304");
    expect(asked[1]!.headers["if-none-match"]).toBe('"v1"');
  });

  it("invalidates after an unsafe method, and not after a failed one", async () => {
    const { url } = await origin((request, response) => {
      response.setHeader("cache-control", "max-age=60");
      if (request.method === "POST") response.statusCode = request.url === "/fails" ? 500 : 204;
      response.end();
    });
    for (const path of ["/works", "/fails"]) {
      await through(member.port, url + path);
      await through(member.port, url + path, { method: "POST", body: "x" });
    }
    expect((await through(member.port, `${url}/works`)).cacheStatus).toContain("fwd=uri-miss");
    expect((await through(member.port, `${url}/fails`)).cacheStatus).toContain("hit");
  });

  it("serves stale when the origin cannot be reached, unless that is forbidden (RFC 9111 §4.2.4, §5.2.2.2)", async () => {
    const { url, close } = await origin((request, response) => {
      response.setHeader("cache-control", request.url === "/must" ? "max-age=0, must-revalidate" : "max-age=0");
      response.setHeader("etag", '"v"');
      response.end("old");
    });
    await through(member.port, `${url}/may`);
    await through(member.port, `${url}/must`);
    await close();
    const may = await through(member.port, `${url}/may`);
    expect(may.status).toBe(200);
    expect(may.text).toBe("old");
    expect(may.cacheStatus).toContain("fwd=stale");
    expect((await through(member.port, `${url}/must`)).status).toBe(504);
  });

  it("serves stale at once within stale-while-revalidate, and validates once behind it (RFC 5861 §3)", async () => {
    let version = 1;
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=0, stale-while-revalidate=60");
      response.setHeader("etag", `"v${version}"`);
      response.end(`version ${version}`);
    });
    await through(member.port, `${url}/`);
    version = 2;
    const answers = await Promise.all(Array.from({ length: 10 }, () => through(member.port, `${url}/`)));
    // The first must not have waited; whoever came after the validation may see what it brought.
    expect(answers[0]!.text).toBe("version 1");
    expect(answers.every(({ cacheStatus }) => cacheStatus.includes("hit"))).toBe(true);
    await until(async () => (await through(member.port, `${url}/`)).text === "version 2", "the new version is stored");
    expect(asked.length).toBeLessThan(8);
  });
});

describe("one fetch for many", () => {
  it("asks a slow origin once for a hundred requests, and streams to all from the first byte", async () => {
    let finish = (): void => {};
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.write("first ");
      finish = () => response.end("last");
    });
    const target = new URL(`${url}/slow`);
    const early = await RawClient.open(member.port);
    early.send(`GET ${target.href} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`);
    await early.until((received) => received.includes("first "), "the first bytes arrive before the last are sent");
    const others = Array.from({ length: 99 }, () => through(member.port, target.href));
    await until(async () => (await statusOf(member)).self.inFlight >= 100, "all hundred have been read");
    finish();
    for (const { text } of await Promise.all(others)) expect(text).toBe("first last");
    await early.until((received) => received.includes("last"), "the rest");
    early.close();
    expect(asked.length).toBe(1);
  });

  it("lets everybody go on side by side when the answer turns out not to be storable", async () => {
    const waiting: (() => void)[] = [];
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "no-store");
      // The first answer waits until all others have been asked for too: were they serialised, it would wait for ever.
      waiting.push(() => response.end("mine"));
      if (asked.length === 1) response.flushHeaders();
      if (waiting.length === 20) for (const end of waiting) end();
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => through(member.port, `${url}/private`)));
    expect(answers.every(({ text }) => text === "mine")).toBe(true);
    expect(asked.length).toBe(20);
  });

  it("goes on for those who wait when the one who began leaves", async () => {
    let answer = (): void => {};
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      answer = () => response.end("for the others");
    });
    const target = new URL(`${url}/`);
    const first = await RawClient.open(member.port);
    first.send(`GET ${target.href} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`);
    await until(() => asked.length === 1, "the origin is asked");
    const second = through(member.port, target.href);
    await until(async () => (await statusOf(member)).self.inFlight >= 2, "the second has been read");
    first.close();
    answer();
    expect((await second).text).toBe("for the others");
    expect(asked.length).toBe(1);
  });
});

describe("origins that fail", () => {
  it("breaks the answer off when the origin dies in the middle, and never stores it as complete", async () => {
    let dies = true;
    const { url, asked } = await origin((_request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60", "content-length": 100_000 });
      response.write("x".repeat(50_000));
      if (dies) setImmediate(() => response.destroy());
      else response.end("x".repeat(50_000));
    });
    await expect(through(member.port, `${url}/`)).rejects.toThrow();
    dies = false;
    const whole = await through(member.port, `${url}/`);
    expect(whole.body.length).toBe(100_000);
    expect(whole.cacheStatus).toContain("fwd=uri-miss");
    expect(asked.length).toBe(2);
  });

  it("breaks chunked content off likewise", async () => {
    const { url } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.write("some");
      setImmediate(() => response.destroy());
    });
    await expect(through(member.port, `${url}/`)).rejects.toThrow();
    await expect(through(member.port, `${url}/`)).rejects.toThrow();
  });

  it("passes close-delimited content on whole", async () => {
    const url = await rawOrigin((socket) => {
      socket.end(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n${"close ".repeat(20_000)}`);
    });
    const first = await through(member.port, `${url}/`);
    const second = await through(member.port, `${url}/`);
    expect(first.text).toBe("close ".repeat(20_000));
    expect(second.text).toBe(first.text);
    expect(second.cacheStatus).toContain("hit");
  });

  it.each([
    ["two different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody"],
    [
      "a length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ],
    ["a broken chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n0\r\n\r\n"],
    ["a length in words", "HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nbody"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nbody"],
    ["a control character in a field", "HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 4\r\n\r\nbody"],
    ["no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["nothing", ""],
  ])("answers 502 and stores nothing when the origin sends %s", async (_, bytes) => {
    const url = await rawOrigin((socket) => socket.end(bytes, "latin1"));
    const answer = await through(member.port, `${url}/`).then(
      ({ status }) => status,
      () => "broken off",
    );
    expect([502, "broken off"]).toContain(answer);
    const { self } = await statusOf(member);
    expect(self).toBeDefined();
  });

  it("never takes bytes after the end of an answer for the next one", async () => {
    let connections = 0;
    const url = await rawOrigin((socket, request) => {
      connections++;
      const path = /^GET (\S+)/.exec(request)?.[1] ?? "";
      socket.write(
        `HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: ${path.length}\r\n\r\n${path}HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\npoison`,
      );
    });
    const first = await through(member.port, `${url}/one`).then(
      ({ text }) => text,
      () => "broken off",
    );
    const second = await through(member.port, `${url}/two`).then(
      ({ text }) => text,
      () => "broken off",
    );
    expect(["/one", "broken off"]).toContain(first);
    expect(["/two", "broken off"]).toContain(second);
    expect(connections).toBeGreaterThan(0);
  });

  it("passes early hints on before the answer (RFC 9110 §15.2, RFC 9112 §4)", async () => {
    const { url } = await origin((_request, response) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.end("page");
    });
    const target = new URL(`${url}/`);
    const client = await RawClient.open(member.port);
    client.send(`GET ${target.href} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`);
    const received = await client.until((text) => text.includes("page"), "the page");
    client.close();
    expect(received.indexOf("HTTP/1.1 103 Early Hints")).toBe(0);
    expect(received).toContain("link: </style.css>; rel=preload");
    expect(received.indexOf("HTTP/1.1 200 OK")).toBeGreaterThan(0);
  });

  it("retries an idempotent request once on a fresh connection, and a POST never (RFC 9110 §9.2.2)", async () => {
    let seen = 0;
    const url = await rawOrigin((socket, request) => {
      seen++;
      if (seen === 1) socket.destroy();
      else socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${request.slice(0, 4)}`);
    });
    expect((await through(member.port, `${url}/`)).text).toBe("GET ");
    expect(seen).toBe(2);
    seen = 0;
    expect((await through(member.port, `${url}/`, { method: "POST", body: "x" })).status).toBe(502);
    expect(seen).toBe(1);
  });

  it("answers 502 with a sentence for a refused connection", async () => {
    const refused = await through(member.port, "http://127.0.0.1:1/");
    expect(refused.status).toBe(502);
    expect(refused.text).toContain("cannot be reached (ECONNREFUSED)");
  });

  it("tells where a site's origins are in the log, and to who asks on this machine for himself", async () => {
    const flags = ["--origin", "http://127.0.0.1:1", "--access-log", "all"];
    const proxied = ["--listen", "127.0.0.1:0,proxy-protocol", "--allow", "198.51.100.0/24"];
    const [one, two] = await startCluster(2, flags, (index) => (index === 0 ? [] : proxied));
    const from = (fields: string): string => `GET /page HTTP/1.1\r\nHost: h\r\n${fields}Connection: close\r\n\r\n`;
    expect(await rawExchange(one!.port, from(""))).toContain("127.0.0.1:1 cannot be reached (ECONNREFUSED)");
    const others = [
      await rawExchange(one!.port, from("X-Forwarded-For: 198.51.100.7\r\n")),
      await rawExchange(two!.port, `PROXY TCP4 198.51.100.7 127.0.0.1 5000 80\r\n${from("")}`),
    ];
    for (const answer of others) {
      expect(answer).toContain("502 Bad Gateway: the origin cannot be reached, or broke off its answer\n");
      expect(answer).not.toContain("127.0.0.1:1");
    }
    const told = /"client":"198\.51\.100\.7".*"reason":"[^"]*127\.0\.0\.1:1[^"]*ECONNREFUSED/;
    await until(() => told.test(one!.output() + two!.output()), "the log has the reason");
  });
});
