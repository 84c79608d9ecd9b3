/** What one client gets must never reach another: the ways in which a shared fetch could leak, each as a scenario. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient, through } from "../support/client.ts";
import { endAll, startMember, statusOf, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let member: TestMember;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  member = await startMember(["--name", "m1", "--object-max", "1MB"]);
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

async function raw(url: string, fields = ""): Promise<RawClient> {
  const client = await RawClient.open(member.port);
  return client.send(`GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${fields}\r\n`);
}

describe("an answer that is larger than what may be stored", () => {
  it("says so, to each of two who ask for it", async () => {
    const { url } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.end(Buffer.alloc(2 ** 21));
    });
    const both = await Promise.all([1, 2].map(() => through(member.port, `${url}/large`)));
    for (const { cacheStatus } of both) expect(cacheStatus).toMatch(/; fwd-status=200; detail=no-room$/);
  });
});

describe("a private answer", () => {
  it("does not go to the one who joined when the one who asked has left", async () => {
    const held: (() => void)[] = [];
    const { url, asked } = await origin((request, response) => {
      held.push(() => {
        response.setHeader("cache-control", "private");
        response.setHeader("set-cookie", `session=${String(request.headers["x-user"])}`);
        response.end(`secret of ${String(request.headers["x-user"])}`);
      });
      if (held.length > 1) held.at(-1)!();
    });
    const alice = await raw(`${url}/`, "X-User: alice\r\n");
    await until(() => asked.length === 1, "the origin is asked for alice");
    const bob = through(member.port, `${url}/`, { headers: { "x-user": "bob" } });
    await until(async () => (await statusOf(member)).self.inFlight >= 2, "bob has been read");
    alice.close();
    held[0]!();
    const answer = await bob;
    expect(answer.text).toBe("secret of bob");
    expect(answer.headers["set-cookie"]).toEqual(["session=bob"]);
  });

  it("does not come into the store by a 304", async () => {
    let private_ = false;
    const { url } = await origin((request, response) => {
      response.setHeader("etag", '"v"');
      response.setHeader("cache-control", private_ ? "private" : "max-age=0");
      if (request.headers["if-none-match"] === undefined) return response.end("shared");
      response.setHeader("set-cookie", `session=${String(request.headers["x-user"])}`);
      return response.writeHead(304).end();
    });
    await through(member.port, `${url}/`);
    const alice = await through(member.port, `${url}/`, { headers: { "x-user": "alice" } });
    expect(alice.headers["set-cookie"]).toEqual(["session=alice"]);
    const bob = await through(member.port, `${url}/`, { headers: { "x-user": "bob" } });
    expect(bob.headers["set-cookie"]).toEqual(["session=bob"]);
    private_ = true;
    await through(member.port, `${url}/`, { headers: { "x-user": "alice" } });
    const after = await through(member.port, `${url}/`, { headers: { "x-user": "carol" } });
    expect(after.cacheStatus).toContain("fwd=uri-miss");
  });

  it("sends early hints only to the one whose request they answer", async () => {
    let finish = (): void => {};
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      finish = () => {
        response.writeEarlyHints({ link: "</alice.css>; rel=preload" });
        response.end("page");
      };
    });
    const alice = await raw(`${url}/`);
    await until(() => asked.length === 1, "the origin is asked");
    const bob = await raw(`${url}/`);
    await until(async () => (await statusOf(member)).self.inFlight >= 2, "bob has been read");
    finish();
    await alice.until((text) => text.includes("page"), "alice has her page");
    await bob.until((text) => text.includes("page"), "bob has his page");
    expect(alice.received).toContain("103 Early Hints");
    expect(bob.received).not.toContain("103 Early Hints");
    alice.close();
    bob.close();
  });
});

describe("a request for less than the whole", () => {
  it("is served from a fetch that others share, with the right bytes, before and after its head has come (RFC 9110 §14.4, §14.6)", async () => {
    const content = Buffer.from(Array.from({ length: 600_000 }, (_, index) => index % 251));
    let rest = (): void => {};
    const { url, asked } = await origin((_request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60", etag: '"c"', "content-length": content.length });
      response.write(content.subarray(0, 200_000));
      rest = () => response.end(content.subarray(200_000));
    });
    const whole = through(member.port, `${url}/`);
    await until(() => asked.length === 1, "the origin is asked");
    const early = through(member.port, `${url}/`, { headers: { range: "bytes=400000-400099" } });
    const first = through(member.port, `${url}/`, { headers: { range: "bytes=10-19" } });
    const known = through(member.port, `${url}/`, { headers: { "if-none-match": '"c"' } });
    expect((await first).body.equals(content.subarray(10, 20))).toBe(true);
    expect((await known).status).toBe(304);
    rest();
    const part = await early;
    expect(part.status).toBe(206);
    expect(part.headers["content-range"]).toBe("bytes 400000-400099/600000");
    expect(part.body.equals(content.subarray(400_000, 400_100))).toBe(true);
    expect((await whole).body.equals(content)).toBe(true);
    const several = await through(member.port, `${url}/`, { headers: { range: "bytes=0-9,599990-599999" } });
    expect(several.headers["content-type"]).toContain("multipart/byteranges");
    expect(several.body.includes(content.subarray(599_990))).toBe(true);
    expect(asked.length).toBe(1);
  });

  it("does not poison the key: 416 and 412 are for one request", async () => {
    const { url } = await origin((request, response) => {
      response.setHeader("cache-control", "max-age=60");
      if (request.headers.range !== undefined) return response.writeHead(416).end();
      if (request.headers["if-match"] !== undefined) return response.writeHead(412).end();
      return response.end("whole");
    });
    expect((await through(member.port, `${url}/`, { headers: { range: "bytes=999-" } })).status).toBe(416);
    expect((await through(member.port, `${url}/`, { headers: { "if-match": '"x"' } })).status).toBe(412);
    expect((await through(member.port, `${url}/`)).text).toBe("whole");
  });

  it("gets a 304 of the origin passed on without a length (RFC 9110 §8.6)", async () => {
    const { url } = await origin((_request, response) => response.writeHead(304, { etag: '"x"' }).end());
    const answer = await through(member.port, `${url}/`, { headers: { "if-none-match": '"x"' } });
    expect(answer.status).toBe(304);
    expect(answer.headers["content-length"]).toBeUndefined();
  });
});

describe("a shared fetch", () => {
  it("is not held up by one client that reads nothing", async () => {
    const piece = Buffer.alloc(64 * 1024, "x");
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      let left = 320;
      const more = (): void => {
        while (left-- > 0) if (!response.write(piece)) return void response.once("drain", more);
        response.end();
      };
      // Everybody has joined before the first byte comes.
      setImmediate(() => void until(() => joined, "both have asked").then(more));
    });
    let joined = false;
    const stalled = await raw(`${url}/`);
    stalled.socket.pause();
    await until(() => asked.length === 1, "the origin is asked");
    const reader = ask(member.port, `${url}/`, { headers: { host: new URL(url).host }, method: "GET" }).catch(
      (error: Error) => error,
    );
    void reader;
    const other = through(member.port, `${url}/`);
    await until(async () => (await statusOf(member)).self.inFlight >= 3, "the other has been read");
    joined = true;
    expect((await other).body.length).toBe(320 * 64 * 1024);
    stalled.close();
    // A pace is 10 s, and what the kernel takes for the stalled one counts as taken: more than one may pass.
  }, 90_000);

  it("does not keep fetching in the background what nobody may store", async () => {
    let storable = true;
    const { url, server } = await origin((_request, response) => {
      response.setHeader("cache-control", storable ? "max-age=0, stale-while-revalidate=600" : "no-store");
      response.setHeader("etag", '"1"');
      response.end(storable ? "small" : Buffer.alloc(4 * 2 ** 20));
    });
    await through(member.port, `${url}/`);
    storable = false;
    expect((await through(member.port, `${url}/`)).text).toBe("small");
    await until(
      () => new Promise<boolean>((done) => server.getConnections((_error, count) => done(count === 0))),
      "the fetch that nobody needs has been given up",
    );
  });

  it("of HTTP/2 upgrade offers is a fetch like any other (RFC 9110 §7.8)", async () => {
    const { url, asked } = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.end("one");
    });
    const headers = {
      connection: "Upgrade, HTTP2-Settings",
      upgrade: "h2c",
      "http2-settings": "AAMAAABkAARAAAAAAAIAAAAA",
    };
    await through(member.port, `${url}/`, { headers });
    expect((await through(member.port, `${url}/`, { headers })).cacheStatus).toContain("hit");
    expect(asked.length).toBe(1);
  });
});
