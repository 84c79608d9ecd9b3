/** What is to be done with a request, as data: the steps before an answer, without anything being carried out. */
import { describe, expect, it } from "vitest";
import { decide, protocolsAsked, type Forwarded } from "../../src/proxy/request/decide.ts";
import { endToEndFields } from "../../src/http/connection-fields.ts";
import { viewOf, type Member, type View } from "../../src/ring/view.ts";
import { FakeExchange, fakePlane } from "../support/plane.ts";
import { announcementOf } from "../support/seats.ts";

const members = (...places: readonly (string | undefined)[]): View =>
  viewOf({
    cluster: "c",
    epoch: 1,
    leader: null,
    placement: 2,
    members: places.map((place, index): Member => ({
      ...announcementOf(`m${index + 1}`),
      ...(place === undefined ? {} : { place }),
    })),
  });
const one = members("here");
const routing = fakePlane({ routes: [{ host: "site.test", path: "/" }] }).current.routing;
const needs = {
  self: "m1",
  cdnId: "gyre-test",
  view: one,
  routing,
  joined: true,
  challenges: new Map<string, string>(),
};
const asked = (line: string, fields = "", hop: 0 | 1 = 0) =>
  Object.assign(new FakeExchange(`${line} HTTP/1.1\r\nHost: site.test\r\n${fields}`), { hop });
const forwarded = (change: Partial<Forwarded> = {}): Forwarded => ({
  forward: false,
  settings: 1,
  asking: "answer",
  ...change,
});

