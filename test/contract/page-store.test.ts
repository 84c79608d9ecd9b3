/**
 * The page store against a model: whatever is stored, read slowly, freshened, invalidated and pushed out in any order,
 * each byte that a reader gets is the one that was stored under that key, the budget holds, and in the end nothing is
 * held.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ContentSink } from "../../src/store/body-reader.ts";
import { KeyIndex, segmentUnits } from "../../src/store/pages/key-index.ts";
import { broadMax, Heard, uriHash } from "../../src/store/pages/heard.ts";
import { PageMemory } from "../../src/store/pages/page-memory.ts";
import { PageStore } from "../../src/store/pages/page-store.ts";
import { storeBytesMin } from "../../src/store/pages/room.ts";
import { uriOfKey, type Lease } from "../../src/store/port.ts";
import { Holds } from "../../src/wire/holds.ts";
import { empty, keepsake, put } from "./store.ts";

/** Content that tells which key and version it is of, at every place. */
function contentOf(key: string, version: number, bytes: number): Buffer {
  const text = Buffer.from(`${key}#${version};`);
  return Buffer.alloc(bytes, text);
}

const drop = { mode: "drop", at: 0 } as const;

/** An asker that takes what it is given when it is told to, and keeps what it was given as it was at that moment. */
class SlowSink implements ContentSink {
  closed = false;
  readonly holds = new Holds();
  readonly #waiting: { readonly given: Buffer; readonly asIs: Buffer; readonly taken: (() => void) | undefined }[] = [];
  readonly pieces: Buffer[] = [];
  ended = false;

  hold: ContentSink["hold"] = (holder) => this.holds.take(holder);
  write(content: Buffer, taken?: () => void): boolean {
    this.#waiting.push({ given: content, asIs: Buffer.from(content), taken });
    return this.#waiting.length < 3;
  }
  end(): void {
    this.ended = true;
  }
  abort(): void {
    this.closed = true;
  }
  /** The oldest piece is taken: it must still be what it was when it was written. */
  take(): void {
    const piece = this.#waiting.shift();
    if (piece === undefined) return;
    expect(piece.given.equals(piece.asIs)).toBe(true);
    this.pieces.push(piece.asIs);
    piece.taken?.();
    if (this.#waiting.length === 0 && !this.ended) this.holds.drained();
  }
  get idle(): boolean {
    return this.#waiting.length === 0;
  }
  leave(): void {
    this.closed = true;
    this.holds.left();
    while (!this.idle) this.take();
  }
}

const keys = ["http://h/a", "http://h/b", "http://h/a\nf:1", "http://h/c?x", "http://h/d", "http://g/a"];
const key = fc.constantFrom(...keys);
const size = fc.oneof(fc.nat(400), fc.nat(20_000), fc.nat(300_000));
const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("put" as const), key, size, known: fc.boolean(), used: fc.nat(3) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("flood" as const), count: fc.nat(60), size: fc.nat(9000) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("read" as const), key, from: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("lease" as const), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("update" as const), key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("take" as const), which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), size }) },
);

