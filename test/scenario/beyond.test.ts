/** What goes beyond plain GET: parts, QUERY, groups, targeted fields, per-route rules and what explain says of them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, through } from "../support/client.ts";
import { endAll, startCluster, startMember, temporaryFolder, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(endAll);

async function origin(answer: Parameters<typeof startOrigin>[0]): Promise<TestOrigin> {
  const started = await startOrigin(answer);
  closing.push(() => started.close());
  return started;
}

describe("parts (RFC 9111 §3.4)", () => {
  const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
  let member: TestMember;
  beforeAll(async () => {
    member = await startMember();
  });

  /** Answers ranges and nothing else. */
  async function parted(etag: string): Promise<TestOrigin> {
    return origin((request, response) => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      response.setHeader("cache-control", "max-age=60");
      response.setHeader("etag", etag);
      if (range === null) return response.end(content);
      const [first, last] = [Number(range[1]), Number(range[2])];
      return response
        .writeHead(206, { "content-range": `bytes ${first}-${last}/1000`, "content-length": last - first + 1 })
        .end(content.subarray(first, last + 1));
    });
  }

  it("are kept, serve what lies within them, grow together and become the whole (RFC 9110 §15.3.7.3)", async () => {
    const { url, asked } = await parted('"strong"');
    const range = (text: string) => through(member.port, `${url}/`, { headers: { range: `bytes=${text}` } });
    await range("0-499");
    const within = await range("100-199");
    expect(within.status).toBe(206);
    expect(within.cacheStatus).toContain("hit");
    expect(within.headers["content-range"]).toBe("bytes 100-199/1000");
    expect(within.body.equals(content.subarray(100, 200))).toBe(true);
    await range("400-799");
    expect((await range("300-700")).cacheStatus).toContain("hit");
    await range("800-999");
    const whole = await through(member.port, `${url}/`);
    expect(whole.status).toBe(200);
    expect(whole.cacheStatus).toContain("hit");
    expect(whole.body.equals(content)).toBe(true);
    expect(asked.length).toBe(3);
  });

  it("of a weak validator are not put together (RFC 9110 §15.3.7.3)", async () => {
    const { url } = await parted('W/"weak"');
    await through(member.port, `${url}/`, { headers: { range: "bytes=0-499" } });
    await through(member.port, `${url}/`, { headers: { range: "bytes=500-999" } });
    expect((await through(member.port, `${url}/`)).cacheStatus).toContain("fwd=partial");
  });
});

describe("QUERY (RFC 10008)", () => {
  it("is cached by its content and what describes it, in the whole cluster, apart from GET (RFC 10008 §2.7)", async () => {
    const { url, asked } = await origin((request, response, one) => {
      response.setHeader("cache-control", "max-age=60");
      response.end(`${request.method} ${one.body.toString()}`);
    });
    const members = await startCluster(2);
    const query = (entry: number, body: string, type = "text/plain") =>
      through(members[entry]!.port, `${url}/q`, { method: "QUERY", body, headers: { "content-type": type } });
    expect((await query(0, "a")).text).toBe("QUERY a");
    const again = await query(1, "a");
    expect(again.text).toBe("QUERY a");
    expect(again.cacheStatus).toContain("hit");
    expect((await query(0, "b")).text).toBe("QUERY b");
    expect((await query(0, "a", "text/other")).cacheStatus).not.toContain("; hit");
    expect((await through(members[0]!.port, `${url}/q`)).text).toBe("GET ");
    expect(asked.length).toBe(4);
    expect((await query(0, "x".repeat(300_000))).status).toBe(413);
  });
});

