/** What every store keeps: run by each implementation of the port (src/store/port.ts). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tagsOf } from "../../src/http/tags.ts";
import { storedHead } from "../../src/http/stored-head.ts";
import { variantOf } from "../../src/http/vary.ts";
import { keyHash } from "../../src/ring/ring.ts";
import { uriOfKey, type Keepsake, type Store } from "../../src/store/port.ts";

const times = { requestSeconds: 1000, responseSeconds: 1000 };
const any = (): boolean => true;

/** What is kept under a key, for a test. */
export function keepsake(
  key: string,
  fields: readonly string[] = [],
  change: Partial<Keepsake> = {},
  requestFields: readonly string[] = ["x", "1"],
): Keepsake {
  const head = storedHead(
    (names) => variantOf(names, requestFields),
    200,
    ["cache-control", "max-age=60", ...fields],
    times,
  );
  return {
    key,
    hash: keyHash(key),
    head,
    inner: false,
    tags: tagsOf(fields),
    position: 0,
    copyUntil: null,
    lasting: true,
    part: null,
    outdated: false,
    ...change,
  };
}

/** Stores content under a key. */
export function put(store: Store, kept: Keepsake, content: string | Buffer): boolean {
  const writer = store.begin(content.length);
  if (writer === null) return false;
  if (content.length > 0) writer.body.append(typeof content === "string" ? Buffer.from(content) : content);
  writer.body.finish();
  const stored = writer.commit(kept);
  writer.over();
  return stored;
}

/** Drops everything, and sees to it that all of it is gone. */
export function empty(store: Store): void {
  store.invalidate({ kind: "everything" }, drop);
  while (!store.sweep(1000));
}

/** An invalidation that drops. */
const gone = (count: number): boolean[] => new Array<boolean>(count).fill(false);
const drop = { mode: "drop", at: 0 } as const;

function read(
  store: Store,
  key: string,
  selecting = (names: readonly string[]) => variantOf(names, ["x", "1"]),
): string | null {
  const lease = store.find(key, selecting, any);
  if (lease === null) return null;
  const text = lease.stored.body.joined().toString();
  lease.release();
  return text;
}

