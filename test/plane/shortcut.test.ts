/**
 * The shortcut of a hit answers what the whole way would have answered: both run over the same requests, stores and
 * routes.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { serve, serveWhole } from "../../src/proxy/serve.ts";
import { serveShortcut, shortcutForm } from "../../src/proxy/shortcut.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane, type OriginCall } from "../support/plane.ts";

const hosts = ["a.test", "b.test", "A.test", "a.test:80", "a.test:8080"];
const paths = ["/", "/x", "/x?u=1", "/x?v=1&u=2", "/api", "/api/x", "/api/../x", "/%61pi", "/x%2f", "//x"];
const request = fc.record({
  host: fc.oneof({ weight: 3, arbitrary: fc.constant("a.test") }, { weight: 1, arbitrary: fc.constantFrom(...hosts) }),
  path: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("/x", "/v") },
    { weight: 2, arbitrary: fc.constantFrom(...paths) },
  ),
  form: fc.constantFrom("origin", "origin", "absolute"),
  method: fc.oneof(
    { weight: 12, arbitrary: fc.constant("GET") },
    { weight: 4, arbitrary: fc.constant("HEAD") },
    { weight: 1, arbitrary: fc.constant("POST") },
  ),
  fields: fc.oneof(
    { weight: 4, arbitrary: fc.constant<string[]>([]) },
    {
      weight: 3,
      arbitrary: fc
        .constantFrom('"/x"', '"/v"', '"/"', 'W/"/x"', '"other"', "*", '"a", "/x"')
        .chain((tag) =>
          fc.constantFrom<string[]>([`If-None-Match: ${tag}`], ["If-Modified-Since: Mon, 12 Jan 1970 13:46:40 GMT"]),
        ),
    },
    {
      weight: 1,
      arbitrary: fc.subarray(
        ["X-Tenant: t1", "Accept-Language: de", "Cache-Control: no-cache", "X-Forwarded-For: 1.2.3.4"],
        { maxLength: 1 },
      ),
    },
    { weight: 2, arbitrary: fc.constantFrom<string[]>(["Cookie: seen=1"], ["Cookie: seen=1; sid=2"], ["Cookie: SID"]) },
    {
      weight: 4,
      arbitrary: fc.constantFrom<string[]>(
        ["Accept-Encoding: gzip, br"],
        ["Accept-Encoding: br,gzip"],
        ["Accept-Encoding: gzip;q=0.5", "Accept-Language: en"],
        ["Accept-Encoding: gzip, br", 'If-None-Match: "/v"'],
        ["Accept-Encoding: identity"],
        ["Accept-Language: en"],
      ),
    },
  ),
  local: fc.boolean(),
  later: fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(1, 40) }),
});
/** All that the shortcut can answer, each asked for until it does: what chance brings may leave one out. */
const everyKind = ["/x", "/v"].flatMap((path) =>
  (["GET", "HEAD"] as const).flatMap((method) =>
    [[], [`If-None-Match: "${path}"`]].flatMap((conditions) =>
      Array.from({ length: 3 }, () => ({
        host: "a.test",
        form: "origin" as const,
        path,
        method,
        local: true,
        later: 0 as const,
        fields: [...(path === "/v" ? ["Accept-Encoding: gzip, br"] : []), ...conditions],
      })),
    ),
  ),
);
const everywhere = { host: null, path: "/" };
const routes = fc.subarray(
  [
    everywhere,
    { host: "a.test", path: "/", caching: { keyFields: ["x-tenant"] } },
    { host: "a.test", path: "/api", caching: { query: { ignore: new Set(["u"]) } } },
    { host: "b.test", path: "/x" },
    { host: "a.test", path: "/x", caching: { passCookies: ["sid"] } },
  ],
  { minLength: 0 },
);

/** An origin whose answers depend on the URL alone, each with a number of its own. */
function origin(): (call: OriginCall) => void {
  const counts = new Map<string, number>();
  return (call) => {
    const { path, method, origin: place } = call.request;
    const count = (counts.get(path) ?? 0) + 1;
    counts.set(path, count);
    const control = path.includes("v=") ? "no-store" : path.startsWith("//") ? "max-age=60, no-cache" : "max-age=30";
    const named: Readonly<Record<string, string>> = {
      "/api/x": "accept-language",
      "/v": "accept-encoding",
      "/x?u=1": count > 1 ? "accept-encoding, accept-language" : "x-forwarded-for",
    };
    const vary = path in named ? ["vary", named[path]!] : [];
    reply(call, 200, ["cache-control", control, "etag", `"${path}"`, ...vary], `${place}${path} ${method} ${count}`);
  };
}

/** An origin of texts that are worth a coding, but for one. */
function pages(): (call: OriginCall) => void {
  const counts = new Map<string, number>();
  return (call) => {
    const { path, fields } = call.request;
    const count = (counts.get(path) ?? 0) + 1;
    counts.set(path, count);
    const etag = `"${path}"`;
    const kept = ["cache-control", path.includes("v=") ? "no-store" : "max-age=30", "etag", etag];
    if (path.endsWith("/vary")) kept.push("vary", "accept-language");
    if (fields[fields.indexOf("if-none-match") + 1] === etag) return reply(call, 304, kept);
    const type = path.endsWith("/plain") ? "image/png" : "text/html";
    return reply(call, 200, [...kept, "content-type", type], `${path} for the time ${count}. `.repeat(20));
  };
}

/** What a client gets whether a coding, which another thread makes, was ready when it was asked for again or not. */
function whenever(seen: string): unknown {
  const [status, fields, ...rest] = JSON.parse(seen) as [number, string[], ...unknown[]];
  const pairs = fields.flatMap((name, at) =>
    at % 2 === 1 || name === "cache-status" ? [] : [`${name}: ${fields[at + 1]!}`],
  );
  return [status, pairs.sort(), ...rest];
}

