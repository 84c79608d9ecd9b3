/** Flights, leases and the pages of the store, in the orders in which they have gone wrong. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { OriginError } from "../../src/origin/origin-error.ts";
import { serve } from "../../src/proxy/serve.ts";
import type { PageStore } from "../../src/store/pages/page-store.ts";
import { empty, keepsake, put } from "../contract/store.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane, type OriginCall } from "../support/plane.ts";

/** A full collection, now. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** Stores so many others. @returns how many the store had no room for. */
function fill(store: PageStore, count: number, bytes: number, name: string): number {
  let refused = 0;
  for (let index = 0; index < count; index++)
    if (!put(store, keepsake(`http://fill/${name}${index}`), "x".repeat(bytes))) refused++;
  return refused;
}

async function get(plane: FakePlane, path: string, lines = ""): Promise<FakeExchange> {
  const exchange = new FakeExchange(`GET http://h.test${path} HTTP/1.1\r\nhost: h.test\r\n${lines}`);
  serve(plane, exchange);
  await turns(3);
  return exchange;
}

describe("the store and its flights", () => {
  it("go on storing whatever becomes of content that was on its way in", async () => {
    const plane = fakePlane({
      bytesMax: 2 ** 23,
      answer: (call) => {
        call.handler.head(200, ["cache-control", "max-age=100", "etag", '"a"', "content-length", "20000"], false);
        call.handler.data(Buffer.alloc(12_000));
        setImmediate(() => {
          if (!call.cancelled) call.handler.failed(new OriginError("content", "X", "died", 502, false));
        });
      },
    });
    for (let round = 0; round < 200; round++) {
      // Answered with a 304 at once, while the rest of the content comes in for the next; and one who leaves.
      await get(plane, `/x${round}`, 'if-none-match: "a"\r\n');
      const leaving = new FakeExchange(`GET http://h.test/y${round} HTTP/1.1\r\nhost: h.test\r\n`);
      serve(plane, leaving);
      await turns(1);
      leaving.leave();
      await turns(2);
      fill(plane.store, 8, 5000, `${round}-`);
    }
    expect(fill(plane.store, 2000, 5000, "after")).toBe(0);
  });

  it("do not let a 304 bring back what a group's invalidation has ended meanwhile (RFC 9875 §3)", async () => {
    let validation: OriginCall | null = null;
    const plane = fakePlane({
      answer: (call) => {
        if (call.request.fields.includes("if-none-match")) validation = call;
        else reply(call, 200, ["cache-control", "max-age=10", "etag", '"1"', "cache-groups", '"g"'], "old");
      },
    });
    await get(plane, "/a");
    plane.now += 20;
    await get(plane, "/a");
    plane.invalidations.make([{ kind: "tag", origin: "http://h.test", tag: "g" }], "drop", "request");
    reply(validation!, 304, ["cache-control", "max-age=100", "etag", '"1"']);
    await turns(3);
    const before = plane.calls.length;
    await get(plane, "/a");
    expect(plane.calls.length - before).toBe(1);
  });

  it("end what a validation supersedes, wherever it has been moved meanwhile", async () => {
    let validation: OriginCall | null = null;
    const plane = fakePlane({
      bytesMax: 2 ** 20,
      answer: (call) => {
        if (call.request.fields.includes("if-none-match")) validation = call;
        else reply(call, 200, ["cache-control", "max-age=1000", "etag", '"1"'], "old");
      },
    });
    for (let time = 0; time < 4; time++) await get(plane, "/a");
    await get(plane, "/a", "cache-control: no-cache\r\n");
    fill(plane.store, 1500, 1000, "push");
    expect(plane.store.variants("http://h.test/a")).toHaveLength(1);
    reply(validation!, 200, ["cache-control", "no-store"], "new, and private");
    await turns(3);
    expect(plane.store.variants("http://h.test/a")).toEqual([]);
  });

  it("hold of content that passes what those who still read have not taken, and nothing for who has left", async () => {
    const plane = fakePlane({ bytesMax: 2 ** 23, answer: () => {} });
    const all = new FakeExchange("GET http://h.test/x HTTP/1.1\r\nhost: h.test\r\n");
    all.write = (content, taken) => {
      all.sentBytes += content.length;
      taken?.();
      return true;
    };
    serve(plane, all);
    await turns(2);
    const call = plane.calls[0]!;
    call.handler.head(200, ["cache-control", "max-age=100"], false);
    call.handler.data(Buffer.alloc(100_000));
    await turns(2);
    const gone = new FakeExchange("GET http://h.test/x HTTP/1.1\r\nhost: h.test\r\n");
    // Its connection never gets round to its last bytes.
    gone.write = () => false;
    serve(plane, gone);
    await turns(2);
    expect(plane.calls).toHaveLength(1);
    gone.leave();
    const chunks: WeakRef<Buffer>[] = [];
    for (let count = 0; count < 400; count++) {
      const chunk = Buffer.alloc(64_000);
      chunks.push(new WeakRef(chunk));
      call.handler.data(chunk);
    }
    await turns(5);
    expect(all.sentBytes).toBe(100_000 + 400 * 64_000);
    collectGarbage();
    expect(chunks.filter((chunk) => chunk.deref() !== undefined).length).toBeLessThan(20);
  });

  it("do not empty the store for what it has no room for", () => {
    const { store } = fakePlane({ bytesMax: 2 ** 23 });
    fill(store, 1000, 2000, "kept");
    const before = store.usage.responses;
    expect(store.begin(6 * 2 ** 20)).toBeNull();
    expect(store.usage.responses).toBe(before);
  });

  it("leave half of the pages to others, however many slow downloads there are", () => {
    const { store } = fakePlane({ bytesMax: 2 ** 23 });
    const slow = [];
    for (let count = 0; count < 400; count++) {
      const writer = store.begin(20_000);
      if (writer !== null) slow.push(writer);
      fill(store, 8, 5000, `${count}-`);
    }
    expect(slow.length).toBeGreaterThan(50);
    expect(fill(store, 1000, 5000, "after")).toBe(0);
    for (const writer of slow) {
      writer.abandon();
      writer.over();
    }
    empty(store);
    expect(store.usage.bytes).toBe(0);
  });
});
