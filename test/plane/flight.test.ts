/** One fetch and all who wait for it, in pairs: who joins, who leaves, who gets what, and what is stored of it. */
import { describe, expect, it } from "vitest";
import { OriginError } from "../../src/origin/origin-error.ts";
import { serve } from "../../src/proxy/serve.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane } from "../support/plane.ts";

const get = (fields = "", path = "/x", method = "GET"): FakeExchange =>
  new FakeExchange(`${method} http://a.test${path} HTTP/1.1\r\nHost: a.test\r\n${fields}`);
async function ask(plane: FakePlane, ...exchanges: FakeExchange[]): Promise<void> {
  for (const exchange of exchanges) serve(plane, exchange);
  await turns();
}
const fresh = ["cache-control", "max-age=60"];
/** Nothing is held, read or set aside any more. */
function atRest(plane: FakePlane): void {
  expect(plane.store.usage.leases).toBe(0);
  expect(plane.desk.recorder.counts.inFlight).toBe(0);
}

describe("a flight", () => {
  it("asks the origin once for all who come, and serves each from its first byte", async () => {
    const plane = fakePlane();
    const [one, other] = [get(), get()];
    await ask(plane, one, other);
    expect(plane.calls).toHaveLength(1);
    const { handler } = plane.calls[0]!;
    handler.head(200, [...fresh, "content-length", "6"], false);
    handler.data(Buffer.from("abc"));
    expect([one.content, other.content]).toEqual(["abc", "abc"]);
    const late = get();
    serve(plane, late);
    expect(late.content).toBe("abc");
    handler.data(Buffer.from("def"));
    handler.end([]);
    for (const exchange of [one, other, late]) expect([exchange.content, exchange.finished]).toEqual(["abcdef", true]);
    expect(other.field("cache-status")).toContain("collapsed");
    atRest(plane);
    await ask(plane, get());
    expect(plane.calls).toHaveLength(1);
  });

  it("that is too late is not the end for who has joined it late: they get a fetch of their own time", async () => {
    const plane = fakePlane();
    const first = get();
    await ask(plane, first);
    const begun = performance.now();
    while (performance.now() - begun < 60) await turns(1);
    const late = [get(), get()];
    await ask(plane, ...late);
    expect(plane.calls).toHaveLength(1);
    plane.calls[0]!.handler.failed(new OriginError("head", "HEAD_TIMEOUT", "it did not answer in time", 504, false));
    await turns();
    expect([first.status, plane.calls.length, late.map(({ answered }) => answered)]).toEqual([504, 2, [false, false]]);
    reply(plane.calls[1]!, 200, fresh, "now");
    await turns();
    expect(late.map(({ content }) => content)).toEqual(["now", "now"]);
    atRest(plane);
  });

  it("does not take from others what is stored, where its asker is refused (RFC 9111 §4.3.3)", async () => {
    const plane = fakePlane({
      answer: (call) =>
        call.request.fields.includes("authorization")
          ? reply(call, 401, ["www-authenticate", "Basic"])
          : reply(call, 200, [...fresh, "etag", '"1"'], "for all"),
    });
    await ask(plane, get());
    const refused = get("Cache-Control: no-cache\r\nAuthorization: x\r\n");
    await ask(plane, refused);
    expect(refused.status).toBe(401);
    const other = get();
    await ask(plane, other);
    expect([other.content, plane.calls.length]).toEqual(["for all", 2]);
    for (const status of [403, 404, 410, 451]) {
      const gone = fakePlane({ answer: (call) => reply(call, gone.calls.length > 1 ? status : 200, fresh, "x") });
      for (const fields of ["", "Cache-Control: no-cache\r\n", ""]) await ask(gone, get(fields));
      expect(gone.store.variants("http://a.test/x").map(({ head }) => head.status)).toEqual([status]);
    }
  });

  it("shares no part that nobody has asked for (RFC 9110 §15.3.7)", async () => {
    const plane = fakePlane();
    const [one, other] = [get(), get()];
    await ask(plane, one, other);
    const part = [...fresh, "content-range", "bytes 0-1/4"];
    reply(plane.calls[0]!, 206, part, "ab");
    await turns();
    expect([one.status, other.answered, plane.calls.length]).toEqual([206, false, 2]);
    reply(plane.calls[1]!, 200, fresh, "abcd");
    await turns();
    expect([other.status, other.content]).toEqual([200, "abcd"]);
    atRest(plane);
  });

  it("tells the origin of the scheme that it is stored under, whatever connection it came by", async () => {
    const plane = fakePlane({
      routes: [{ host: "a.test", path: "/" }],
      answer: (call) => reply(call, 200, fresh, String(call.request.fields.includes("https"))),
    });
    const secure = new FakeExchange("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n", { scheme: "https" });
    await ask(plane, secure);
    const clear = new FakeExchange("GET /x HTTP/1.1\r\nHost: a.test\r\n", { scheme: "http" });
    await ask(plane, clear);
    expect([secure.content, clear.content, plane.calls.length]).toEqual(["false", "false", 1]);
    // Who only claims https is refused; whom this proxy trusts is believed.
    const claiming = (): FakeExchange =>
      new FakeExchange("GET https://a.test/x HTTP/1.1\r\nHost: a.test\r\n", { scheme: "http" });
    const stranger = claiming();
    await ask(plane, stranger);
    expect([stranger.status, plane.calls.length]).toEqual([421, 1]);
    plane.current.routing = { ...plane.current.routing, trusts: () => true };
    const balancer = claiming();
    await ask(plane, balancer);
    expect([balancer.content, plane.calls.length]).toEqual(["true", 2]);
  });

  it("keeps no part of what it would compress: parts grow to what the origin has coded (RFC 9111 §3.4)", async () => {
    const plane = fakePlane({
      routes: [{ host: "a.test", path: "/", compression: { codings: ["gzip"], types: ["text/html"], leastBytes: 1 } }],
      answer: (call) => {
        const range = call.request.fields.includes("range");
        const type = call.request.path === "/film" ? "video/mp4" : "text/html";
        const coded = call.request.path === "/coded" ? ["content-encoding", "gzip"] : [];
        const fields = [...fresh, "etag", '"1"', "content-type", type, ...coded];
        reply(call, range ? 206 : 200, range ? [...fields, "content-range", "bytes 0-1/4"] : fields, "ab");
      },
    });
    const stored: number[] = [];
    for (const path of ["/page", "/coded", "/film"]) {
      await ask(plane, get("Range: bytes=0-1\r\n", path));
      stored.push(plane.store.variants(`http://a.test${path}`).length);
    }
    expect(stored).toEqual([0, 0, 1]);
  });

  it("ends what is stored where a validation that nobody waits for is refused (RFC 5861 §3)", async () => {
    const plane = fakePlane({
      answer: (call) =>
        plane.calls.length > 1
          ? reply(call, 401, ["cache-control", "no-store"])
          : reply(call, 200, ["cache-control", "max-age=1, stale-while-revalidate=1000"], "old"),
    });
    await ask(plane, get());
    plane.now += 10;
    const stale = get();
    await ask(plane, stale);
    expect([stale.content, plane.calls.length]).toEqual(["old", 2]);
    const after = get();
    await ask(plane, after);
    expect([after.status, after.content]).toEqual([401, ""]);
  });

  it.each([408, 425, 429])(
    "leaves what is stored where the origin only says that it is asked too early or too often: %d (RFC 5861 §3)",
    async (status) => {
      const plane = fakePlane({
        answer: (call) =>
          plane.calls.length > 1
            ? reply(call, status, ["cache-control", "max-age=60"])
            : reply(call, 200, ["cache-control", "max-age=1, stale-while-revalidate=1000"], "old"),
      });
      await ask(plane, get());
      for (const calls of [2, 3]) {
        plane.now += 10;
        const stale = get();
        await ask(plane, stale);
        expect([stale.status, stale.content, plane.calls.length]).toEqual([200, "old", calls]);
      }
    },
  );

  it.each([401, 408, 425, 426, 429])(
    "leaves what is stored where its own request is refused to a client: %d (§4.3.3)",
    async (status) => {
      const plane = fakePlane({
        answer: (call) =>
          call.request.fields.includes("early-data")
            ? reply(call, status, ["cache-control", "no-store"])
            : reply(call, 200, [...fresh, "etag", '"1"'], "content"),
      });
      await ask(plane, get());
      const refused = get("Early-Data: 1\r\nCache-Control: no-cache\r\n");
      await ask(plane, refused);
      const after = get();
      await ask(plane, after);
      expect([refused.status, after.content, plane.calls.length]).toEqual([status, "content", 2]);
    },
  );

  it.each(["GET", "POST"])(
    "leaves everybody's GET alone where a %s asks to be taken for another method, whatever comes of it",
    async (method) => {
      const plane = fakePlane({
        answer: (call) => {
          const isObeyed = call.request.fields.includes("x-http-method-override");
          reply(call, 200, [...fresh, "content-location", "/x"], isObeyed ? "" : "content");
        },
      });
      const other = (): FakeExchange => get("X-HTTP-Method-Override: HEAD\r\n", "/x", method);
      await ask(plane, other());
      const after = get();
      await ask(plane, after);
      expect([after.content, plane.calls.length]).toEqual(["content", 2]);
      if (method === "GET") await ask(plane, other());
      const again = get();
      await ask(plane, again);
      expect([again.content, plane.calls.length]).toEqual(["content", method === "GET" ? 3 : 2]);
      atRest(plane);
    },
  );

  it.each([
    ["stays what it was", "GET", "Authorization: Basic x", "max-age=60", "max-age=60"],
    ["stays what it was", "GET", "Cache-Control: no-store", "max-age=60", "max-age=60"],
    ["stays what it was", "HEAD", "Authorization: Basic x", "max-age=60", "max-age=60"],
    ["is shared no more", "GET", "Authorization: Basic x", "public, max-age=60", "max-age=60"],
    ["is shared no more", "GET", "Cache-Control: no-store\r\nAuthorization: x", "s-maxage=60", "max-age=60"],
    ["is shared no more", "GET", "Cache-Control: no-store", "max-age=60", "private"],
  ])("%s by the 304 to a %s with %s, which may not be kept itself: %s, then %s (§3.5)", async (...row) => {
    const [what, method, field, before, then] = row;
    const plane = fakePlane({
      answer: (call) =>
        call.request.fields.includes("if-none-match")
          ? reply(call, 304, ["etag", '"a"', "cache-control", then, "x-user", "somebody"])
          : reply(call, 200, ["etag", '"a"', "cache-control", before], "content"),
    });
    await ask(plane, get());
    const asked = get(`Cache-Control: no-cache\r\n${field}\r\n`, "/x", method);
    await ask(plane, asked);
    expect([asked.status, asked.field("x-user"), plane.calls.length]).toEqual([200, "somebody", 2]);
    const after = get();
    await ask(plane, after);
    expect(after.content).toBe("content");
    expect(after.field("x-user")).toBeUndefined();
    expect(plane.calls).toHaveLength(what === "stays what it was" ? 2 : 3);
    atRest(plane);
  });

  it("is of the place that a trusted proxy names, and of no other (RFC 9111 §4.1)", async () => {
    const plane = fakePlane({
      routes: [{ host: "a.test", path: "/" }],
      answer: ({ request, ...call }) => {
        const proto = request.fields[request.fields.indexOf("x-forwarded-proto") + 1]!;
        reply({ request, ...call }, proto === "https" ? 200 : 301, fresh, proto);
      },
    });
    (plane.current.routing as { trusts: (address: string) => boolean }).trusts = (address) => address === "10.0.0.1";
    const by = (address: string, fields: string): FakeExchange =>
      new FakeExchange(`GET /x HTTP/1.1\r\nHost: a.test\r\n${fields}`, { address });
    const seen: unknown[] = [];
    for (const [address, proto] of [
      ["10.0.0.1", "http"],
      ["10.0.0.1", "https"],
      ["10.0.0.1", "http"],
      ["10.9.9.9", "https"],
    ] as const) {
      const exchange = by(address, `X-Forwarded-Proto: ${proto}\r\nX-Forwarded-For: 1.2.3.4\r\n`);
      await ask(plane, exchange);
      seen.push(exchange.status);
    }
    expect(seen).toEqual([301, 200, 301, 301]);
    expect(plane.calls).toHaveLength(2);
  });

  it("goes on when the client that began it leaves, and ends when the last one does", async () => {
    const plane = fakePlane();
    const [one, other] = [get(), get()];
    await ask(plane, one, other);
    one.leave();
    expect(plane.calls[0]!.cancelled).toBe(false);
    other.leave();
    expect(plane.calls[0]!.cancelled).toBe(true);
    atRest(plane);
  });

  it("sends those on, side by side, whom a response cannot be shared with, and remembers that as long as it is so", async () => {
    const plane = fakePlane();
    const crowd = [get(), get(), get()];
    await ask(plane, ...crowd);
    reply(plane.calls[0]!, 200, ["cache-control", "max-age=0", "etag", '"1"'], "one");
    await turns();
    expect(plane.calls).toHaveLength(3);
    for (const call of plane.calls.slice(1)) reply(call, 200, ["cache-control", "max-age=0", "etag", '"2"'], "two");
    expect(crowd.map(({ content }) => content)).toEqual(["one", "two", "two"]);
    for (let round = 0; round < 3; round++) {
      plane.now += 50;
      const before = plane.calls.length;
      const next = [get(), get()];
      await ask(plane, ...next);
      expect(plane.calls.length, "nobody waits for another").toBe(before + 2);
      for (const call of plane.calls.slice(before))
        reply(call, 200, ["cache-control", "max-age=0", "etag", '"3"'], "three");
      await turns();
    }
    atRest(plane);
  });

  it("never gives one variant's validation to another: other variants' tags are not sent (RFC 9111 §4.1)", async () => {
    const plane = fakePlane();
    const vary = [...fresh, "vary", "accept-language", "etag", '"same"'];
    await ask(plane, get("Accept-Language: de\r\n"));
    reply(plane.calls[0]!, 200, vary, "deutsch");
    const english = get("Accept-Language: en\r\n");
    await ask(plane, english);
    expect(plane.calls[1]!.request.fields).not.toContain("if-none-match");
    reply(plane.calls[1]!, 200, vary, "english");
    expect(english.content).toBe("english");
    const again = get("Accept-Language: de\r\n");
    await ask(plane, again);
    expect(again.content).toBe("deutsch");
    atRest(plane);
  });

  it("keeps a part and the whole apart while the part is validated (RFC 9111 §3.3)", async () => {
    const plane = fakePlane();
    const part = ["cache-control", "max-age=1", "etag", '"p"', "content-range", "bytes 0-2/6"];
    await ask(plane, get("Range: bytes=0-2\r\n"));
    reply(plane.calls[0]!, 206, part, "abc");
    plane.now += 5;
    const [same, whole, other, head] = [
      get("Range: bytes=0-2\r\n"),
      get(),
      get("Range: bytes=3-5\r\n"),
      get("", "/x", "HEAD"),
    ];
    const within = get("Range: bytes=1-1\r\n");
    await ask(plane, same, within, whole, other, head);
    const validation = plane.calls.find(({ request }) => request.fields.includes("if-none-match"))!;
    reply(validation, 304, ["etag", '"p"', "cache-control", "max-age=1"]);
    for (const call of plane.calls.slice(1)) {
      if (call === validation) continue;
      if (call.request.fields.includes("bytes=3-5"))
        reply(call, 206, ["etag", '"p"', "content-range", "bytes 3-5/6"], "def");
      else reply(call, 200, [...fresh, "etag", '"p"'], "abcdef");
    }
    await turns();
    expect([same.status, same.content, same.field("content-range")]).toEqual([206, "abc", "bytes 0-2/6"]);
    expect([within.status, within.content, within.field("content-range")]).toEqual([206, "b", "bytes 1-1/6"]);
    expect([whole.status, whole.content]).toEqual([200, "abcdef"]);
    expect([other.status, other.content]).toEqual([206, "def"]);
    expect([head.status, head.content, head.field("content-range")]).toEqual([200, "", undefined]);
    atRest(plane);
  });

  it("lets a stale answer stand where the origin fails behind it, whatever its error says of its own freshness (RFC 5861)", async () => {
    const plane = fakePlane({ routes: [{ host: null, path: "/", caching: { freshness: { negativeSeconds: 60 } } }] });
    await ask(plane, get());
    reply(plane.calls[0]!, 200, ["cache-control", "max-age=1, stale-while-revalidate=60"], "good");
    plane.now += 2;
    await ask(plane, get());
    reply(plane.calls[1]!, 503, ["cache-control", "max-age=600"], "down");
    const next = get();
    await ask(plane, next);
    expect([next.status, next.content]).toEqual([200, "good"]);
    reply(plane.calls[2]!, 200, fresh, "better");
    atRest(plane);
  });

  it("answers a conditional miss from what it brings, and stores that for all (RFC 9111 §4.3.2)", async () => {
    const plane = fakePlane();
    const [asked, other] = [get('If-None-Match: "1"\r\n'), get('If-None-Match: "0"\r\n')];
    await ask(plane, asked, other);
    expect(plane.calls).toHaveLength(1);
    expect(plane.calls[0]!.request.fields).not.toContain("if-none-match");
    reply(plane.calls[0]!, 200, [...fresh, "etag", '"1"'], "content");
    await turns();
    expect([asked.status, asked.content, other.status, other.content]).toEqual([304, "", 200, "content"]);
    const plain = get();
    await ask(plane, plain);
    expect([plain.content, plane.calls.length]).toEqual(["content", 1]);
    atRest(plane);
  });

  it("fills the store although its only asker was content with a head", async () => {
    const plane = fakePlane();
    await ask(plane, get('If-None-Match: "1"\r\n'));
    const { handler } = plane.calls[0]!;
    handler.head(200, [...fresh, "etag", '"1"', "content-length", "4"], false);
    expect(plane.calls[0]!.cancelled).toBe(false);
    handler.data(Buffer.from("full"));
    handler.end([]);
    const plain = get();
    await ask(plane, plain);
    expect([plain.content, plane.calls.length]).toEqual(["full", 1]);
    atRest(plane);
  });

  it("is not stored, nor joined, once its URI has been invalidated, whatever else lies under that URI", async () => {
    const plane = fakePlane({ routes: [{ host: null, path: "/", caching: { keyFields: ["x-tenant"] } }] });
    await ask(plane, get("X-Tenant: a\r\n"));
    reply(plane.calls[0]!, 200, fresh, "old");
    const during = get("X-Tenant: b\r\n");
    await ask(plane, during);
    await ask(plane, get("", "/x", "POST"));
    reply(plane.calls[2]!, 200, [], "done");
    await turns();
    reply(plane.calls[1]!, 200, fresh, "older");
    expect(during.content).toBe("older");
    const [a, b] = [get("X-Tenant: a\r\n"), get("X-Tenant: b\r\n")];
    await ask(plane, a, b);
    expect(plane.calls).toHaveLength(5);
    for (const call of plane.calls.slice(3)) reply(call, 200, fresh, "new");
    expect([a.content, b.content]).toEqual(["new", "new"]);
    atRest(plane);
  });

  it("does not clear the mark of what was outdated while its 304 was on the way", async () => {
    const plane = fakePlane();
    await ask(plane, get());
    reply(plane.calls[0]!, 200, ["cache-control", "max-age=1", "etag", '"1"'], "first");
    plane.now += 2;
    await ask(plane, get());
    plane.store.doubtAll();
    reply(plane.calls[1]!, 304, ["etag", '"1"', "cache-control", "max-age=60"]);
    await ask(plane, get());
    expect(plane.calls, "it is validated once more").toHaveLength(3);
    reply(plane.calls[2]!, 304, ["etag", '"1"', "cache-control", "max-age=60"]);
    await ask(plane, get());
    expect(plane.calls).toHaveLength(3);
    atRest(plane);
  });

  it("counts a group that a 304 brought (RFC 9875 §3)", async () => {
    const plane = fakePlane();
    await ask(plane, get());
    reply(plane.calls[0]!, 200, ["cache-control", "max-age=1", "etag", '"1"'], "first");
    plane.now += 2;
    await ask(plane, get());
    reply(plane.calls[1]!, 304, ["etag", '"1"', "cache-control", "max-age=60", "cache-groups", '"g"']);
    plane.now += 5;
    await ask(plane, get("", "/other", "POST"));
    reply(plane.calls[2]!, 200, ["cache-group-invalidation", '"g"'], "");
    await turns();
    await ask(plane, get());
    expect(plane.calls).toHaveLength(4);
  });

  it("stores what a POST gives as its own URI's representation, after having dropped what was there (RFC 9110 §9.3.3)", async () => {
    const plane = fakePlane();
    await ask(plane, get());
    reply(plane.calls[0]!, 200, fresh, "old");
    await ask(plane, get("", "/x", "POST"));
    reply(plane.calls[1]!, 200, [...fresh, "content-location", "/x"], "posted");
    await turns();
    const next = get();
    await ask(plane, next);
    expect([next.content, plane.calls.length]).toEqual(["posted", 2]);
    atRest(plane);
  });

  it("leaves nothing behind when an asker of several ranges goes away (RFC 9110 §14.6)", async () => {
    const plane = fakePlane();
    const ranges = get("Range: bytes=0-1,3-4\r\n");
    await ask(plane, get(), ranges);
    const { handler } = plane.calls[0]!;
    handler.head(200, [...fresh, "content-length", "6"], false);
    handler.data(Buffer.from("abc"));
    expect(ranges.status).toBe(206);
    ranges.takes = false;
    ranges.leave();
    handler.data(Buffer.from("def"));
    handler.end([]);
    atRest(plane);
    expect(ranges.holds.count).toBe(0);
  });

  it("is trusted by when it began: what nobody can tell any more in between is not made up for by its end", async () => {
    const plane = fakePlane();
    await ask(plane, get());
    plane.store.doubtAll();
    reply(plane.calls[0]!, 200, [...fresh, "etag", '"1"'], "maybe old");
    await ask(plane, get());
    expect(plane.calls, "the first brought nothing that may be kept").toHaveLength(2);
    reply(plane.calls[1]!, 200, [...fresh, "etag", '"2"'], "new");
    await ask(plane, get());
    expect(plane.calls).toHaveLength(2);
    atRest(plane);
  });

  it("ages by a clock that is not the wall's: set back by an hour, a short lifetime stays short", async () => {
    const plane = fakePlane();
    await ask(plane, get());
    reply(plane.calls[0]!, 200, ["cache-control", "max-age=3"], "one");
    plane.wallLead = -3600;
    plane.now += 4;
    await ask(plane, get());
    expect(plane.calls).toHaveLength(2);
    reply(
      plane.calls[1]!,
      200,
      ["cache-control", "max-age=3", "date", new Date((plane.now - 3600) * 1000).toUTCString()],
      "two",
    );
    await ask(plane, get());
    expect(plane.calls, "a date by the same wall clock makes nothing old").toHaveLength(2);
  });
});
