/** Two requests, or a request and an event, that must not spoil each other: the data plane without sockets. */
import { expect, it } from "vitest";
import type { PeerResponseHandler } from "../../src/peer/streams.ts";
import { Resumption } from "../../src/proxy/members/resumption.ts";
import { serve } from "../../src/proxy/serve.ts";
import { serveShortcut, shortcutForm } from "../../src/proxy/shortcut.ts";
import { keyHash, owner, placementVersion, successors } from "../../src/ring/ring.ts";
import { viewOf, type View } from "../../src/ring/view.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane } from "../support/plane.ts";
import { announcementOf } from "../support/seats.ts";

const fresh = ["cache-control", "max-age=60"];

function request(fields = "", path = "/x", method = "GET"): FakeExchange {
  return new FakeExchange(`${method} http://a.test${path} HTTP/1.1\r\nHost: a.test\r\n${fields}`);
}

async function ask(plane: FakePlane, ...exchanges: FakeExchange[]): Promise<void> {
  for (const exchange of exchanges) serve(plane, exchange);
  await turns();
}

/** A view of two. @returns a path whose owner is m2. */
function withTwo(plane: FakePlane): string {
  const members = [announcementOf("m1"), announcementOf("m2")];
  plane.current.view = viewOf({ cluster: "c", epoch: 1, leader: null, placement: placementVersion, members });
  plane.ownership.follow(plane.current.view, plane.now);
  for (let index = 0; ; index++)
    if (owner(plane.current.view.ring, keyHash(`http://a.test/f${index}`)).name === "m2") return `/f${index}`;
}

const silent = { cancel: () => {}, pause: () => {}, resume: () => {} };

it("a reload that joined a background validation is answered, though the origin errs", async () => {
  const plane = fakePlane();
  await ask(plane, request());
  reply(plane.calls[0]!, 200, ["cache-control", "max-age=1, stale-while-revalidate=60"], "good");
  plane.now += 2;
  const reload = request("Cache-Control: no-cache\r\n");
  await ask(plane, request(), reload);
  expect(plane.calls).toHaveLength(2);
  reply(plane.calls[1]!, 503, ["cache-control", "max-age=600"], "down");
  await turns();
  for (const call of plane.calls.slice(2)) reply(call, 503, [], "down");
  await turns();
  expect(reload.finished).toBe(true);
  expect(plane.desk.recorder.counts.inFlight).toBe(0);
});

it("what a QUERY brought is validated in the background by a QUERY", async () => {
  const plane = fakePlane();
  const from = {
    forward: true,
    settings: 0,
    content: Buffer.from("q"),
    asking: "answer",
    heard: "",
    keeps: false,
  } as const;
  for (let turn = 0; turn < 2; turn++) {
    serve(plane, request("Content-Type: text/plain\r\n", "/x", "QUERY"), from);
    await turns();
    expect(plane.calls[turn]!.request.method).toBe("QUERY");
    reply(plane.calls[turn]!, 200, ["cache-control", "max-age=1, stale-while-revalidate=60"], "found");
    plane.now += 2;
  }
});

it("a POST with a condition gets its own answer, not a 304 (RFC 9110 §13.2.1)", async () => {
  const plane = fakePlane();
  const post = request("If-None-Match: *\r\n", "/x", "POST");
  await ask(plane, post);
  reply(plane.calls[0]!, 200, [...fresh, "content-location", "/x"], "posted");
  await turns();
  expect([post.status, post.content]).toEqual([200, "posted"]);
});

it("a POST that offers another protocol, and is answered in this one, invalidates first", async () => {
  const plane = fakePlane();
  await ask(plane, request());
  reply(plane.calls[0]!, 200, fresh, "old");
  const post = request("Connection: Upgrade\r\nUpgrade: other\r\n", "/x", "POST");
  await ask(plane, post);
  reply(plane.calls[1]!, 200, [], "done");
  await turns();
  expect([post.status, post.content, post.finished]).toEqual([200, "done", true]);
  await ask(plane, request());
  expect(plane.calls).toHaveLength(3);
});

