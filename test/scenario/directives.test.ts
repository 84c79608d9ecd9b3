/** What a route does beside leading to an origin: fields set and removed, paths moved, answers of its own. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { endAll, startCluster, startMember, temporaryFolder, type TestMember } from "../support/member.ts";
import { freePort } from "../support/free-port.ts";
import { startOrigin, type Asked, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    response.setHeader("server", "origin/1.0");
    response.setHeader("etag", '"1"');
    response.setHeader("vary", "cookie");
    response.setHeader("cache-control", request.url === "/short" ? "max-age=0" : "max-age=600");
    const place = /\/to\?(.*)$/.exec(request.url!)?.[1];
    if (place !== undefined) response.writeHead(request.method === "POST" ? 201 : 302, { location: place });
    else if (request.url === "/told/form")
      response.writeHead(request.method === "POST" ? 302 : 307, { location: "http://app.internal/told/form" });
    else if (request.headers["if-none-match"] === '"1"') response.statusCode = 304;
    response.end(response.statusCode === 304 ? undefined : `content of ${request.url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const folder = temporaryFolder();
let files = 0;

/** A file with these routes; ORIGIN stands for the origin. */
function file(routes: string, more = ""): string {
  const name = join(folder, `routes-${++files}.yaml`);
  writeFileSync(name, `${more}routes:\n${routes.replaceAll("ORIGIN", origin.url)}`);
  return name;
}

const routed = (routes: string, more?: string): Promise<TestMember> => startMember(["--config", file(routes, more)]);
const askedLast = (path: string): Asked => origin.asked.findLast(({ url }) => url === path)!;

describe("fields", () => {
  const routes = `
  - origin: ORIGIN
    set-fields:
      request: { X-Zone: inner, User-Agent: gyre }
      response: { X-Frame-Options: DENY, Strict-Transport-Security: max-age=63072000 }
    remove-fields: { request: [Cookie], response: [Server] }
`;

  it("are set and removed both ways, for hits and after a validation too", async () => {
    const member = await routed(routes);
    for (const path of ["/page", "/page", "/short", "/short"]) {
      const { headers, status } = await ask(member.port, path, {
        headers: { cookie: `c=${Math.random()}`, "user-agent": "me" },
      });
      expect(status).toBe(200);
      expect(headers["x-frame-options"]).toBe("DENY");
      expect(headers["server"]).toBeUndefined();
      expect(headers["strict-transport-security"], "nothing for what is not secure").toBeUndefined();
    }
    expect(askedLast("/page").headers).toMatchObject({ "x-zone": "inner", "user-agent": "gyre" });
    expect(askedLast("/page").headers["cookie"]).toBeUndefined();
    expect(origin.count("/page"), "a cookie that the origin does not see selects nothing").toBe(1);
    expect(askedLast("/short").headers["if-none-match"]).toBe('"1"');
  });

  it("are obeyed by Gyre as well as by clients", async () => {
    const member = await routed(`
  - origin: ORIGIN
    set-fields: { response: { Cache-Control: "public, max-age=60" } }
    remove-fields: { response: [vary] }
`);
    await ask(member.port, "/short");
    const { headers } = await ask(member.port, "/short");
    expect(headers["cache-control"]).toBe("public, max-age=60");
    expect(headers["cache-status"]).toMatch(/; hit/);
  });

  it("that would break messages are refused, with the place", async () => {
    for (const [text, message] of [
      ["set-fields: { response: { Content-Length: '5' } }", /frames or selects messages/],
      ["set-fields: { request: { Host: other } }", /frames or selects messages/],
      ['set-fields: { response: { X-Odd: "a\\r\\nb: c" } }', /printable ASCII on one line/],
      ["set-fields: { response: { 'no name': x } }", /is no field name/],
      ["remove-fields: { response: [ETag] }", /frames or selects messages/],
      ["set-field: { response: { A: b } }", /set-fields/],
      ["set-fields: { response: { X-A: a, x-a: b } }", /x-a and X-A are one field: set it once/],
      ["set-fields: { request: { __proto__: b } }", /:\d+: "routes\.0\.set-fields\.request\.__proto__" is no name/],
      ["rewrite: v2", /write a path as in \/v2/],
    ] as const) {
      const { code, errors, output } = await gyre(["check", file(`  - origin: ORIGIN\n    ${text}\n`)], folder);
      expect({ text, code }).toEqual({ text, code: 1 });
      expect(errors + output).toMatch(message);
    }
  });
});