describe("groups (RFC 9875)", () => {
  it("are invalidated together at every member, those of the same origin only (RFC 9875 §2)", async () => {
    const { url } = await origin((request, response) => {
      response.setHeader("cache-control", "max-age=60");
      if (request.method === "POST") response.setHeader("cache-group-invalidation", '"news"');
      else response.setHeader("cache-groups", request.url!.startsWith("/news") ? '"news", "all"' : '"all"');
      response.end(request.url);
    });
    const neighbour = await origin((_request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.setHeader("cache-groups", '"news"');
      response.end("neighbour");
    });
    const members = await startCluster(3);
    await through(members[1]!.port, `${neighbour.url}/`);
    const get = (path: string) => through(members[1]!.port, url + path);
    const paths = Array.from({ length: 12 }, (_, index) => `/news${index}`);
    for (const path of [...paths, "/other"]) await get(path);
    for (const path of paths) expect((await get(path)).cacheStatus).toContain("; hit");
    await through(members[2]!.port, `${url}/edit`, { method: "POST", body: "x" });
    for (const path of paths) expect((await get(path)).cacheStatus).toContain("fwd=uri-miss");
    expect((await get("/other")).cacheStatus).toContain("; hit");
    expect((await through(members[1]!.port, `${neighbour.url}/`)).cacheStatus).toContain("; hit");
  });
});

describe("rules", () => {
  it("of a route change freshness, keys and use, and explain shows them", async () => {
    const { url, asked } = await origin((request, response) => {
      if (request.url!.startsWith("/error")) response.statusCode = 500;
      response.end(`${request.url} for ${String(request.headers["x-tenant"] ?? "nobody")}`);
    });
    const file = join(temporaryFolder(), "rules.yaml");
    writeFileSync(
      file,
      `routes:
  - host: ruled.example
    origin: ${url}
    caching: { default-freshness: 1h, negative-freshness: 30s, honour-reload: false, query-select: [id], key-fields: [X-Tenant] }
`,
    );
    const member = await startMember(["--config", file]);
    const get = (path: string, headers: Record<string, string> = {}) =>
      ask(member.port, path, { headers: { host: "ruled.example", ...headers } });
    await get("/page?id=1&session=a");
    expect((await get("/page?session=b&id=1")).cacheStatus).toContain("hit");
    expect((await get("/page?id=1", { "cache-control": "no-cache" })).cacheStatus).toContain("hit");
    expect((await get("/page?id=2")).cacheStatus).toContain("fwd=uri-miss");
    expect((await get("/page?id=1", { "x-tenant": "acme" })).text).toBe("/page?id=1 for acme");
    await get("/error");
    expect((await get("/error")).cacheStatus).toMatch(/hit; ttl=(?:30|29)/);
    expect(asked.length).toBe(4);
    const explained = (await (
      await fetch(`http://${member.admin}/api/explain?url=${encodeURIComponent("http://ruled.example/page?id=1&x=y")}`)
    ).json()) as { rules: object; variants: { lifetimeSource: string; clause: string }[]; owner: string };
    expect(explained.rules).toEqual({
      "default-freshness": 3600,
      "negative-freshness": 30,
      "honour-reload": false,
      "query-select": ["id"],
      "key-fields": ["x-tenant"],
    });
    expect(explained.owner).toBe("m1");
  });

  it("of the CDN's own field govern, and a malformed one is ignored whole (RFC 9213 §2.2, RFC 9651 §4.2)", async () => {
    const { url } = await origin((request, response) => {
      response.setHeader("cache-control", "no-store");
      response.setHeader("cdn-cache-control", request.url === "/good" ? "max-age=60" : "max-age=60, &&&");
      response.end("x");
    });
    const member = await startMember();
    for (const path of ["/good", "/bad"]) await through(member.port, url + path);
    expect((await through(member.port, `${url}/good`)).cacheStatus).toContain("hit");
    expect((await through(member.port, `${url}/bad`)).cacheStatus).toContain("fwd=uri-miss");
    const explained = (await (
      await fetch(`http://${member.admin}/api/explain?url=${encodeURIComponent(`${url}/bad`)}`)
    ).json()) as { next: string };
    expect(explained.next).toContain("RFC 9111 §5.2.2.5: the response said no-store");
  });
});