it("an answer that cannot be gone on with ends for its asker, not for who joined", async () => {
  const plane = fakePlane();
  const begun = request();
  begun.answered = true;
  const shown = { status: 200, etag: "old", contentBytes: 6, contentRange: undefined };
  const joined = request();
  serve(plane, new Resumption(begun, shown).again());
  await ask(plane, joined);
  expect(plane.calls).toHaveLength(1);
  reply(plane.calls[0]!, 200, [...fresh, "etag", '"new"'], "abcdef");
  expect(begun.aborted).toBe(true);
  expect([joined.status, joined.content, joined.aborted, joined.finished]).toEqual([200, "abcdef", false, true]);
});

it("a HEAD asked before everything became suspect clears no mark", async () => {
  const plane = fakePlane();
  await ask(plane, request("", "/x", "HEAD"), request());
  reply(plane.calls[1]!, 200, [...fresh, "etag", '"1"'], "body");
  plane.store.doubtAll();
  reply(plane.calls[0]!, 200, [...fresh, "etag", '"1"'], "body");
  await ask(plane, request());
  expect(plane.calls).toHaveLength(3);
});

it("the shortcut sends back what other settings would answer otherwise", async () => {
  const plane = fakePlane({ routes: [{ host: null, path: "/" }] });
  const forwarded = async (settings: number): Promise<FakeExchange> => {
    const exchange = Object.assign(request(), { hop: 1 as const });
    serve(plane, exchange, { forward: false, settings, content: null, asking: "answer", heard: "", keeps: false });
    await turns();
    return exchange;
  };
  await forwarded(1);
  reply(plane.calls[0]!, 200, fresh, "whole");
  expect((await forwarded(1)).content).toBe("whole");
  const other = await forwarded(77);
  expect([other.declined, other.content]).toEqual(["the settings for this request differ", ""]);
});

it("what was answered for an absent owner is the owner's again once it is back", async () => {
  let [asked, up] = [0, false];
  const plane = fakePlane({ peers: { isUp: () => up, request: () => (up ? (asked++, silent) : null) } });
  const path = withTwo(plane);
  await ask(plane, request("", path));
  reply(plane.calls[0]!, 200, fresh, "meanwhile");
  await ask(plane, request("", path));
  up = true;
  const later = request("", path);
  expect(serveShortcut(plane, later, shortcutForm(later, null))).toBe(false);
  await ask(plane, later);
  expect(asked).toBe(1);
});

it("a loopback origin's answer is not kept where members stand apart", async () => {
  const plane = fakePlane();
  withTwo(plane);
  for (let turn = 0; turn < 2; turn++) {
    await ask(plane, new FakeExchange("GET http://localhost/x HTTP/1.1\r\nHost: localhost\r\n"));
    reply(plane.calls[turn]!, 200, fresh, "mine");
  }
  expect(plane.store.usage.responses).toBe(0);
});

it("a request whose client has left already is taken as any other", async () => {
  const plane = fakePlane({ peers: { isUp: () => true, request: () => silent } });
  const exchange = request("", withTwo(plane));
  exchange.leave();
  expect(() => serve(plane, exchange)).not.toThrow();
  expect(plane.desk.recorder.counts.inFlight).toBe(0);
});

it("HEADs do not lengthen what is remembered of GETs: that they cannot be shared", async () => {
  const plane = fakePlane();
  await ask(plane, request());
  reply(plane.calls[0]!, 200, ["cache-control", "no-store"], "x");
  for (let turn = 1; turn < 6; turn++) {
    plane.now += 50;
    await ask(plane, request("", "/x", "HEAD"));
    reply(plane.calls[turn]!, 200, fresh, "x");
    await turns();
  }
  await ask(plane, request(), request(), request());
  expect(plane.calls).toHaveLength(7);
});

it("what became suspect is not fetched to its end for nobody", async () => {
  const plane = fakePlane();
  await ask(plane, request('If-None-Match: "1"\r\n'));
  const { handler } = plane.calls[0]!;
  handler.head(200, [...fresh, "etag", '"1"', "content-length", "400"], false);
  plane.store.doubtAll();
  handler.data(Buffer.alloc(100));
  expect(plane.calls[0]!.cancelled).toBe(true);
});

