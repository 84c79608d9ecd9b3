/** Requests of one user, by a cookie that the route names: nothing of the store for them, nothing of theirs in it. */
import { expect, it } from "vitest";
import { explain, type Explanation } from "../../src/admin/explain.ts";
import { serve } from "../../src/proxy/serve.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane } from "../support/plane.ts";

const url = "http://a.test/page";
const routes = [{ host: "a.test", path: "/", caching: { passCookies: ["sid", "login_*"] } }];

/** An origin that greets whom it knows, and asks for nothing more than a second of freshness. */
function greeting(): FakePlane {
  return fakePlane({
    routes,
    answer: (call) => {
      const { fields, method } = call.request;
      const cookies = fields[fields.indexOf("cookie") + 1]!;
      const who = fields.includes("cookie") ? (/(?:sid|login_x)=(\w+)/i.exec(cookies)?.[1] ?? "nobody") : "nobody";
      const kept = ["cache-control", "max-age=600", "etag", `"${who}"`];
      if (fields[fields.indexOf("if-none-match") + 1] === `"${who}"`) return reply(call, 304, kept);
      if (method === "POST") kept.push("content-location", "/page");
      return reply(call, 200, kept, method === "HEAD" ? "" : `hello ${who}`);
    },
  });
}

async function ask(plane: FakePlane, cookie: string | null, more = "", method = "GET"): Promise<string> {
  const said = cookie === null ? "" : `Cookie: ${cookie}\r\n`;
  const exchange = new FakeExchange(`${method} /page HTTP/1.1\r\nHost: a.test\r\n${said}${more}`);
  serve(plane, exchange);
  await turns();
  const told = exchange.fields[exchange.fields.indexOf("cache-status") + 1]!.replace(/ttl=\d+/, "ttl");
  return `${exchange.status} ${exchange.content} (${told.slice(4)})`;
}

const passed = (who: string): string => `200 hello ${who} (fwd=bypass; fwd-status=200; detail=pass-cookies)`;

it("go to the origin, each with its own answer, of which nothing is kept (RFC 9211 §2.2)", async () => {
  const plane = greeting();
  expect(await ask(plane, "sid=alice")).toBe(passed("alice"));
  expect(await ask(plane, null)).toBe("200 hello nobody (fwd=uri-miss; fwd-status=200; stored; ttl)");
  for (const cookie of ["seen=1", "x=sid", "sidx=bob", null])
    expect(await ask(plane, cookie), String(cookie)).toBe("200 hello nobody (hit; ttl)");
  expect(await ask(plane, "seen=1; sid=bob")).toBe(passed("bob"));
  expect(await ask(plane, "login_x=carol")).toBe(passed("carol"));
  expect(await ask(plane, "SID=dora")).toBe(passed("dora"));
  expect(await ask(plane, null)).toBe("200 hello nobody (hit; ttl)");
});

it("neither freshen nor end what others are given, whatever they ask", async () => {
  const plane = greeting();
  await ask(plane, null);
  for (const [more, method] of [
    ['If-None-Match: "alice"\r\n', "GET"],
    ["", "HEAD"],
    ["Cache-Control: no-cache\r\n", "GET"],
    ['If-Match: "other"\r\n', "GET"],
    ["Range: bytes=0-1\r\n", "GET"],
    ["X-HTTP-Method-Override: HEAD\r\n", "GET"],
  ] as const) {
    expect(await ask(plane, "sid=alice", more, method), more + method).not.toContain("hit");
    expect(await ask(plane, null), more + method).toBe("200 hello nobody (hit; ttl)");
  }
  // What a user changes is changed for all; the answer that names the page is his own.
  await ask(plane, "sid=alice", "Content-Length: 0\r\n", "POST");
  expect(await ask(plane, null)).toBe("200 hello nobody (fwd=uri-miss; fwd-status=200; stored; ttl)");
});

it("are told of by explain", async () => {
  const plane = greeting();
  await ask(plane, null);
  const { rules, next } = explain(plane, url, ["cookie", "a=1; sid=2"]) as Explanation;
  expect(rules["pass-cookies"]).toEqual(["sid", "login_*"]);
  expect(next).toBe("goes to the origin, past the store: it sends a cookie that pass-cookies names");
  expect((explain(plane, url, ["cookie", "a=1"]) as Explanation).next).toMatch(/^hit /);
});