describe("the page store", () => {
  it("gives every reader the bytes that were stored, within its budget, whatever happens meanwhile", () => {
    let read = 0;
    let evicted = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: storeBytesMin, max: storeBytesMin * 6 }),
        fc.array(operation, { minLength: 10, maxLength: 80 }),
        (bytesMax, operations) => {
          const store = new PageStore(bytesMax, { copiesBytesMax: bytesMax / 4, seed: 7 });
          const versions = new Map<string, { version: number; bytes: number }>();
          const leases: { readonly lease: Lease; readonly content: Buffer }[] = [];
          const sinks: { readonly sink: SlowSink; readonly content: Buffer }[] = [];
          for (const [index, step] of operations.entries()) {
            switch (step.kind) {
              case "put": {
                const content = contentOf(step.key, index, step.size);
                const writer = store.begin(step.known ? step.size : null);
                if (writer === null) break;
                let whole = true;
                // A reader from the first byte on, as slow as it likes.
                const sink = new SlowSink();
                writer.body.read(sink, 0, null, () => {});
                for (let at = 0; at < content.length && whole; at += 7000) {
                  const chunk = content.subarray(at, at + 7000);
                  whole = writer.grow(chunk.length);
                  if (!whole) {
                    writer.abandon();
                    writer.body.pass();
                  }
                  writer.body.append(Buffer.from(chunk));
                }
                if (whole) {
                  writer.body.finish();
                  if (writer.commit(keepsake(step.key, [], { position: store.position })))
                    versions.set(step.key, { version: index, bytes: step.size });
                  sinks.push({ sink, content });
                } else {
                  writer.body.fail();
                  sink.leave();
                }
                writer.over();
                for (const one of step.used > 0 ? store.variants(step.key) : [])
                  for (let use = 0; use < step.used; use++) store.used(one);
                break;
              }
              case "flood":
                for (let one = 0; one < step.count; one++) {
                  const name = `http://flood/${index}/${one}`;
                  const writer = store.begin(step.size);
                  writer?.body.append(contentOf(name, 0, step.size));
                  writer?.body.finish();
                  writer?.commit(
                    keepsake(name, [], { position: store.position, ...(one % 5 === 0 ? { copyUntil: 2000 } : {}) }),
                  );
                  writer?.over();
                }
                break;
              case "read": {
                const [found] = store.variants(step.key);
                if (found === undefined) break;
                const known = versions.get(step.key)!;
                const sink = new SlowSink();
                const from = Math.min(step.from, known.bytes);
                found.body.read(sink, from, known.bytes, () => {});
                sinks.push({ sink, content: contentOf(step.key, known.version, known.bytes).subarray(from) });
                break;
              }
              case "lease": {
                const lease = store.find(
                  step.key,
                  () => "",
                  () => true,
                );
                if (lease === null) break;
                const known = versions.get(step.key)!;
                leases.push({ lease, content: contentOf(step.key, known.version, known.bytes) });
                break;
              }
              case "update": {
                const lease = store.find(
                  step.key,
                  () => "",
                  () => true,
                );
                if (lease === null) break;
                const fresh = store.update(lease, keepsake(step.key, ["etag", `"${index}"`]).head, {
                  position: store.position,
                  tags: [],
                });
                lease.release();
                const known = versions.get(step.key)!;
                expect(fresh.stored.head.fields).toContain(`"${index}"`);
                leases.push({ lease: fresh, content: contentOf(step.key, known.version, known.bytes) });
                break;
              }
              case "take":
                sinks[step.which]?.sink.take();
                break;
              case "leave": {
                const [gone] = sinks.splice(step.which, 1);
                gone?.sink.leave();
                break;
              }
              case "release": {
                const [held] = leases.splice(step.which, 1);
                if (held === undefined) break;
                expect(held.lease.stored.body.joined().equals(held.content)).toBe(true);
                held.lease.release();
                break;
              }
              case "drop":
                store.invalidate({ kind: "uri", uri: uriOfKey(step.key) }, drop);
                for (const other of keys)
                  if (uriOfKey(other) === uriOfKey(step.key)) expect(store.variants(other)).toEqual([]);
                break;
              case "pass": {
                const writer = store.begin(null);
                if (writer === null) break;
                const sink = new SlowSink();
                const content = contentOf("passed", index, step.size);
                writer.body.read(sink, 0, null, () => {});
                const half = content.length >> 1;
                if (writer.grow(half)) writer.body.append(Buffer.from(content.subarray(0, half)));
                else writer.body.append(Buffer.from(content.subarray(0, half)));
                writer.abandon();
                writer.body.pass();
                writer.body.append(Buffer.from(content.subarray(half)));
                writer.body.finish();
                writer.over();
                sinks.push({ sink, content });
              }
            }
            expect(store.usage.bytes).toBeLessThanOrEqual(bytesMax);
            expect(store.memory.given).toBeLessThanOrEqual(bytesMax);
          }
          for (const { sink, content } of sinks) {
            for (let turns = 0; (!sink.idle || !sink.ended) && turns < 10_000; turns++) sink.take();
            expect(Buffer.concat(sink.pieces).equals(content)).toBe(true);
            read++;
          }
          for (const { lease, content } of leases) {
            expect(lease.stored.body.joined().equals(content)).toBe(true);
            lease.release();
          }
          evicted += store.usage.counts.evicted;
          empty(store);
          expect(store.usage).toMatchObject({ bytes: 0, responses: 0, leases: 0, copies: 0, copyBytes: 0 });
          expect(store.memory.waiting).toBe(0);
        },
      ),
      { numRuns: 1500 },
    );
    // A property that never meets what it is about says nothing.
    expect(read).toBeGreaterThan(500);
    expect(evicted).toBeGreaterThan(500);
  }, 120_000);

  it("answers a glance with what the whole way would give, and with nothing it would have to think about", () => {
    const store = new PageStore(2 ** 22, { seed: 1 });
    const put = (kept: ReturnType<typeof keepsake>, content: string): void => {
      const writer = store.begin(content.length)!;
      writer.body.append(Buffer.from(content));
      writer.body.finish();
      writer.commit(kept);
      writer.over();
    };
    put(keepsake("http://h/a"), "content");
    const glance = store.glance("http://h/a", [])!;
    const { memory, headAt, headEnd, contentAt, contentEnd } = glance;
    expect(memory.toString("latin1", headAt, headEnd)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*content-length: 7\r\n$/s);
    expect(memory.toString("latin1", contentAt, contentEnd)).toBe("content");
    expect(glance.forms(3, 1)).toBe(0);
    store.allow(store.variants("http://h/a")[0]!, { settings: 3, epoch: 1, way: 9, form: 2 });
    expect([store.glance("http://h/a", [])!.forms(3, 1), store.glance("http://h/a", [])!.way]).toEqual([2, 9]);
    expect(store.glance("http://h/a", [])!.forms(4, 1)).toBe(0);
    expect(store.glance("http://h/a", [])!.forms(3, 2), "another view").toBe(0);
    store.outdate(store.variants("http://h/a")[0]!);
    expect(store.glance("http://h/a", [])).toBeNull();
    put(keepsake("http://h/v", ["vary", "x"]), "v");
    put(keepsake("http://h/p", [], { part: { first: 0, last: 0, total: 9 } }), "p");
    put(keepsake("http://h/l"), "l".repeat(100_000));
    for (const one of ["http://h/p", "http://h/l", "http://h/none"]) expect(store.glance(one, ["x", "1"])).toBeNull();
    expect([store.glance("http://h/v", [])?.status, store.glance("http://h/v", ["x", "1"])?.status]).toEqual([
      undefined,
      200,
    ]);
  });
});