it("a copy on its way from a member does not keep that member waiting for this one", async () => {
  const asked: string[] = [];
  const plane = fakePlane({
    copies: 2 ** 18,
    peers: {
      isUp: () => true,
      request: (_, { uri, asking }) => (asking === "peek" ? null : (asked.push(uri), silent)),
    },
  });
  const path = withTwo(plane);
  // Asked for so often that a copy is under way, and never comes.
  for (let turn = 0; turn < 40; turn++) await ask(plane, request("", path));
  expect(plane.store.usage.responses).toBe(0);
  expect(asked.length).toBeGreaterThan(0);
  // The member asked sees another view, in which this one answers for the key.
  const forwarded = Object.assign(request("", path), { hop: 1 as const });
  serve(plane, forwarded, { forward: true, settings: 0, content: null, asking: "answer", heard: "", keeps: false });
  await turns();
  expect(plane.calls).toHaveLength(1);
  reply(plane.calls[0]!, 200, fresh, "here");
  await turns();
  expect([forwarded.status, forwarded.content]).toEqual([200, "here"]);
});

it("who stands in for an owner that has just come asks that one for what it may have, then who owned the key before", async () => {
  const viewOfThese = (epoch: number, ...names: string[]): View =>
    viewOf({
      cluster: "c",
      epoch,
      leader: null,
      placement: placementVersion,
      members: names.map((name) => announcementOf(name)),
    });
  const before = viewOfThese(1, "m1", "m3");
  const view = viewOfThese(2, "m1", "m2", "m3");
  const peeked: string[] = [];
  const plane = fakePlane({
    view: before,
    peers: {
      isUp: () => true,
      request: (member, { asking }, handler) => {
        // It can be spoken to again only after the request was turned away.
        if (asking !== "peek") return null;
        peeked.push(member);
        queueMicrotask(() => {
          if (member === "m2") return handler.failed("nothing stored", "gone");
          const fields = Buffer.from("cache-control: max-age=60\r\n");
          return handler.head({ status: 200, fields, contentBytes: 3, inner: false }, Buffer.from("its"));
        });
        return silent;
      },
    },
  });
  plane.current.view = view;
  plane.ownership.follow(view, plane.now);
  const isRight = (hash: number): boolean => {
    const [first, second] = [...successors(view.ring, hash)];
    return first!.name === "m2" && second!.name === "m1" && owner(before.ring, hash).name === "m3";
  };
  const path = Array.from({ length: 200 }, (_, index) => `/f${index}`).find((one) =>
    isRight(keyHash(`http://a.test${one}`)),
  )!;
  const asked = request("", path);
  await ask(plane, asked);
  expect(peeked).toEqual(["m2", "m3"]);
  expect([asked.status, asked.content]).toEqual([200, "its"]);
  expect(plane.calls).toHaveLength(0);
});

/** A member that stands in for m2, which gives `answers`; what it was asked for. */
function standingIn(
  answers: (handler: PeerResponseHandler, asked: { readonly keeps: boolean; readonly number: number }) => void,
) {
  const asked: string[] = [];
  const plane = fakePlane({
    copies: 1_000_000,
    peers: {
      isUp: () => true,
      request: (member, { asking, keeps, hops }, handler) => {
        const number = asked.push(`${asking} ${keeps ? "copy" : "hop"} ${hops} of ${member}`);
        queueMicrotask(() => answers(handler, { keeps, number }));
        return { ...silent, cancel: () => void asked.push(`not ${number} any more`) };
      },
    },
  });
  const path = withTwo(plane);
  const from = { forward: true, settings: 0, content: null, asking: "stand-in", heard: "", keeps: false } as const;
  const standIn = async (count: number): Promise<readonly FakeExchange[]> => {
    const exchanges = Array.from({ length: count }, () => Object.assign(request("", path), { hop: 1 as const }));
    for (const exchange of exchanges) serve(plane, exchange, from);
    await turns();
    return exchanges;
  };
  return { plane, asked, standIn };
}

