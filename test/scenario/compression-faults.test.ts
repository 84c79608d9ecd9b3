/** What can go wrong with compression: origins that fail, clients that leave or do not read, and others at the same time. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RawClient } from "../support/client.ts";
import { get } from "../support/coded-client.ts";
import { gyre } from "../support/command.ts";
import {
  endAll,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type Asked, type TestOrigin } from "../support/origin.ts";

const page = "<p>a line of a page that repeats itself</p>\n".repeat(3000);
let origin: TestOrigin;
/** What the origin does in this test. */
let answer: (request: IncomingMessage, response: ServerResponse, asked: Asked) => void = () => {};
const folder = temporaryFolder();

beforeAll(async () => {
  origin = await startOrigin((request, response, asked) => {
    response.setHeader("content-type", "text/html");
    response.setHeader("cache-control", "max-age=600");
    answer(request, response, asked);
  });
});
beforeEach(() => origin.asked.splice(0));
afterEach(endAll);
afterAll(() => origin.close());

const compressing = (...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--compress", "br,gzip", ...flags]);

/** A GET with content. */
async function withContent({ port }: TestMember, path: string, content: string): Promise<string> {
  const client = await RawClient.open(port);
  client.send(
    `GET ${path} HTTP/1.1\r\nHost: site.test\r\nAccept-Encoding: br\r\nConnection: close\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
  );
  return client.end();
}

it("an origin's zstd takes no larger window than the coding has on the web (RFC 9659 §3)", async () => {
  const lines = Buffer.from(page.slice(0, 100_000));
  // RFC 8878 §3.1.1: magic, a descriptor that says no content size, the window, and one block that is as it is.
  const windowed = (bits: number): Buffer => {
    const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (bits - 10) << 3, 0, 0, 0]);
    head.writeUIntLE((lines.length << 3) | 1, 6, 3);
    return Buffer.concat([head, lines]);
  };
  answer = (request, response) => {
    response.setHeader("content-encoding", "zstd");
    response.end(windowed(request.url === "/most" ? 23 : 27));
  };
  const member = await compressing();
  expect((await get(member, "/most", "identity")).text).toBe(lines.toString());
  await expect(get(member, "/more", "identity")).rejects.toThrow("aborted");
});

describe("a request that is like no other", () => {
  it("with content goes to the origin with it, and its answer is nobody else's", async () => {
    answer = (_request, response, { body }) => response.end(`found ${body.toString()} ${page}`);
    const member = await compressing();
    expect(await withContent(member, "/search", "first")).toContain("found first");
    expect(await withContent(member, "/search", "second")).toContain("found second");
    expect((await get(member, "/search", "br")).text).toMatch(/^found {2}</);
    answer = (_request, response) => {
      response.setHeader("content-type", "image/png");
      response.end(randomBytes(5000));
    };
    await get(member, "/picture", "br");
    expect(await withContent(member, "/picture", "five!")).toMatch(/^HTTP\/1\.1 200 /);
    expect((await statusOf(member)).self.state).toBe("ready");
  });

  it("that forbids transforming, or asks for what is stored alone, gets what is uncoded", async () => {
    answer = (_request, response) => response.end(page);
    const member = await compressing();
    const plain = await get(member, "/page", "br", { "cache-control": "no-transform" });
    expect([plain.headers["content-encoding"], plain.text === page]).toEqual([undefined, true]);
    const stored = await get(member, "/page", "br", { "cache-control": "only-if-cached" });
    expect([stored.status, stored.text === page]).toEqual([200, true]);
    expect(origin.asked).toHaveLength(1);
  });

  it("by HEAD is told what GET is, where the origin compresses unasked too", async () => {
    answer = (request, response) => {
      response.setHeader("content-encoding", "gzip");
      response.setHeader("etag", '"g"');
      response.end(request.method === "HEAD" ? undefined : gzipSync(page));
    };
    const member = await compressing();
    const head = await get(member, "/head", null, {}, "HEAD");
    const { headers } = await get(member, "/head", null);
    for (const name of ["content-encoding", "etag", "vary"]) expect(head.headers[name], name).toBe(headers[name]);
  });
});

describe("what is stored coded", () => {
  it("is purged by its tags, where clients do not see them too", async () => {
    let version = 1;
    answer = (_request, response) => {
      response.setHeader("cache-tag", "things");
      response.end(`version ${version} ${page}`);
    };
    const file = join(folder, "strip.yaml");
    writeFileSync(file, `origin: ${origin.url}\ncompress: [br]\ncaching: { strip-tags: true }\n`);
    const member = await startMember(["--config", file]);
    for (const accepts of ["br", null]) expect((await get(member, "/tagged", accepts)).text).toContain("version 1 ");
    version = 2;
    expect((await gyre(["purge", "--tag", "things", "--admin", member.admin], folder)).code).toBe(0);
    for (const accepts of ["br", null]) expect((await get(member, "/tagged", accepts)).text).toContain("version 2 ");
  });

  it("is not made fresh by an origin that fails: a soft purge stays one", async () => {
    let version = 1;
    answer = (_request, response) => {
      response.setHeader("cache-control", "max-age=600, stale-if-error=600");
      response.setHeader("etag", `"v${version}"`);
      if (version === 0) response.statusCode = 500;
      response.end(`version ${version} ${page}`);
    };
    const member = await compressing();
    for (const accepts of ["br", null]) await get(member, "/soft", accepts);
    version = 0;
    const url = "http://site.test/soft";
    expect((await gyre(["purge", "--soft", url, "--admin", member.admin], folder)).code).toBe(0);
    for (const accepts of ["br", null, "gzip"]) {
      const stale = await get(member, "/soft", accepts);
      expect(stale.text, String(accepts)).toContain("version 1 ");
      expect(stale.headers["cache-status"]).not.toMatch(/; hit(?:;|$)/);
    }
    version = 2;
    for (const accepts of ["br", null, "gzip"])
      expect((await get(member, "/soft", accepts)).text, String(accepts)).toContain("version 2 ");
  });

  it("is never older than what it is stored beside, though that came while it was being made", async () => {
    let version = 1;
    const large = page.repeat(150);
    answer = (_request, response) => response.end(`version ${version} ${large}`);
    const member = await compressing("--memory", "256MB");
    await get(member, "/race", null);
    version = 2;
    const [, fresh] = await Promise.all([
      get(member, "/race", "br"),
      get(member, "/race", null, { "cache-control": "no-cache" }),
    ]);
    expect(fresh.text.slice(0, 10)).toBe("version 2 ");
    expect((await get(member, "/race", "br")).text.slice(0, 10)).toBe("version 2 ");
  }, 60_000);

  it("is not dropped where the origin has coded it and nobody may change it", async () => {
    answer = (_request, response) => {
      response.setHeader("cache-control", "max-age=600, no-transform");
      response.setHeader("content-encoding", "gzip");
      response.end(gzipSync(page));
    };
    const member = await compressing();
    for (let turn = 0; turn < 3; turn++) expect((await get(member, "/kept", "br, gzip")).text).toBe(page);
    expect(origin.asked).toHaveLength(1);
  });
});

describe("what is not worth it", () => {
  it("is validated as often as without, and its content fetched once", async () => {
    const picture = randomBytes(50_000);
    answer = (request, response) => {
      response.setHeader("content-type", "image/png");
      response.setHeader("cache-control", "max-age=0");
      response.setHeader("etag", '"i"');
      if (request.headers["if-none-match"] === '"i"') response.statusCode = 304;
      response.end(response.statusCode === 304 ? undefined : picture);
    };
    const member = await compressing();
    for (let turn = 0; turn < 4; turn++) {
      const got = await get(member, "/picture", "br");
      expect(got.bytes.equals(picture)).toBe(true);
      expect(got.headers["etag"]).toBe('"i"');
    }
    expect(origin.asked.map(({ headers }) => headers["if-none-match"])).toEqual([undefined, '"i"', '"i"', '"i"']);
  });

  it("passes at the pace of who reads it", async () => {
    const piece = randomBytes(1024 * 1024);
    let sent = 0;
    answer = (_request, response) => {
      response.setHeader("content-type", "application/octet-stream");
      response.setHeader("cache-control", "no-store");
      const more = (): void => {
        do sent++;
        while (response.write(piece) && sent < 300);
      };
      response.on("drain", more);
      response.on("error", () => {});
      more();
    };
    const member = await compressing();
    const client = await RawClient.open(member.port);
    client.socket.pause();
    client.send("GET /large HTTP/1.1\r\nHost: site.test\r\nAccept-Encoding: br\r\n\r\n");
    await until(() => sent > 0, "it flows");
    let before = -1;
    await until(() => {
      const stands = sent === before;
      before = sent;
      return stands && sent > 2;
    }, "it stands");
    expect(sent).toBeLessThan(60);
    client.close();
  });

  it("is nothing at all, though it says that it is coded", async () => {
    answer = (_request, response) => {
      response.setHeader("content-encoding", "gzip");
      response.setHeader("content-length", "0");
      response.end();
    };
    const member = await compressing();
    for (const accepts of ["br", null]) {
      const got = await get(member, "/empty", accepts);
      expect([got.status, got.text]).toEqual([200, ""]);
    }
  });
});

describe("a steady stream", () => {
  it("comes as it is sent", async () => {
    answer = (_request, response) => {
      response.setHeader("content-type", "text/event-stream");
      response.setHeader("cache-control", "no-store");
      let count = 0;
      const timer = setInterval(() => response.write(`data: ${++count}\n\n`), 5);
      response.on("close", () => clearInterval(timer));
    };
    const member = await compressing();
    const chunks: Buffer[] = [];
    const asked = httpRequest(
      { host: "127.0.0.1", port: member.port, path: "/steady", headers: { "accept-encoding": "gzip" } },
      (response) => response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => {}),
    );
    asked.on("error", () => {});
    asked.end();
    await until(() => Buffer.concat(chunks).length > 40, "events come");
    asked.destroy();
    const text = gunzipSync(Buffer.concat(chunks), { finishFlush: 2 }).toString();
    expect(text).toContain("data: 1\n\n");
  });
});

describe("the access log", () => {
  it("has the request's name and its origin, coded or not", async () => {
    answer = (_request, response) => response.end(page);
    const log = join(folder, "access.log");
    const member = await compressing("--access-log", "all", "--access-log-file", log);
    await get(member, "/logged", "br");
    await until(() => readFileSync(log, "utf8").includes("\n"), "the line is there");
    const line = JSON.parse(readFileSync(log, "utf8").split("\n")[0]!) as Record<string, unknown>;
    expect(line["requestId"]).toBe(origin.asked[0]!.headers["x-request-id"]);
    expect(line["origin"]).toBe(origin.url);
  });
});

describe("a cluster", () => {
  it("keeps hot copies of both beside each other", async () => {
    answer = (_request, response) => response.end(page);
    const members = await startCluster(2, ["--origin", origin.url, "--compress", "br"]);
    const path = "/hot";
    for (let turn = 0; turn < 200; turn++)
      for (const accepts of [null, "br"]) await get(members[turn % 2]!, path, accepts);
    const copied = async (accepts: string | null): Promise<boolean> =>
      (await Promise.all(members.map((member) => get(member, path, accepts)))).some(({ headers }) =>
        headers["cache-status"]!.toString().includes("hot-copy"),
      );
    for (const accepts of [null, "br"]) await until(() => copied(accepts), `a copy of ${String(accepts)} is used`);
    expect(origin.asked.length).toBe(1);
  }, 60_000);

  it("asks the origin hardly more often because it compresses", async () => {
    answer = (_request, response) => response.end(page);
    const members = await startCluster(3, ["--origin", origin.url, "--compress", "br,gzip"]);
    const paths = Array.from({ length: 15 }, (_, index) => `/shared/${index}`);
    await Promise.all(
      paths.flatMap((path) =>
        members.flatMap((member) =>
          ["br", "gzip", "br"].map(async (accepts) =>
            expect((await get(member, path, accepts)).text === page).toBe(true),
          ),
        ),
      ),
    );
    expect(origin.asked.length).toBeLessThan(2 * paths.length);
  }, 60_000);
});