/** Runs the contract against stores that `make` opens with a budget in bytes, and a part of it for hot copies. */
export function storeContract(name: string, make: (bytesMax: number, copiesBytesMax?: number) => Store): void {
  describe(`the contract of a store: ${name}`, () => {
    it("gives back what was committed, and nothing that was abandoned", () => {
      const store = make(2 ** 22);
      expect(put(store, keepsake("http://h/a"), "content")).toBe(true);
      const writer = store.begin(5)!;
      writer.body.append(Buffer.from("never"));
      writer.abandon();
      expect(writer.commit(keepsake("http://h/b"))).toBe(false);
      writer.over();
      expect([read(store, "http://h/a"), read(store, "http://h/b")]).toEqual(["content", null]);
      expect(store.usage).toMatchObject({ responses: 1, leases: 0 });
    });

    it("replaces what the same requests select, and keeps what others select", () => {
      const store = make(2 ** 22);
      put(store, keepsake("http://h/a", ["vary", "x"]), "one");
      put(store, keepsake("http://h/a", ["vary", "x"]), "two");
      expect([store.usage.responses, read(store, "http://h/a")]).toEqual([1, "two"]);
      const kept = keepsake("http://h/a", ["vary", "x"]);
      put(store, { ...kept, head: { ...kept.head, variant: variantOf(["x"], ["x", "2"]) } }, "other");
      expect([store.usage.responses, read(store, "http://h/a")]).toEqual([2, "two"]);
      expect(read(store, "http://h/a", (names) => variantOf(names, ["x", "2"]))).toBe("other");
      expect(read(store, "http://h/a", (names) => variantOf(names, ["x", "3"]))).toBeNull();
    });

    it("lets parts stand beside the whole, and the whole end them", () => {
      const store = make(2 ** 22);
      put(store, keepsake("http://h/a", [], { part: { first: 0, last: 2, total: 9 } }), "abc");
      expect(
        store.find(
          "http://h/a",
          () => "",
          ({ part }) => part === null,
        ),
      ).toBeNull();
      put(store, keepsake("http://h/a"), "abcdefghi");
      expect(store.usage.responses).toBe(1);
      put(store, keepsake("http://h/a", [], { part: { first: 0, last: 2, total: 9 } }), "abc");
      const lasts = store.variants("http://h/a").map(({ part }) => part?.last ?? null);
      expect([store.usage.responses, lasts]).toEqual([2, [2, null]]);
    });

    it("keeps what is leased readable, whatever becomes of it", () => {
      const store = make(2 ** 22);
      put(store, keepsake("http://h/a"), "content");
      const lease = store.find("http://h/a", () => "", any)!;
      empty(store);
      expect([store.usage.responses, store.usage.leases, lease.stored.body.joined().toString()]).toEqual([
        0,
        1,
        "content",
      ]);
      lease.release();
      lease.release();
      expect(store.usage.leases).toBe(0);
    });

    it("updates a head and leaves the content, indexes new groups, and stores nothing anew that was dropped meanwhile", () => {
      const store = make(2 ** 22);
      put(store, keepsake("http://h/a"), "content");
      const lease = store.find("http://h/a", () => "", any)!;
      const head = keepsake("http://h/a", ["cache-groups", '"g"', "etag", '"2"']).head;
      const fresh = store.update(lease, head, { position: 0, tags: ["g"] });
      expect([fresh.stored.tags, fresh.stored.body.joined().toString(), store.usage.responses]).toEqual([
        ["g"],
        "content",
        1,
      ]);
      store.invalidate({ kind: "tag", origin: "http://h", tag: "g" }, drop);
      expect(read(store, "http://h/a")).toBeNull();
      const late = store.update(fresh, head, { position: null, tags: ["g"] });
      expect([store.usage.responses, late.stored.body.joined().toString()]).toEqual([0, "content"]);
      for (const one of [lease, fresh, late]) one.release();
      expect(store.usage).toMatchObject({ bytes: 0, leases: 0 });
    });

    it("holds what is on its way against what has been invalidated since its origin was asked", () => {
      const store = make(2 ** 22);
      const { position } = store;
      store.invalidate({ kind: "uri", uri: "http://h/a" }, drop);
      store.invalidate({ kind: "tag", origin: null, tag: "t" }, drop);
      store.invalidate({ kind: "tag", origin: "http://other", tag: "u" }, drop);
      store.invalidate({ kind: "prefix", prefix: "http://h/p/" }, drop);
      store.invalidate({ kind: "host", host: "gone" }, drop);
      const late = (key: string, fields: readonly string[] = []) =>
        put(store, keepsake(key, fields, { position }), "x");
      const tag = (value: string) => ["cache-tag", value];
      expect([late("http://h/a"), late("http://h/a\nx:1"), late("http://h/t", tag("s, t"))]).toEqual(gone(3));
      expect([late("http://h/p/q"), late("https://gone/"), late("http://gone:81/x")]).toEqual(gone(3));
      expect([late("http://h/b"), late("http://h/u", tag("u")), late("http://gone.h/"), late("http://h/p")]).toEqual([
        true,
        true,
        true,
        true,
      ]);
      expect(put(store, keepsake("http://h/a", [], { position: store.position }), "new")).toBe(true);
      expect(read(store, "http://h/a")).toBe("new");
      // It is known before anything has come, too; of tags nothing is known then.
      expect(store.isOver(position, "http://h/b", [])).toBe(false);
      expect(store.isOver(position, "http://h/b", null)).toBe(true);
      expect(store.isOver(store.position, "http://h/a", null)).toBe(false);
    });

    it("invalidates by prefix, host and tag, softly too, and counts what it has ended", () => {
      const store = make(2 ** 22);
      const stored = ["http://h/a/1", "http://h/a/2", "http://h/ab", "http://i/a/1", "https://h/a/1"];
      for (const key of stored)
        put(store, keepsake(key, ["surrogate-key", key.endsWith("1") ? "one all" : "all"]), "x");
      const count = (selector: Parameters<Store["invalidate"]>[0], mode: "drop" | "outdate"): unknown => {
        const [named] = [...store.named([selector])].slice(-1);
        const position = store.invalidate(selector, { mode, at: 1020, countedAs: "itself" });
        while (!store.sweep(1000));
        const { dropped, outdated, swept } = store.ended(position)!;
        return [named, dropped, outdated, swept];
      };
      expect(count({ kind: "prefix", prefix: "http://h/a/" }, "outdate")).toEqual([2, 0, 2, true]);
      const soft = [...store.all()].filter(({ head }) => head.lifetime.source === "ended");
      expect(soft.map(({ head, freshUntil }) => [head.born + head.lifetime.seconds, freshUntil])).toEqual([
        [1020, 1020],
        [1020, 1020],
      ]);
      expect(count({ kind: "tag", tag: "one", origin: "http://h" }, "drop")).toEqual([1, 1, 0, true]);
      expect(count({ kind: "host", host: "h" }, "drop")).toEqual([3, 3, 0, true]);
      expect(count({ kind: "tag", tag: "all", origin: null }, "drop")).toEqual([1, 1, 0, true]);
      expect(count({ kind: "everything" }, "drop")).toEqual([0, 0, 0, true]);
      expect(store.usage).toMatchObject({ responses: 0, bytes: 0 });
    });

    it("has everything validated that may have missed something, and nothing that came afterwards", () => {
      const store = make(2 ** 22);
      put(store, keepsake("http://h/a"), "x");
      const { position } = store;
      store.doubtAll();
      put(store, keepsake("http://h/b", [], { position }), "x");
      put(store, keepsake("http://h/c", [], { position: store.position }), "x");
      expect([...store.all()].map(({ key, outdated }) => `${key} ${outdated}`).sort()).toEqual([
        "http://h/a true",
        "http://h/b true",
        "http://h/c false",
      ]);
      const lease = store.find("http://h/a", () => "", any)!;
      const { head } = lease.stored;
      const fresh = store.update(lease, head, { position: store.position, tags: [] });
      expect(fresh.stored.outdated).toBe(false);
      fresh.release();
      lease.release();
    });

    it("invalidates by URI everything under it: variants, parts, longer keys; and nothing beside it", () => {
      const store = make(2 ** 22);
      for (const key of [
        "http://h/a",
        "http://h/a\nx-tenant:1",
        "http://h/a\nx-tenant:2\nquery:abc",
        "http://h/ab",
        "http://h/a?b",
      ])
        put(store, keepsake(key), key);
      store.invalidate({ kind: "uri", uri: "http://h/a" }, { mode: "outdate", at: 1000 });
      expect([...store.all()].filter(({ head }) => head.lifetime.source === "ended")).toHaveLength(3);
      store.invalidate({ kind: "uri", uri: "http://h/a" }, drop);
      expect([...store.all()].map(({ key }) => key).sort()).toEqual(["http://h/a?b", "http://h/ab"]);
    });

    it("bounds hot copies by themselves, and lets them give way first", () => {
      const store = make(4_000_000, 1_000_000);
      for (let index = 0; index < 400; index++)
        put(store, keepsake(`http://h/copy${index}`, [], { copyUntil: 2000 }), "c".repeat(4000));
      expect(store.usage.copyBytes).toBeLessThanOrEqual(1_000_000);
      expect(store.usage.copies).toBeGreaterThan(100);
      expect(store.copies().length).toBe(store.usage.copies);
      for (let index = 0; index < 1200; index++) put(store, keepsake(`http://h/own${index}`), "o".repeat(4000));
      expect(store.usage.bytes).toBeLessThanOrEqual(4_000_000);
      expect(store.usage.copyBytes).toBeLessThanOrEqual(1_000_000 / 4);
    });

    it("prices what a response remembers: selected values, groups, long keys", () => {
      const cost = (kept: Keepsake): number => {
        const store = make(2 ** 24);
        put(store, kept, "x");
        return store.usage.bytes;
      };
      const plain = cost(keepsake("http://h/a"));
      const kept = keepsake("http://h/a", ["vary", "x"]);
      const long = "v".repeat(13_000);
      expect(cost({ ...kept, head: { ...kept.head, variant: long } }) - plain).toBeGreaterThan(12_900);
      expect(cost(keepsake(`http://h/${long}`)) - plain).toBeGreaterThan(12_900);
      expect(cost(keepsake("http://h/a", ["cache-groups", '"a", "b", "c"'])) - plain).toBeGreaterThan(10);
    });

    it("has no room for what is larger than it, and does not empty itself to find that out", () => {
      const store = make(2 ** 20);
      put(store, keepsake("http://h/a"), "small");
      expect(store.begin(2 ** 21)).toBeNull();
      const writer = store.begin(null);
      if (writer !== null) {
        expect(writer.grow(2 ** 21)).toBe(false);
        writer.abandon();
        writer.over();
      }
      expect(read(store, "http://h/a")).toBe("small");
    });

    it("behaves as a plain map under any operations, within its budget, and ends with nothing held", () => {
      const keys = ["http://h/a", "http://h/b", "http://h/a\nf:1", "http://h/c?x"];
      const sizes = fc.oneof(fc.nat(3000), fc.nat(40_000), fc.nat(200_000));
      const operation = fc.oneof(
        fc.record({ kind: fc.constant("put" as const), key: fc.constantFrom(...keys), size: sizes }),
        fc.record({ kind: fc.constant("read" as const), key: fc.constantFrom(...keys) }),
        fc.record({ kind: fc.constant("update" as const), key: fc.constantFrom(...keys) }),
        fc.record({ kind: fc.constant("drop" as const), key: fc.constantFrom(...keys) }),
        fc.record({ kind: fc.constant("arriving" as const), size: sizes }),
      );
      fc.assert(
        fc.property(
          fc.integer({ min: 400_000, max: 1_200_000 }),
          fc.array(operation, { maxLength: 60 }),
          (bytesMax, operations) => {
            const store = make(bytesMax);
            const model = new Map<string, string>();
            for (const [index, step] of operations.entries()) {
              switch (step.kind) {
                case "put": {
                  const content = String.fromCharCode(97 + (index % 26)).repeat(step.size);
                  // Where there is no room for the new one, the old one may stay or go.
                  if (put(store, keepsake(step.key, [], { position: store.position }), content))
                    model.set(step.key, content);
                  break;
                }
                case "read": {
                  const content = read(store, step.key);
                  // It may have been evicted; what is there is what was put last.
                  if (content !== null) expect(content).toBe(model.get(step.key));
                  break;
                }
                case "update": {
                  const lease = store.find(step.key, () => "", any);
                  if (lease === null) break;
                  const fresh = store.update(lease, keepsake(step.key, ["etag", `"${index}"`]).head, {
                    position: store.position,
                    tags: [],
                  });
                  expect(fresh.stored.body.joined().toString()).toBe(model.get(step.key));
                  fresh.release();
                  lease.release();
                  break;
                }
                case "drop": {
                  const uri = uriOfKey(step.key);
                  store.invalidate({ kind: "uri", uri }, drop);
                  for (const key of keys) if (uriOfKey(key) === uri) model.delete(key);
                  for (const key of keys) if (uriOfKey(key) === uri) expect(read(store, key)).toBeNull();
                  break;
                }
                case "arriving": {
                  const writer = store.begin(null);
                  if (writer === null) break;
                  if (writer.grow(step.size)) writer.body.append(Buffer.alloc(step.size));
                  expect(store.usage.bytes).toBeLessThanOrEqual(bytesMax);
                  writer.abandon();
                  writer.over();
                }
              }
              expect(store.usage.bytes).toBeLessThanOrEqual(bytesMax);
            }
            empty(store);
            expect(store.usage).toMatchObject({ bytes: 0, responses: 0, leases: 0, copies: 0, copyBytes: 0 });
          },
        ),
        { numRuns: 500 },
      );
    });
  });
}
