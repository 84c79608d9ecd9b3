/** What is to be done with a request, as data: the steps before an answer, without anything being carried out. */
import { describe, expect, it } from "vitest";
import { decide, type Forwarded } from "../../src/proxy/request/decide.ts";
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
    ["GET /x", "Upgrade: websocket\r\n", "upgrade"],
    ["POST /x", "Upgrade: tcp\r\n", "upgrade"],
    ["GET /x", "Upgrade: h2c\r\n", "here"],
    ["POST /x", "", "passed-on method"],
    ["GET /x", 'If-Match: "1"\r\n', "passed-on request"],
    ["OPTIONS /x", "Max-Forwards: 0\r\n", "refused 204"],
    ["TRACE /x", "Max-Forwards: 0\r\n", "refused 405"],
    ["OPTIONS /x", "X-Max-Forwards: max-forwards\r\nA: 0\r\n", "passed-on method"],
  ])("%s %j is %s", (line, fields, wanted) => {
    const decision = decide(needs, asked(line, fields), null, null);
    const detail =
      decision.kind === "refused" ? ` ${decision.status}` : decision.kind === "passed-on" ? ` ${decision.why}` : "";
    expect(`${decision.kind}${detail}`).toBe(wanted);
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