it("is swept a little at a time while pages come and go, those of the index too", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const store = new PageStore(2 ** 24, { seed });
    for (let index = 0; index < 200; index++) put(store, keepsake(`http://h/large${index}`), "x".repeat(90_000));
    store.invalidate({ kind: "prefix", prefix: "http://h/large" }, drop);
    let swept = store.sweep(1);
    for (let index = 0; index < 9000; index++) {
      put(store, keepsake(`http://h/${index}`, [], { position: store.position }), "y");
      if (!swept && index % 50 === 0) swept = store.sweep(1);
    }
    for (let steps = 0; !swept && steps < 10_000; steps++) swept = store.sweep(1);
    expect(swept).toBe(true);
    expect([...store.all()].filter(({ key }) => key.includes("large"))).toEqual([]);
  }
});

describe("the index", () => {
  it("is a map from hashes to locations, however it grows and shrinks", () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.nat({ max: 2 ** 32 - 1 })),
        fc.integer({ min: 1, max: 9000 }),
        (hashes, count) => {
          const memory = new PageMemory(2 ** 20, 2);
          memory.open(0);
          let next = memory.pageUnits - segmentUnits;
          const index = new KeyIndex(memory, 20, next);
          const model = new Map<number, number>();
          const lookUp = (hash: number, location: number): boolean => {
            for (let at = index.seek(hash); at !== 0; at = index.next()) if (at === location) return true;
            return false;
          };
          let location = 0;
          for (const hash of hashes) {
            if (++location > count) break;
            while (index.isFull(hash)) index.split(hash, (next -= segmentUnits));
            index.add(hash, location);
            model.set(location, hash);
            if (location % 3 !== 0) continue;
            const gone = location - 2;
            expect(lookUp(model.get(gone)!, gone)).toBe(true);
            index.remove();
            model.delete(gone);
          }
          for (const [at, hash] of model) expect(lookUp(hash, at)).toBe(true);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("Heard", () => {
  const uri = (name: string) => ({ kind: "uri", uri: name }) as const;
  const of = (heard: Heard, since: number, ...names: string[]) => {
    const verdict = heard.verdict(since, names.map(uriHash), () => "http://h/x");
    return [verdict.drop, verdict.outdate, verdict.doubt];
  };

  it("concerns what was stored before, by name or all, and nothing that came after", () => {
    const heard = new Heard();
    heard.take(uri("a"), drop);
    heard.take(uri("b"), { mode: "outdate", at: 20 });
    expect(of(heard, 0, "a")).toEqual([1, 0, false]);
    expect(of(heard, 1, "a")).toEqual([0, 0, false]);
    expect(of(heard, 1, "x", "b")).toEqual([0, 2, false]);
    expect(of(heard, 0, "x")).toEqual([0, 0, false]);
    heard.doubt();
    expect(of(heard, 1)).toEqual([0, 0, true]);
    expect(of(heard, heard.now, "a", "b")).toEqual([0, 0, false]);
    heard.take({ kind: "prefix", prefix: "http://h/" }, drop);
    expect(of(heard, 3)).toEqual([4, 0, false]);
    expect(of(heard, 4)).toEqual([0, 0, false]);
  });

  it("takes what it has forgotten for want of room for whatever has a name, or for all", () => {
    const heard = new Heard();
    heard.take(uri("first"), drop);
    for (let index = 0; index < 20_000; index++) heard.take(uri(`other${index}`), drop);
    expect(of(heard, 0, "never named")).toEqual([1, 0, false]);
    expect(of(heard, 1, "never named")).toEqual([0, 0, false]);
    expect(of(heard, 0)).toEqual([0, 0, false]);
    for (let index = 0; index <= broadMax; index++) heard.take({ kind: "host", host: `h${index}` }, drop);
    expect(of(heard, 20_001)).toEqual([20_002, 0, false]);
    expect(of(heard, 20_002)).toEqual([0, 0, false]);
  });

  it("keeps no list of what everything stored has been held against", () => {
    const heard = new Heard();
    heard.take({ kind: "host", host: "h" }, drop);
    heard.swept(1);
    expect(of(heard, 0), "what is on its way may be older").toEqual([1, 0, false]);
    expect(of(heard, 1)).toEqual([0, 0, false]);
  });
});