describe("decide", () => {
  it.each([
    ["CONNECT a.test:443", "", "tunnel"],
    ["OPTIONS *", "", "refused 204"],
    ["GET /x", "CDN-Loop: gyre-test\r\n", "refused 508"],
    ["GET http://other.test/", "", "here"],
    ["GET /x", "", "here"],
    ["HEAD /x", "", "here"],
    ["GET /x", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "upgrade"],
    ["POST /x", "Connection: x, upgrade\r\nUpgrade: tcp\r\n", "upgrade"],
    ["GET /x", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "here"],
    // Of another connection, if of any. RFC 9110 §7.6.1, §7.8.
    ["GET /x", "Upgrade: websocket\r\n", "here"],
    ["GET /x", "Connection: close\r\nUpgrade: websocket\r\n", "here"],
    ["POST /x", "", "passed-on method"],
    ["GET /x", "X-HTTP-Method-Override: DELETE\r\n", "passed-on request"],
    ["GET /x", "X_Method-Override: HEAD\r\n", "passed-on request"],
    ["GET /x", "X-HTTP-Method-Override: get\r\n", "here"],
    ["GET /x", "X-HTTP-Method: GET\r\nX-Method-Override: GET, PUT\r\n", "passed-on request"],
    ["HEAD /x", "X-HTTP-Method-Override: HEAD\r\n", "passed-on request"],
    ["POST /x", "X-HTTP-Method-Override: DELETE\r\n", "passed-on method"],
    ["GET /x", 'If-Match: "1"\r\n', "passed-on request"],
    ["OPTIONS /x", "Max-Forwards: 0\r\n", "refused 204"],
    ["TRACE /x", "Max-Forwards: 0\r\n", "refused 405"],
    ["OPTIONS /x", "X-Max-Forwards: max-forwards\r\nA: 0\r\n", "passed-on method"],
    // Of a site's own, over a connection in clear text. RFC 9110 §7.4.
    ["GET https://site.test/x", "", "refused 421"],
    ["GET https://other.test/x", "", "here"],
    ["GET http://site.test/x", "", "here"],
  ])("%s %j is %s", (line, fields, wanted) => {
    const decision = decide(needs, asked(line, fields), null, null);
    const detail =
      decision.kind === "refused" ? ` ${decision.status}` : decision.kind === "passed-on" ? ` ${decision.why}` : "";
    expect(`${decision.kind}${detail}`).toBe(wanted);
  });

  it.each([
    ["GET /x", "308"],
    ["GET /.well-known/acme-challenge/a-token_1", "here"],
    ["HEAD /.well-known/acme-challenge/a-token_1", "here"],
    // What means another path, or changes something, is no authority's question.
    ["GET /.well-known/acme-challenge/../../x", "308"],
    ["GET /.well-known/acme-challenge/%2e%2e/%2e%2e/x", "308"],
    ["GET /.well-known/acme-challenge/a?x", "308"],
    ["GET /.well-known/acme-challenge/a/b", "308"],
    ["POST /.well-known/acme-challenge/a", "308"],
  ])("where only https is served, %s is %s", (line, wanted) => {
    const exchange = asked(line);
    const redirected = Object.assign(exchange, { client: { ...exchange.client, redirect: 443 } });
    const decision = decide(needs, redirected, null, null);
    expect(decision.kind === "refused" ? String(decision.status) : decision.kind).toBe(wanted);
  });

  it("believes that TLS ended before it where the client is trusted, or another member has looked", () => {
    const trusting = { ...needs, routing: { ...routing, trusts: () => true } };
    expect(decide(trusting, asked("GET https://site.test/x"), null, null).kind).toBe("here");
    expect(decide(needs, asked("GET https://site.test/x", "", 1), forwarded(), null).kind).toBe("here");
  });

  it("sends a request back to the member that forwarded it where the settings for it differ, or no way leads there", () => {
    expect(decide(needs, asked("GET http://site.test/x", "", 1), forwarded(), null).kind).toBe("here");
    expect(decide(needs, asked("GET http://site.test/x", "", 1), forwarded({ settings: 7 }), null).kind).toBe(
      "declined",
    );
    const noForward = { ...needs, routing: { ...routing, forward: null } };
    expect(
      decide(noForward, asked("GET http://other.test/x", "", 1), forwarded({ forward: true, settings: 99 }), null).kind,
    ).toBe("declined");
  });

  it.each(["127.0.0.1:7000", "localhost:7000", "[::1]:7000", "a.localhost"])(
    "keeps %s at the member that the client spoke to, unstored, where members stand at different places",
    (host) => {
      const ask = (view: View) =>
        decide({ ...needs, view }, new FakeExchange(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n`), null, null);
      expect(ask(members("here", "there"))).toMatchObject({ kind: "passed-on", why: "bypass" });
      expect(ask(members("here", undefined))).toMatchObject({ kind: "passed-on" });
      expect(ask(members("here", "here")).kind).toMatch(/^(?:here|foreign)$/);
      expect(ask(one).kind).toBe("here");
    },
  );

  it("declines an offer of HTTP/2 that stands among others, and any in HTTP/1.0 (RFC 9110 §7.8)", () => {
    const headOf = (protocols: string, version = "1.1") =>
      new FakeExchange(
        `GET /x HTTP/${version}\r\nHost: site.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocols}\r\nHTTP2-Settings: AAMA\r\n`,
      ).head;
    expect(protocolsAsked(headOf("h2c, websocket"))).toBe("websocket");
    expect(protocolsAsked(headOf("H2C , h2c/1"))).toBe("");
    expect(protocolsAsked(headOf("websocket", "1.0"))).toBe("");
    expect(endToEndFields(headOf("h2c").fields)).toEqual(["host", "site.test"]);
    expect(endToEndFields(["http2-settings", "AAMA"])).toEqual([]);
  });

  it("has the key say what the origin is asked, whatever the request's spelling (RFC 9111 §2)", () => {
    const selecting = fakePlane({
      routes: [
        { host: null, path: "/sel", caching: { query: { select: new Set(["id", "a_b"]) } } },
        { host: null, path: "/ign", caching: { query: { ignore: new Set(["u", "v"]) } } },
        { host: null, path: "/begun", caching: { query: { ignore: new Set(["utm_*", "g"]) } } },
        { host: null, path: "/all", caching: { query: { ignore: new Set(["*"]) } } },
        { host: null, path: "/only", caching: { query: { select: new Set(["page_*"]) } } },
        { host: null, path: "/", caching: { keyFields: ["x-tenant", "x-forwarded-proto"] } },
      ],
    }).current.routing;
    const keyOf = (line: string, fields = ""): string => {
      const decision = decide({ ...needs, routing: selecting }, asked(line, fields), null, null);
      return "target" in decision ? decision.target.key : decision.kind;
    };
    const bare = "http://site.test/sel";
    expect(keyOf("GET /sel?id=1&u=2")).toBe(`${bare}?id=1`);
    for (const query of ["id=1&i%64=2", "i%64=5", "x;id=2", "x=1;id=2", "id[]=3", "id%5B%5D=3", "+id=4", "%zz=1"])
      expect(keyOf(`GET /sel?${query}`), query).toBe(`${bare}?${query}`);
    expect(keyOf("GET /sel?x%64=2&y[]=3")).toBe(bare);
    // ASP.NET takes names in any case; PHP has blanks, dots and brackets as underscores, and ends at NUL.
    for (const query of ["ID=2", "a.b=2", "a+b=2", "a[b=2", "A%2Eb=2", "id%00x=2", "a.b[]=2"])
      expect(keyOf(`GET /sel?${query}`), query).toBe(`${bare}?${query}`);
    expect(keyOf("GET /sel?ab=2&idx=3&x.id=4")).toBe(bare);
    for (const query of ["u=1", "u=1&v", "u=1;v=2", "u&u=2"])
      expect(keyOf(`GET /ign?${query}`), query).toBe("http://site.test/ign");
    for (const query of ["u=1;id=2", "u;id=2&x=1", "u=1;", "id=2;u=1", "U=1", "%75=1"])
      expect(keyOf(`GET /ign?${query}`), query).toBe(`http://site.test/ign?${query}`);
    for (const query of ["utm_source=1", "utm_=1&g", "utm_a;utm_b=2", "utm_a[]=1"])
      expect(keyOf(`GET /begun?${query}`), query).toBe("http://site.test/begun");
    for (const query of ["utm=1", "utm_a;id=2", "UTM_a=1", "utm%5Fa=1", "xutm_a=1", "gclid=1"])
      expect(keyOf(`GET /begun?${query}`), query).toBe(`http://site.test/begun?${query}`);
    expect(keyOf("GET /all?a=1&b;c&")).toBe("http://site.test/all");
    expect(keyOf("GET /only?a=1&page_n=2&pages=3")).toBe("http://site.test/only?page_n=2");
    for (const query of ["PAGE.n=2", "page%5Fn=2", "x;page_n=2"])
      expect(keyOf(`GET /only?${query}`), query).toBe(`http://site.test/only?${query}`);
    const tenant = keyOf("GET /t", "X-Tenant: a\r\n");
    expect(tenant).toContain("x-tenant:a");
    expect(keyOf("GET /t", "X-Tenant: a\r\nConnection: X-Tenant\r\n")).toBe(keyOf("GET /t"));
    expect(keyOf("GET /t", "X-Forwarded-Proto: https\r\n"), "nobody believes it").toBe(keyOf("GET /t"));
  });

  it("goes by a host's name with or without the dot at its end", () => {
    const named = fakePlane({
      forward: false,
      routes: [
        { host: "site.test", path: "/" },
        { host: "*.site.test", path: "/" },
      ],
    }).current.routing;
    const routeFor = (host: string): string | undefined => {
      const exchange = new FakeExchange(`GET /x HTTP/1.1\r\nHost: ${host}\r\n`);
      const decision = decide({ ...needs, routing: named }, exchange, null, null);
      return "target" in decision ? decision.target.route?.name : decision.kind;
    };
    expect(routeFor("site.test.")).toBe("r0");
    expect(routeFor("a.site.test.")).toBe("r1");
    expect(routeFor("other.test.")).toBe("refused");
  });

  it("keeps and changes nothing before this member has joined", () => {
    const joining = { ...needs, joined: false };
    const get = decide(joining, asked("GET /x"), null, null);
    expect(get).toMatchObject({ kind: "passed-on", target: { caching: { store: false } } });
    expect(decide(joining, asked("POST /x"), null, null)).toMatchObject({ kind: "refused", status: 503 });
    expect(decide(joining, asked("GET http://site.test/x", "", 1), forwarded(), null).kind).toBe("declined");
  });

  it("routes by what a path means, however it is spelled", () => {
    const two = fakePlane({
      routes: [
        { host: null, path: "/" },
        { host: null, path: "/api" },
      ],
    }).current.routing;
    const routeOf = (path: string) => {
      const decision = decide({ ...needs, routing: two }, asked(`GET ${path}`), null, null);
      return "target" in decision ? [decision.target.route?.path, decision.target.uri.path] : [];
    };
    expect(routeOf("/api/x")).toEqual(["/api", "/api/x"]);
    expect(routeOf("/api/../x")).toEqual(["/", "/api/../x"]);
    expect(routeOf("/%61pi/x")).toEqual(["/api", "/%61pi/x"]);
    expect(routeOf("/apis")).toEqual(["/", "/apis"]);
  });
});
