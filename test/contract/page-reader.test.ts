/** What other threads read of a store while one writes it: what was stored under the key, whole, or nothing. */
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { PageReader } from "../../src/store/pages/page-reader.ts";
import { PageStore } from "../../src/store/pages/page-store.ts";
import { storeBytesMin } from "../../src/store/pages/room.ts";
import type { TortureOptions, TortureResult } from "../support/torture-reader.ts";
import { keepsake, put } from "./store.ts";

const drop = { mode: "drop", at: 0 } as const;

function pair(bytesMax = 2 ** 22): { readonly store: PageStore; readonly reader: PageReader } {
  const store = new PageStore(bytesMax, { readers: 2 });
  const reader: PageReader = new PageReader(
    store.share((block) => reader.attach(block)),
    0,
  );
  return { store, reader };
}

function textOf(reader: PageReader, key: string, asked: readonly string[] = []): string | null {
  const glance = reader.enter(key, asked);
  if (glance === null) return null;
  const text = glance.memory.toString("latin1", glance.contentAt, glance.contentEnd);
  reader.leave();
  return text;
}

const stored = (store: PageStore, key: string, content: string, fields: readonly string[] = []): void =>
  void put(store, keepsake(key, fields, { position: store.position }), content);

describe("a reading thread's view of a store", () => {
  it("finds what is stored, as it is now", () => {
    const { store, reader } = pair();
    expect(textOf(reader, "http://h/a")).toBe(null);
    stored(store, "http://h/a", "first");
    expect(textOf(reader, "http://h/a")).toBe("first");
    stored(store, "http://h/a", "second");
    expect(textOf(reader, "http://h/a")).toBe("second");
    expect(textOf(reader, "http://h/b")).toBe(null);
  });

  it("finds of several variants the one that a request selects, the newest first", () => {
    const { store, reader } = pair();
    const [german, english] = [
      ["accept-language", "de"],
      ["accept-language", "en"],
    ] as const;
    const vary = (content: string, asked: readonly string[], names = "accept-language"): void =>
      void put(store, keepsake("http://h/v", ["vary", names], { position: store.position }, asked), content);
    vary("hallo", german);
    vary("hello", english);
    expect([german, english, []].map((asked) => textOf(reader, "http://h/v", asked))).toEqual(["hallo", "hello", null]);
    vary("Hallo!", german);
    expect(textOf(reader, "http://h/v", german)).toBe("Hallo!");
    expect(textOf(reader, "http://h/v", ["accept-language", "DE;q=1"])).toBe("Hallo!");
    // One for all requests is newer than those; then one that says by another field.
    stored(store, "http://h/v", "for all");
    expect([german, []].map((asked) => textOf(reader, "http://h/v", asked))).toEqual(["for all", "for all"]);
    vary("for y", ["x", "y"], "x");
    // Behind one that says by other fields, the whole way finds the right one.
    expect([["x", "y"], ["x", "z"], german].map((asked) => textOf(reader, "http://h/v", asked))).toEqual([
      "for y",
      null,
      null,
    ]);
    store.invalidate({ kind: "uri", uri: "http://h/v" }, drop);
    expect([german, ["x", "y"], []].map((asked) => textOf(reader, "http://h/v", asked))).toEqual([null, null, null]);
  });

  it("leaves to the other what has parts, content elsewhere, or has to be validated", () => {
    const { store, reader } = pair();
    stored(store, "http://h/long", "x".repeat(200_000));
    stored(store, "http://h/outdated", "content");
    store.outdate(store.variants("http://h/outdated")[0]!);
    for (const key of ["long", "outdated"]) expect(textOf(reader, `http://h/${key}`)).toBe(null);
  });

  it("finds nothing that may have been invalidated since it was looked at", () => {
    const { store, reader } = pair();
    stored(store, "http://h/a", "a");
    stored(store, "http://h/tagged", "tagged", ["cache-tag", "t"]);
    stored(store, "http://h/b", "b");
    store.invalidate({ kind: "uri", uri: "http://h/b" }, drop);
    expect(textOf(reader, "http://h/b")).toBe(null);
    // What is dropped by its URI is gone at once: others without names have nothing to be held against.
    expect(textOf(reader, "http://h/a")).toBe("a");
    expect(textOf(reader, "http://h/tagged")).toBe(null);
    store.variants("http://h/tagged");
    expect(textOf(reader, "http://h/tagged")).toBe("tagged");
    store.invalidate({ kind: "prefix", prefix: "http://h/t" }, drop);
    expect(textOf(reader, "http://h/a")).toBe(null);
    store.variants("http://h/a");
    expect(textOf(reader, "http://h/a")).toBe("a");
    expect(textOf(reader, "http://h/tagged")).toBe(null);
    store.doubtAll();
    expect(textOf(reader, "http://h/a")).toBe(null);
  });

  it("reads forms of request only with the settings that they were allowed under", () => {
    const { store, reader } = pair();
    stored(store, "http://h/a", "a");
    const formsUnder = (settings: number): number => {
      const glance = reader.enter("http://h/a", [])!;
      const forms = glance.formsNow(settings, 7);
      reader.leave();
      return forms;
    };
    const allow = (settings: number, form: number): void =>
      store.allow(store.variants("http://h/a")[0]!, { settings, epoch: 7, way: 0, form });
    expect(formsUnder(1)).toBe(0);
    allow(1, 1);
    allow(1, 2);
    expect([formsUnder(1), formsUnder(2)]).toEqual([3, 0]);
    allow(2, 2);
    expect([formsUnder(1), formsUnder(2)]).toEqual([0, 2]);
  });

  it("keeps what it is reading from being written over, and nobody waits for it", () => {
    const { store, reader } = pair(storeBytesMin);
    stored(store, "http://h/kept", "k".repeat(5000));
    const glance = reader.enter("http://h/kept", [])!;
    let refused = 0;
    for (let number = 0; number < 3000; number++)
      if (!put(store, keepsake(`http://h/${number}`), "n".repeat(4000))) refused++;
    expect(glance.memory.toString("latin1", glance.contentAt, glance.contentEnd)).toBe("k".repeat(5000));
    // Pages that cannot be used again yet: what comes is not stored meanwhile.
    expect(refused).toBeGreaterThan(0);
    reader.leave();
    expect(put(store, keepsake("http://h/after"), "n".repeat(4000))).toBe(true);
    expect(textOf(reader, "http://h/kept")).toBe(null);
    expect(textOf(reader, "http://h/after")).toBe("n".repeat(4000));
  });

  it("finds keys however far the index has grown", () => {
    const { store, reader } = pair(2 ** 25);
    const count = 40_000;
    for (let number = 0; number < count; number++) stored(store, `http://h/${number}`, `content ${number}`);
    let found = 0;
    for (let number = 0; number < count; number++) {
      const text = textOf(reader, `http://h/${number}`);
      if (text === null) continue;
      expect(text).toBe(`content ${number}`);
      found++;
    }
    expect(found).toBe(count);
  });
});