describe("a path that is moved", () => {
  it("is the origin's own, and the client's stays the key", async () => {
    const member = await routed(`
  - path: /api
    rewrite: /v2
    origin: ORIGIN
  - origin: ORIGIN
`);
    expect((await ask(member.port, "/api/things?x=/api")).text).toBe("content of /v2/things?x=/api");
    expect((await ask(member.port, "/%61pi/things")).text).toBe("content of /v2/things");
    expect((await ask(member.port, "/v2/things?x=/api")).text).toBe("content of /v2/things?x=/api");
    expect(origin.count("/v2/things?x=/api"), "two keys").toBe(2);
    expect((await ask(member.port, "/apis")).text).toBe("content of /apis");
  });

  it("is turned back in what the origin says of places, and a POST ends what is stored there (RFC 9111 §4.4)", async () => {
    const member = await routed(`
  - path: /api
    rewrite: /v2
    origin: ORIGIN
  - path: /shop
    rewrite: /
    origin: ORIGIN
    host-field: origin
`);
    const placeOf = async (path: string, host?: string): Promise<unknown> =>
      (await ask(member.port, path, host === undefined ? {} : { headers: { host } })).headers["location"];
    expect(await placeOf("/api/to?/v2/things")).toBe("/api/things");
    expect(await placeOf("/api/to?/v2/things"), "stored").toBe("/api/things");
    expect(await placeOf("/api/to?http://shop.test/v2/things", "shop.test")).toBe("http://shop.test/api/things");
    expect(await placeOf("/api/to?https://elsewhere.test/v2/things")).toBe("https://elsewhere.test/v2/things");
    expect(await placeOf("/api/to?/v2/elsewhere/../../x")).toBe("/v2/elsewhere/../../x");
    expect(await placeOf(`/shop/to?${origin.url}/login`)).toBe("/shop/login");
    await ask(member.port, "/api/things");
    await ask(member.port, "/api/things");
    const count = origin.count("/v2/things");
    await ask(member.port, "/api/to?/v2/things", { method: "POST" });
    await ask(member.port, "/api/things");
    expect(origin.count("/v2/things")).toBe(count + 1);
  });
});

describe("a place that the origin names as its own", () => {
  it("is the client's, whatever Host it was told: nobody else may be able to get there (RFC 9110 §10.2.2)", async () => {
    const member = await routed(`
  - path: /told
    origin: ORIGIN
    host-field: app.internal
  - origin: ORIGIN
`);
    const placeOf = async (path: string, method = "GET"): Promise<unknown> =>
      (await ask(member.port, path, { method, headers: { host: "site.test" } })).headers["location"];
    expect(await placeOf(`/to?${origin.url}/login?next=/`)).toBe("/login?next=/");
    expect(await placeOf(`/to?${origin.url}/login?next=/`), "stored").toBe("/login?next=/");
    expect(await placeOf("/told/to?http://app.internal/login")).toBe("/login");
    expect(await placeOf("/told/to?https://app.internal/login"), "another scheme").toBe("https://app.internal/login");
    expect(await placeOf("/told/form"), "what was asked for").toBe("http://app.internal/told/form");
    expect(await placeOf("/told/form", "POST"), "a GET of it").toBe("/told/form");
    expect(await placeOf("/told/form", "PUT"), "the same PUT").toBe("http://app.internal/told/form");
    expect(await placeOf("/to?http://app.internal/login")).toBe("http://app.internal/login");
    expect(await placeOf("/to?http://site.test/login")).toBe("http://site.test/login");
    await ask(member.port, "/things", { headers: { host: "site.test" } });
    const count = origin.count("/things");
    await placeOf(`/to?${origin.url}/things`, "POST");
    await ask(member.port, "/things", { headers: { host: "site.test" } });
    expect(origin.count("/things"), "what a POST has written there is asked for anew").toBe(count + 1);
  });
});

