/** A member that may not know what others have been told validates everything, and shows nothing to others. */
import { expect, it } from "vitest";
import { explain, type Explanation } from "../../src/admin/explain.ts";
import { serve } from "../../src/proxy/serve.ts";
import { serveShortcut, shortcutForm } from "../../src/proxy/shortcut.ts";
import { viewOf } from "../../src/ring/view.ts";
import { placementVersion } from "../../src/ring/ring.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane } from "../support/plane.ts";
import { announcementOf } from "../support/seats.ts";

const fresh = ["cache-control", "max-age=600", "etag", '"1"'];

function request(fields = "", path = "/x", method = "GET"): FakeExchange {
  return new FakeExchange(`${method} http://a.test${path} HTTP/1.1\r\nHost: a.test\r\n${fields}`);
}

async function ask(plane: FakePlane, ...exchanges: FakeExchange[]): Promise<void> {
  for (const exchange of exchanges) serve(plane, exchange);
  await turns();
}

/** In a view with one that owns nothing, heard of now. */
function inCompany(): FakePlane {
  const members = [announcementOf("m1"), { ...announcementOf("m2"), state: "draining" as const }];
  const view = viewOf({ cluster: "c", epoch: 1, leader: null, placement: placementVersion, members });
  const plane = fakePlane({ view });
  hears(plane);
  return plane;
}

function hears(plane: FakePlane): void {
  plane.correspondence.touch.compared({ from: "m2", epoch: 1, knows: true, ages: {}, asOf: plane.now });
}

it("answers from its store while it hears of the others, by the shortcut too, and validates when it does not", async () => {
  const plane = inCompany();
  await ask(plane, request());
  reply(plane.calls[0]!, 200, fresh, "stored");
  await ask(plane, request());
  const quick = request();
  expect(serveShortcut(plane, quick, shortcutForm(quick, null))).toBe(true);
  plane.now += 4.1;
  const late = request();
  expect(serveShortcut(plane, late, shortcutForm(late, null))).toBe(false);
  await ask(plane, late);
  expect(plane.calls[1]!.request.fields).toContain("if-none-match");
  reply(plane.calls[1]!, 304, fresh);
  expect([late.status, late.content]).toEqual([200, "stored"]);
  await ask(plane, request());
  expect(plane.calls, "each time").toHaveLength(3);
  reply(plane.calls[2]!, 304, fresh);
  hears(plane);
  const back = request();
  await ask(plane, back);
  expect([back.content, plane.calls.length], "what it has stored counts again").toEqual(["stored", 3]);
});

it("joins no fetch that began longer ago than a moment, nor one whose answer is there", async () => {
  const plane = inCompany();
  plane.now += 5;
  const [first, soon, later] = [request(), request(), request()];
  await ask(plane, first, soon);
  expect(plane.calls).toHaveLength(1);
  plane.now += 0.2;
  await ask(plane, later);
  expect(plane.calls).toHaveLength(2);
  const { handler } = plane.calls[0]!;
  handler.head(200, [...fresh, "content-length", "3"], false);
  await ask(plane, request());
  expect(plane.calls).toHaveLength(3);
  handler.data(Buffer.from("one"));
  handler.end([]);
  for (const call of plane.calls.slice(1)) reply(call, 200, fresh, "two");
  expect([first.content, soon.content, later.content]).toEqual(["one", "one", "two"]);
});

it("follows the stale rules where the origin is out of reach too", async () => {
  const plane = inCompany();
  await ask(plane, request());
  reply(plane.calls[0]!, 200, ["cache-control", "max-age=600, stale-if-error=600", "etag", '"1"'], "stored");
  plane.now += 5;
  const asked = request();
  await ask(plane, asked);
  reply(plane.calls[1]!, 503, [], "down");
  expect([asked.status, asked.content]).toEqual([200, "stored"]);
});

it("shows nothing to a member that peeks, and declines to one that has heard more", async () => {
  const plane = inCompany();
  await ask(plane, request());
  reply(plane.calls[0]!, 200, fresh, "stored");
  const from = { forward: true, settings: 0, content: null, keeps: true } as const;
  const peek = async (heard: string, asking: "peek" | "answer" = "peek"): Promise<FakeExchange> => {
    const exchange = Object.assign(request(), { hop: 1 as const });
    serve(plane, exchange, { ...from, asking, heard });
    while (!exchange.finished && !exchange.aborted && exchange.declined === null) await turns();
    return exchange;
  };
  const ahead = JSON.stringify({ vector: { "m2@x": 1 }, ahead: {} });
  const nothing = JSON.stringify({ vector: {}, ahead: {} });
  expect((await peek(nothing)).content).toBe("stored");
  expect((await peek(ahead)).aborted).toBe(true);
  expect((await peek(ahead, "answer")).declined).toBe("this member has heard of less than the asking one");
  expect((await peek("not JSON")).aborted).toBe(true);
  // What is lacking comes a moment later: that is waited for.
  const late = peek(ahead);
  await turns();
  const entry = { teller: "m2@x", number: 1, selector: { kind: "host", host: "b" }, mode: "drop", cause: "purge" };
  await plane.invalidations.heard("m2", { entries: [entry], told: null });
  expect((await late).content).toBe("stored");
  plane.now += 5;
  expect((await peek(nothing)).aborted).toBe(true);
});

it("joins no fetch that a purge has overtaken, by any kind of name, and keeps nothing of it", async () => {
  for (const selector of [
    { kind: "prefix", prefix: "http://a.test/x" },
    { kind: "host", host: "a.test" },
    { kind: "tag", tag: "t", origin: null },
    { kind: "everything" },
  ] as const) {
    const plane = fakePlane();
    const before = request();
    await ask(plane, before);
    plane.invalidations.make([selector], "drop", "purge");
    const after = request();
    await ask(plane, after);
    expect(plane.calls).toHaveLength(2);
    reply(plane.calls[0]!, 200, [...fresh, "cache-tag", "s, t"], "old");
    reply(plane.calls[1]!, 200, [...fresh, "cache-tag", "s, t"], "new");
    const later = request();
    await ask(plane, later);
    expect([before.content, after.content, later.content, plane.calls.length]).toEqual(["old", "new", "new", 2]);
  }
});

it("says why it asks the origin about what is fresh: in the log, and where it is explained", async () => {
  const plane = inCompany();
  const logged: (string | null)[] = [];
  plane.desk.recorder.log = ({ reason }) => void logged.push(reason);
  const explained = (): string => (explain(plane, "http://a.test/x") as Explanation).next;
  await ask(plane, request());
  reply(plane.calls[0]!, 200, fresh, "stored");
  expect(explained()).toBe("hit (RFC 9111 §4.2: current age is below the freshness lifetime)");
  plane.now += 4.1;
  expect(explained()).toMatch(/^validate \(this member does not know what the others have been told/);
  await ask(plane, request());
  reply(plane.calls[1]!, 304, fresh);
  expect(logged.at(-1)).toBe("cut-off");
  hears(plane);
  expect(explained()).toMatch(/^hit /);
  plane.store.doubtAll();
  expect(explained()).toMatch(/^validate \(nobody knows whether it has been invalidated/);
  await ask(plane, request());
  reply(plane.calls[2]!, 304, fresh);
  expect(logged.at(-1)).toBe("in-doubt");
  expect(explained()).toMatch(/^hit /);
});