/** How long the writers of the torture test go on. */
const tortureMs = Number(process.env["TORTURE_MS"] ?? 3000);

it(
  "torture: one thread stores and evicts as fast as it can, three read; no reader gets a wrong byte",
  async () => {
    const keys = 3000;
    const store = new PageStore(storeBytesMin * 3, { readers: 3, copiesBytesMax: storeBytesMin / 2 });
    const over = new Int32Array(new SharedArrayBuffer(4));
    const workers: Worker[] = [];
    const shared = store.share((block) => {
      for (const worker of workers) worker.postMessage(block);
    });
    const results = Promise.all(
      [0, 1, 2].map((reader) => {
        const options: TortureOptions = { store: shared, reader, keys, over: over.buffer as SharedArrayBuffer };
        const worker = new Worker(new URL("../support/torture-reader.ts", import.meta.url), { workerData: options });
        workers.push(worker);
        return new Promise<TortureResult>((resolve, reject) => {
          worker.on("error", reject);
          worker.on("message", resolve);
        });
      }),
    );
    const until = performance.now() + tortureMs;
    let [version, writes] = [0, 0];
    while (performance.now() < until) {
      for (let turn = 0; turn < 300; turn++) {
        const number = Math.floor(Math.random() * keys);
        const key = `http://torture/${number}`;
        const dice = Math.random();
        if (dice < 0.02) store.invalidate({ kind: "uri", uri: key }, drop);
        else if (dice < 0.021) store.invalidate({ kind: "prefix", prefix: `http://torture/${number % 10}` }, drop);
        else if (dice < 0.3) {
          const [found] = store.variants(key);
          if (found === undefined) continue;
          store.used(found);
          store.allow(found, { settings: turn % 2 === 0 ? 3 : 4, epoch: 1, way: 0, form: turn % 2 === 0 ? 1 : 2 });
          if (dice < 0.1) {
            const lease = store.lease(found);
            store.update(lease, found.head, { position: store.position, tags: [] }).release();
            lease.release();
          }
        } else {
          const bytes = 50 + Math.floor(Math.random() ** 4 * 14_000);
          const kept = keepsake(key, ["x-key", String(number)], { position: store.position });
          writes += put(store, kept, Buffer.alloc(bytes, `k${number}v${version++};`)) ? 1 : 0;
        }
      }
      await new Promise((done) => setImmediate(done));
    }
    Atomics.store(over, 0, 1);
    const found = await results;
    expect(found.flatMap(({ wrong }) => wrong)).toEqual([]);
    for (const result of found) expect(result.found).toBeGreaterThan(1000);
    expect(writes).toBeGreaterThan(1000);
    expect(store.usage.counts.evicted).toBeGreaterThan(1000);
  },
  tortureMs + 60_000,
);