it("who stands in for a busy owner passes on what cannot be copied, and does not go to the origin with it", async () => {
  const { plane, asked, standIn } = standingIn((handler, { keeps }) => {
    const fields = Buffer.from("cache-control: max-age=60\r\n");
    // The origin has not said where its content ends: to whoever keeps it, it could be for ever.
    handler.head({ status: 200, fields, contentBytes: null, inner: false }, null);
    if (keeps) return;
    handler.data(Buffer.from("its"));
    handler.end([]);
  });
  const two = await standIn(2);
  expect(two.map(({ status, content }) => `${status} ${content}`)).toEqual(["200 its", "200 its"]);
  expect(plane.calls).toHaveLength(0);
  // Once for both, then for each; and only then is it not wanted any more as a copy.
  expect(asked).toEqual(["answer copy 2 of m2", "answer hop 2 of m2", "answer hop 2 of m2", "not 1 any more"]);
  // Not for long: what has come has a length.
  await standIn(1);
  expect(asked.slice(4)).toEqual(["answer hop 2 of m2"]);
  plane.now += 2;
  await standIn(1);
  expect(asked[5]).toBe("answer copy 2 of m2");
});

it("what an owner answers with and nobody may keep is its asker's, once; others ask for their own", async () => {
  const { plane, asked, standIn } = standingIn((handler, { number }) => {
    const fields = Buffer.from("cache-control: no-store\r\n");
    handler.head({ status: 200, fields, contentBytes: 8, inner: false }, null);
    handler.data(Buffer.from(`the ${number}`));
    setImmediate(() => {
      handler.data(Buffer.from("st."));
      handler.end([]);
    });
  });
  const two = await standIn(2);
  expect(two.map(({ status, content }) => `${status} ${content}`)).toEqual(["200 the 1st.", "200 the 2st."]);
  expect(asked).toEqual(["answer copy 2 of m2", "answer hop 2 of m2"]);
  expect(plane.calls).toHaveLength(0);
  // It is remembered: who comes later does not wait for anybody.
  const [third] = await standIn(1);
  expect([third!.content, asked.slice(2)]).toEqual(["the 3st.", ["answer hop 2 of m2"]]);
});

it("what is stored of an https URL is not for a client in clear text that claims it (RFC 9110 §7.4)", async () => {
  const plane = fakePlane({ routes: [{ host: "a.test", path: "/" }] });
  const claiming = (scheme: "http" | "https"): FakeExchange =>
    new FakeExchange("GET https://a.test/x HTTP/1.1\r\nHost: a.test\r\n", { scheme });
  await ask(plane, claiming("https"));
  reply(plane.calls[0]!, 200, fresh, "for eyes behind TLS");
  await turns();
  const secured = [claiming("https"), new FakeExchange("GET /x HTTP/1.1\r\nHost: a.test\r\n", { scheme: "https" })];
  const clear = claiming("http");
  await ask(plane, ...secured, clear);
  expect(secured.map(({ content }) => content)).toEqual(["for eyes behind TLS", "for eyes behind TLS"]);
  expect(clear.status).toBe(421);
  expect(plane.calls).toHaveLength(1);
});

it("each of those who listen to events has a stream of its own, whatever lifetime is configured", async () => {
  for (const freshness of [{ defaultSeconds: 600 }, { lifetimeSeconds: 600 }]) {
    const plane = fakePlane({ routes: [{ host: "a.test", path: "/", caching: { freshness } }] });
    const [one, other] = [request(), request()];
    await ask(plane, one, other);
    plane.calls[0]!.handler.head(200, ["content-type", "text/event-stream"], false);
    plane.calls[0]!.handler.data(Buffer.from("data: one\n\n"));
    await turns();
    expect(plane.calls).toHaveLength(2);
    reply(plane.calls[1]!, 200, ["content-type", "text/event-stream"], "data: other\n\n");
    plane.calls[0]!.handler.end([]);
    await turns();
    expect([one.content, other.content]).toEqual(["data: one\n\n", "data: other\n\n"]);
    await ask(plane, request());
    expect(plane.calls).toHaveLength(3);
  }
});