describe("an answer of the route's own", () => {
  const routes = `
  - path: /old
    redirect: /new
  - path: /gone
    redirect: { to: "https://elsewhere.test/there", status: 302, rest: false }
  - path: /moved
    redirect: https://elsewhere.test
  - path: /up
    redirect: /
  - path: /robots.txt
    respond: { status: 200, text: "User-agent: *\\n" }
    set-fields: { response: { X-Robots: all } }
  - path: /teapot
    respond: { status: 418, text: "<b>short and stout</b>", type: text/html }
  - path: /nothing
    respond: { status: 204 }
  - origin: ORIGIN
`;

  it("sends clients elsewhere, with what stands behind the route's path, or without", async () => {
    const member = await routed(routes);
    const sent = async (path: string): Promise<[number, unknown]> => {
      const { status, headers } = await ask(member.port, path);
      return [status, headers["location"]];
    };
    expect(await sent("/old/page?x=1")).toEqual([308, "/new/page?x=1"]);
    expect(await sent("/old")).toEqual([308, "/new"]);
    expect(await sent("/gone/page?x=1")).toEqual([302, "https://elsewhere.test/there"]);
    expect(await sent("/moved/page")).toEqual([308, "https://elsewhere.test/page"]);
    expect(await sent("/older")).toEqual([200, undefined]);
  });

  it("never leads to a host that the client has named", async () => {
    const member = await routed(routes);
    for (const path of ["/up//evil.test/x", "/up/\\evil.test", "/up///evil.test"]) {
      const client = await RawClient.open(member.port);
      client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      const text = await client.until((all) => all.includes("\r\n\r\n"), "an answer");
      expect(/location: (\S+)/.exec(String(text))?.[1], path).toMatch(/^\/[^/\\]/);
      client.close();
    }
  });

  it("says what it is told to, to every method, and asks no origin", async () => {
    const member = await routed(routes);
    const before = origin.asked.length;
    const robots = await ask(member.port, "/robots.txt");
    expect([robots.status, robots.text]).toEqual([200, "User-agent: *\n"]);
    expect(robots.headers).toMatchObject({ "content-type": "text/plain; charset=utf-8", "x-robots": "all" });
    const head = await ask(member.port, "/robots.txt", { method: "HEAD" });
    expect([head.status, head.text, head.headers["content-length"]]).toEqual([200, "", "14"]);
    const post = await ask(member.port, "/teapot", { method: "POST", body: "tea" });
    expect([post.status, post.text, post.headers["content-type"]]).toEqual([
      418,
      "<b>short and stout</b>",
      "text/html",
    ]);
    expect((await ask(member.port, "/nothing")).status).toBe(204);
    expect(origin.asked.length).toBe(before);
  });

  it("is given by every member, and explained", async () => {
    const config = file(routes);
    const members = await startCluster(2, ["--config", config]);
    for (const { port } of members) expect((await ask(port, "/robots.txt")).status).toBe(200);
    const at = ["--admin", members[0]!.admin];
    const { output } = await gyre(["explain", `http://127.0.0.1:${members[0]!.port}/old/x`, ...at], folder);
    expect(output).toMatch(/next GET sent on to \/new and what stands behind the route's path with status 308/);
    const { output: other } = await gyre(["explain", `http://127.0.0.1:${members[0]!.port}/teapot`, ...at], folder);
    expect(other).toContain("answered with status 418");
    const { output: plain } = await gyre(["explain", `http://127.0.0.1:${members[0]!.port}/robots.txt`, ...at], folder);
    expect(plain).toContain('set-fields of responses: {"x-robots":"all"}');
  });

  it("sends origins what proves who asks, and shows it to nobody", async () => {
    const token = "Bearer hunter2";
    const config = file(
      `  - { origin: "${origin.url}", set-fields: { request: { X-Secret: "${token}" }, response: { X-Robots: all } } }\n`,
    );
    const member = await startMember(["--config", config]);
    await ask(member.port, "/told");
    expect(askedLast("/told").headers["x-secret"]).toBe(token);
    const url = `http://127.0.0.1:${member.port}/told`;
    for (const command of [
      ["explain", url, "--admin", member.admin],
      ["explain", url, "--admin", member.admin, "--json"],
      ["config", "--config", config],
      ["config", "--config", config, "--json"],
    ]) {
      const { code, output } = await gyre(command, folder);
      expect(code).toBe(0);
      expect(output.toLowerCase(), command[0]).toMatch(/x-secret": ?"\*\*\*"/);
      expect(output.toLowerCase(), command[0]).toMatch(/x-robots": ?"all"/);
      expect(output).not.toContain("hunter2");
    }
  });

  it("is given where everything else is sent on to https: health, robots.txt", async () => {
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const parameters = [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=h",
      "-keyout",
      key,
    ];
    execFileSync("openssl", [...parameters, "-out", cert], { stdio: "ignore" });
    const [plain, secure] = [await freePort(), await freePort()];
    const more = `listen: ["127.0.0.1:${plain},redirect", "127.0.0.1:${secure},tls"]\ntls-cert: ${cert}\ntls-key: ${key}\n`;
    await startMember(["--config", file(routes, more)], {}, ["--peer", "--admin"]);
    expect((await ask(plain, "/robots.txt")).status).toBe(200);
    expect((await ask(plain, "/page")).status).toBe(308);
    expect((await ask(plain, "/old/x")).headers["location"]).toMatch(/^https:/);
  });

  it("stands alone: a route has one of origins, a redirect, a text", async () => {
    const { code, output, errors } = await gyre(["check", file("  - origin: ORIGIN\n    redirect: /x\n")], folder);
    expect(code).toBe(1);
    expect(output + errors).toContain("one of origin, origins, redirect and respond");
  });
});