const kinds = new Map<string, number>();

async function run(
  plane: FakePlane,
  way: "both" | "whole",
  asked: readonly { text: string; local: boolean; later: number }[],
) {
  const seen: string[] = [];
  let shortcuts = 0;
  for (const { text, local, later } of asked) {
    plane.now += later;
    const exchange = new FakeExchange(text, { local });
    if (way === "whole") serveWhole(plane, exchange, null);
    else {
      const { plain, conditional } = exchange.head;
      if ((plain || conditional) && serveShortcut(plane, exchange, shortcutForm(exchange, null))) {
        shortcuts++;
        const isVariant = exchange.field("vary") !== undefined ? " of a variant" : "";
        const kind = `${exchange.head.method} ${exchange.status}${isVariant}`;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      } else serve(plane, exchange);
    }
    await turns(3);
    // Codings are made in other threads.
    while (!exchange.finished && !exchange.closed) await turns(1);
    seen.push(exchange.seen);
  }
  return { seen, shortcuts };
}

describe("the shortcut", () => {
  it("answers as the whole way, whatever has been asked before and however routes lie", async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        routes,
        fc.boolean(),
        fc.array(request, { minLength: 10, maxLength: 40 }),
        async (given, forward, wanted) => {
          const asked = wanted.map(({ host, path, form, method, fields, local, later }) => ({
            text: `${method} ${form === "absolute" ? `http://${host}${path}` : path} HTTP/1.1\r\nHost: ${host}\r\n${fields.map((line) => `${line}\r\n`).join("")}`,
            local,
            later,
          }));
          const [one, other] = [0, 1].map(() => fakePlane({ answer: origin(), routes: given, forward }));
          const [both, whole] = [await run(one!, "both", asked), await run(other!, "whole", asked)];
          expect(both.seen).toEqual(whole.seen);
          taken += both.shortcuts;
        },
      ),
      { numRuns: 1500, examples: [[[everywhere], false, everyKind]] },
    );
    // A property that never meets what it is about says nothing.
    expect(taken).toBeGreaterThan(50);
    for (const kind of ["GET 200", "GET 304", "HEAD 200", "HEAD 304"].flatMap((one) => [one, `${one} of a variant`]))
      expect(kinds.get(kind) ?? 0, kind).toBeGreaterThan(0);
  }, 60_000);

  it("answers as the whole way where the member compresses, whatever codings clients take", async () => {
    const codedRequest = fc.record({
      path: fc.constantFrom("/c", "/c", "/c?v=1", "/c/plain", "/c/vary"),
      method: fc.constantFrom("GET", "GET", "GET", "HEAD"),
      codings: fc.constantFrom(
        "",
        "gzip",
        "br, gzip",
        "gzip;q=1, br;q=0.5",
        "gzip;q=0, br",
        "identity",
        "*",
        "zstd",
        "identity;q=0, gzip",
      ),
      fields: fc.oneof(
        { weight: 4, arbitrary: fc.constant("") },
        {
          weight: 3,
          arbitrary: fc
            .constantFrom('"/c"', 'W/"/c;gzip"', 'W/"/c"', "*", '"/c/vary"')
            .map((tag) => `If-None-Match: ${tag}\r\n`),
        },
        {
          weight: 2,
          arbitrary: fc.constantFrom("Accept-Language: de\r\n", "Cache-Control: no-cache\r\n", "Range: bytes=0-3\r\n"),
        },
      ),
      // Time stands still: a coding that is not ready when what it is of is asked for anew would be of another age.
      later: fc.constant(0),
    });
    let taken = 0;
    let coded = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<readonly ("br" | "gzip")[]>(["gzip"], ["br", "gzip"]),
        fc.array(codedRequest, { minLength: 8, maxLength: 24 }),
        async (codings, wanted) => {
          const asked = wanted.map(({ path, method, codings: takes, fields, later }) => ({
            // A HEAD whose condition names the uncoded one is answered by that, until the other has been made.
            text: `${method} ${path} HTTP/1.1\r\nHost: a.test\r\n${takes === "" ? "" : `Accept-Encoding: ${takes}\r\n`}${method === "HEAD" && /"\/c(?:\/vary)?"/.test(fields) ? "" : fields}`,
            local: false,
            later,
          }));
          const rules = { codings, types: ["text/html"], leastBytes: 64 };
          const given = [{ host: null, path: "/c", compression: rules }];
          const [one, other] = [0, 1].map(() => fakePlane({ answer: pages(), routes: given, forward: false }));
          const [both, whole] = [await run(one!, "both", asked), await run(other!, "whole", asked)];
          expect(both.seen.map(whenever)).toEqual(whole.seen.map(whenever));
          taken += both.shortcuts;
          coded += both.seen.filter((text) => text.includes("content-encoding")).length;
        },
      ),
      { numRuns: 150 },
    );
    expect(taken).toBeGreaterThan(50);
    expect(coded).toBeGreaterThan(50);
  }, 60_000);

  it("does not answer a form of request for which the whole way has not (a forward client's URL is no route)", async () => {
    const plane = fakePlane({ answer: origin(), routes: [{ host: "b.test", path: "/" }] });
    const absolute = () => new FakeExchange("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n");
    for (let time = 0; time < 3; time++) {
      serve(plane, absolute());
      await turns();
    }
    const hit = absolute();
    expect(serveShortcut(plane, hit, shortcutForm(hit, null))).toBe(true);
    expect(hit.field("cache-status")).toMatch(/^m1; hit/);
    const own = new FakeExchange("GET /x HTTP/1.1\r\nHost: a.test\r\n");
    serve(plane, own);
    await turns();
    expect(own.status).toBe(404);
  });
});
