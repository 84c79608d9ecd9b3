/** Compression: made once for each coding, of the one response that the origin was asked for. */
import { randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import * as zlib from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { get } from "../support/coded-client.ts";
import { gyre } from "../support/command.ts";
import { endAll, startCluster, startMember, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const page = Array.from({ length: 3000 }, (_, line) => `<p>line ${line} of a page that repeats itself</p>`).join("\n");
const noise = randomBytes(20_000);
let origin: TestOrigin;
/** What `/changing` is just now. */
let version = 1;
/** Streams that a test goes on with. */
let streams: import("node:http").ServerResponse[] = [];

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const { pathname } = new URL(request.url!, "http://origin");
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.setHeader("cache-control", "max-age=600");
    switch (pathname) {
      case "/picture":
        response.setHeader("content-type", "image/png");
        return response.end(noise);
      case "/small":
        return response.end("small");
      case "/exact":
        response.setHeader("cache-control", "max-age=600, no-transform");
        return response.end(page);
      case "/private":
        response.setHeader("cache-control", "no-store");
        return response.end(page);
      case "/private-picture":
        response.setHeader("cache-control", "no-store");
        response.setHeader("content-type", "image/png");
        return response.end(noise);
      case "/chunked":
        for (let at = 0; at < page.length; at += 10_000) response.write(page.slice(at, at + 10_000));
        return response.end();
      case "/always-gzip":
        response.setHeader("content-encoding", "gzip");
        response.setHeader("etag", '"g"');
        return response.end(zlib.gzipSync(page));
      case "/bomb":
        response.setHeader("content-encoding", "gzip");
        return response.end(zlib.gzipSync(Buffer.alloc(200 * 2 ** 20)));
      case "/no-gzip":
        response.setHeader("content-encoding", "gzip");
        return response.end("this is no gzip");
      case "/tagged":
      case "/changing": {
        const tag = `"v${pathname === "/tagged" ? 1 : version}"`;
        response.setHeader("etag", tag);
        response.setHeader("cache-control", "max-age=0, must-revalidate");
        response.setHeader("vary", "Cookie");
        const given = request.headers["if-none-match"];
        if (given !== undefined && given.replace("W/", "") === tag) {
          response.statusCode = 304;
          return response.end();
        }
        return response.end(`${tag} ${page}`);
      }
      case "/events":
        response.setHeader("content-type", "text/event-stream");
        response.setHeader("cache-control", "no-store");
        response.write("data: 1\n\n");
        streams.push(response);
        return undefined;
      case "/broken":
        response.setHeader("content-length", String(page.length));
        response.write(page.slice(0, 50_000));
        setImmediate(() => response.socket?.destroy());
        return undefined;
      case "/versioned":
        return response.end(`version ${version} ${page}`);
      default:
        response.setHeader("etag", '"p"');
        return response.end(page);
    }
  });
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.end();
  await endAll();
});
afterAll(() => origin.close());

const browser = "gzip, deflate, br, zstd";
const compressing = (...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--compress", "zstd,br,gzip", ...flags]);

describe("a page", () => {
  it("is fetched once, coded once for each coding, and then a hit for everybody", async () => {
    const member = await compressing();
    const before = origin.count("/page");
    for (const [accepts, coding] of [
      [browser, "zstd"],
      ["gzip, deflate, br", "br"],
      ["gzip", "gzip"],
      [null, undefined],
      ["identity", undefined],
    ] as const) {
      const first = await get(member, "/page", accepts);
      expect(first.headers["content-encoding"], String(accepts)).toBe(coding);
      expect(first.text === page, String(accepts)).toBe(true);
      expect(first.headers["vary"]).toBe("Accept-Encoding");
      expect(first.headers["etag"]).toBe(coding === undefined ? '"p"' : `W/"p;${coding}"`);
      if (coding !== undefined) expect(first.bytes.length).toBeLessThan(page.length / 10);
      const second = await get(member, "/page", accepts === browser ? "zstd, gzip" : accepts);
      expect(second.headers["cache-status"], "the next is a hit").toMatch(/; hit; ttl/);
      expect(second.headers["cache-status"]).not.toContain("compressed");
      expect(second.bytes.equals(first.bytes)).toBe(true);
    }
    expect(origin.count("/page") - before).toBe(1);
    expect(origin.asked.findLast(({ url }) => url === "/page")!.headers["accept-encoding"]).toBeUndefined();
    expect((await get(member, "/page", "gzip", { "if-none-match": 'W/"p;gzip"' })).status).toBe(304);
    expect((await get(member, "/page", "br", { "if-none-match": 'W/"p;gzip"' })).status, "another coding").toBe(200);
    const head = await get(member, "/page", "gzip", {}, "HEAD");
    expect(head.headers["content-encoding"]).toBe("gzip");
  });

  it("is fetched once for all who ask at the same time, whatever they take", async () => {
    const member = await compressing();
    const before = origin.count("/page?together");
    const all = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        get(member, "/page?together", [browser, "br", "gzip", null][index % 4]!),
      ),
    );
    for (const one of all) expect(one.text === page).toBe(true);
    expect(origin.count("/page?together") - before).toBe(1);
  });

  it("whose length nobody knows is coded too", async () => {
    const member = await compressing();
    for (let turn = 0; turn < 2; turn++) {
      const got = await get(member, "/chunked", "br");
      expect([got.headers["content-encoding"], got.text === page]).toEqual(["br", true]);
    }
    expect(origin.count("/chunked")).toBe(1);
  });

  it("that is not stored is coded on its way", async () => {
    const member = await compressing();
    for (const accepts of ["br", "gzip", browser]) {
      const got = await get(member, "/private", accepts);
      expect(got.headers["content-encoding"]).toBeDefined();
      expect(got.text === page).toBe(true);
      expect(got.headers["cache-status"]).toMatch(/fwd=uri-miss/);
    }
    expect(origin.count("/private")).toBe(3);
  });

  it("is given in ranges uncoded", async () => {
    const member = await compressing();
    await get(member, "/page?ranged", "br");
    const part = await get(member, "/page?ranged", "br", { range: "bytes=0-9" });
    expect([part.status, part.headers["content-encoding"], part.text]).toEqual([206, undefined, page.slice(0, 10)]);
    expect(origin.count("/page?ranged")).toBe(1);
  });

  it("that breaks off is broken off for who takes a coding, and never stored", async () => {
    const member = await compressing();
    await expect(get(member, "/broken", "br")).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    await expect(get(member, "/broken", "br")).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    expect(origin.count("/broken")).toBeGreaterThanOrEqual(2);
  });
});

describe("what is not worth it", () => {
  it("is left as it is, fetched once and stored once", async () => {
    const member = await compressing();
    for (const path of ["/picture", "/small", "/exact"]) {
      for (const accepts of [browser, "gzip", null]) {
        const got = await get(member, path, accepts);
        expect(got.headers["content-encoding"], path).toBeUndefined();
        expect(got.headers["vary"], path).toBeUndefined();
      }
      expect(origin.count(path), path).toBe(1);
    }
    const status = (await (await fetch(`http://${member.admin}/api/status`)).json()) as {
      self: { store: { responses: number } };
    };
    expect(status.self.store.responses).toBe(3);
    const before = origin.count("/private-picture");
    const got = await get(member, "/private-picture", browser);
    expect(got.bytes.equals(noise)).toBe(true);
    expect(origin.count("/private-picture") - before, "asked once, though it cannot be stored").toBe(1);
  });

  it("is everything where nobody says compress", async () => {
    const member = await startMember(["--origin", origin.url]);
    const got = await get(member, "/page?off", browser);
    expect(got.headers["content-encoding"]).toBeUndefined();
    expect(origin.asked.findLast(({ url }) => url === "/page?off")!.headers["accept-encoding"]).toBe(browser);
  });
});

describe("a validation", () => {
  it("of what is coded is one of what it was made of, and codes nothing again", async () => {
    const member = await compressing();
    const first = await get(member, "/tagged", "br");
    const before = origin.count("/tagged");
    for (let turn = 1; turn <= 3; turn++) {
      const got = await get(member, "/tagged", "br");
      expect(got.bytes.equals(first.bytes)).toBe(true);
      expect(got.headers["cache-status"]).toContain("fwd-status=304");
      expect(origin.count("/tagged")).toBe(before + turn);
    }
    expect(origin.asked.findLast(({ url }) => url === "/tagged")!.headers["if-none-match"]).toMatch(/^(?:W\/)?"v1"$/);
    expect((await get(member, "/tagged", "br", { "if-none-match": 'W/"v1;br"' })).status).toBe(304);
  });

  it("that brings something new brings it to all codings", async () => {
    const member = await compressing();
    for (const accepts of ["br", "gzip", null]) expect((await get(member, "/changing", accepts)).text).toMatch(/^"v1"/);
    version = 2;
    for (const accepts of ["gzip", "br", null]) expect((await get(member, "/changing", accepts)).text).toMatch(/^"v2"/);
  });

  it("forced by one client is forced for all", async () => {
    version = 10;
    const member = await compressing();
    for (const accepts of ["br", "gzip", null]) await get(member, "/versioned", accepts);
    expect(origin.count("/versioned")).toBe(1);
    version = 11;
    for (const accepts of [null, "br"]) {
      await get(member, "/versioned", accepts, { "cache-control": "no-cache" });
      for (const other of ["br", "gzip", null])
        expect((await get(member, "/versioned", other)).text.startsWith(`version ${version} `), String(other)).toBe(
          true,
        );
      version = 12;
    }
    expect(origin.count("/versioned")).toBe(3);
  });
});

describe("an origin that compresses unasked", () => {
  it("is taken at its word by those who can, and uncoded for those who cannot", async () => {
    const member = await compressing();
    for (const [accepts, coding] of [
      [null, undefined],
      ["br", "br"],
      ["gzip", "gzip"],
    ] as const) {
      const got = await get(member, "/always-gzip", accepts);
      expect([got.headers["content-encoding"], got.text === page]).toEqual([coding, true]);
      expect(got.headers["etag"]).toBe(coding === undefined ? 'W/"g"' : `W/"g;${coding}"`);
    }
    expect(origin.count("/always-gzip")).toBe(1);
  });

  it("cannot fill the member with nothing, nor pass what is no such coding", async () => {
    const member = await compressing();
    await expect(get(member, "/bomb", null).then(({ status }) => status))
      .resolves.toBe(502)
      .catch((error: Error) => expect(error.message).toMatch(/aborted|hang up|ECONNRESET/));
    await expect(get(member, "/no-gzip", null).then(({ status }) => status))
      .resolves.toBe(502)
      .catch((error: Error) => expect(error.message).toMatch(/aborted|hang up|ECONNRESET/));
    expect((await get(member, "/page?after", "br")).text === page).toBe(true);
  });
});

describe("a stream of events", () => {
  it("comes as it is sent, coded", async () => {
    const member = await compressing();
    const seen: { text: string; coding: string | undefined } = { text: "", coding: undefined };
    const asked = httpRequest(
      { host: "127.0.0.1", port: member.port, path: "/events", headers: { "accept-encoding": "gzip" } },
      (response) => {
        seen.coding = response.headers["content-encoding"];
        response
          .pipe(zlib.createGunzip())
          .on("data", (chunk: Buffer) => (seen.text += chunk.toString()))
          .on("error", () => {});
      },
    );
    asked.on("error", () => {});
    asked.end();
    await until(() => seen.text === "data: 1\n\n", "the first event is there");
    streams[0]!.write("data: 2\n\n");
    await until(() => seen.text === "data: 1\n\ndata: 2\n\n", "the second too");
    expect(seen.coding).toBe("gzip");
    asked.destroy();
  });
});

describe("in a cluster", () => {
  it("every member gives every coding, the origin is asked once, and a purge ends all of them", async () => {
    const members = await startCluster(3, ["--origin", origin.url, "--compress", "br,gzip"]);
    const paths = Array.from({ length: 6 }, (_, index) => `/page?c${index}`);
    const askAll = async (): Promise<void> => {
      for (const path of paths)
        for (const member of members)
          for (const accepts of ["br", "gzip", null]) {
            const got = await get(member, path, accepts);
            expect([got.headers["content-encoding"], got.text === page]).toEqual([accepts ?? undefined, true]);
          }
    };
    await askAll();
    await askAll();
    for (const path of paths) expect(origin.count(path), path).toBe(1);
    const { code } = await gyre(
      ["purge", "--prefix", "http://site.test/", "--admin", members[0]!.admin],
      temporaryFolder(),
    );
    expect(code).toBe(0);
    await askAll();
    for (const path of paths) expect(origin.count(path), path).toBe(2);
  }, 60_000);
});
