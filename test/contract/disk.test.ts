/**
 * The page store with a disk behind it, against a model: whatever is stored, pushed out of memory, brought back,
 * freshened, invalidated and restarted in any order, what is found is what was stored last under that key, or has to be
 * validated first where a process has died. Disks that fail, and files that have been changed, cost hits and nothing
 * else.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { systemIo, type DiskIo } from "../../src/store/disk/disk-io.ts";
import { openDisk, type OpenDisk } from "../../src/store/disk/open-disk.ts";
import { segmentNumbers, segmentName } from "../../src/store/disk/segments.ts";
import type { HeardState } from "../../src/store/pages/heard.ts";
import { PageStore } from "../../src/store/pages/page-store.ts";
import type { ContentSink } from "../../src/store/body-reader.ts";
import type { Lease } from "../../src/store/port.ts";
import { Holds } from "../../src/wire/holds.ts";
import { keepsake, put } from "./store.ts";

const folders = mkdtempSync(join(tmpdir(), "gyre-disk-"));
let made = 0;
const newFolder = (): string => join(folders, `${++made}`);
afterAll(() => rmSync(folders, { recursive: true }));

const memoryBytes = 3 * 2 ** 20;
const diskBytes = 16 * 2 ** 20;

/** A store and its disk. */
class Kept {
  readonly store: PageStore;
  readonly disk: OpenDisk;
  readonly folder: string;
  off: string | null = null;

  constructor(
    folder: string,
    {
      io,
      bytes = diskBytes,
      now = 1000,
      memory = memoryBytes,
    }: { io?: DiskIo; bytes?: number; now?: number; memory?: number } = {},
  ) {
    this.folder = folder;
    let store: PageStore | null = null;
    this.disk = openDisk({
      folder,
      bytesMax: bytes,
      memoryBytes: memory,
      now: () => now,
      // By threads where nothing stands in for the disk.
      ...(io === undefined ? {} : { io }),
      head: () => ({ position: store?.position ?? 0, now, wallLead: 0 }),
      off: (reason) => (this.off = reason),
      failed: (error) => {
        throw error;
      },
    });
    this.store = new PageStore(memory, { behind: this.disk.tier, copiesBytesMax: memory / 8 });
    store = this.store;
    if (this.disk.state !== null || this.disk.isUnclean)
      this.store.goOnFrom(this.disk.state as HeardState | null, this.disk.position);
  }

  /** As a member stops. */
  async stop(): Promise<void> {
    await this.disk.close(this.store.heardState);
  }

  /** What lies there when a process is killed now: it is copied, since the lock is held. */
  async killed(): Promise<string> {
    const copy = newFolder();
    cpSync(this.folder, copy, { recursive: true });
    await this.stop();
    return copy;
  }

  async find(key: string): Promise<Lease | null> {
    await new Promise<void>((resolve) => {
      if (!this.store.recall(key, resolve)) resolve();
    });
    return this.store.find(
      key,
      () => "",
      () => true,
    );
  }

  /** The content that is found, read as an asker does it; null where nothing is found, or the answer was broken off. */
  async content(key: string, from = 0): Promise<{ readonly bytes: Buffer | null; readonly outdated: boolean } | null> {
    const lease = await this.find(key);
    if (lease === null) return null;
    const { body, outdated } = lease.stored;
    const bytes = await new Promise<Buffer | null>((resolve) => {
      const holds = new Holds();
      const pieces: Buffer[] = [];
      body.read(
        {
          closed: false,
          hold: (holder) => holds.take(holder),
          write: (content, taken) => {
            pieces.push(Buffer.from(content));
            taken?.();
            return true;
          },
          end: () => {},
          abort: () => {},
        },
        from,
        null,
        (complete) => resolve(complete ? Buffer.concat(pieces) : null),
      );
    });
    lease.release();
    return { bytes, outdated };
  }
}

/** Content that tells which key and version it is of, at every place. */
function contentOf(key: string, version: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, Buffer.from(`${key}#${version};`));
}

const keys = Array.from({ length: 6 }, (_, index) => `http://h/${index}`);
const key = fc.constantFrom(...keys);
const size = fc.oneof(fc.nat(400), fc.nat(20_000), fc.nat(300_000), fc.integer({ min: 300_000, max: 800_000 }));
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), key, size }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("flood" as const), size: fc.nat(12_000), count: fc.nat(400) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("read" as const), key, from: fc.nat(100_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("update" as const), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("invalidate" as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("discard" as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("outdate" as const), key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("hold" as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("release" as const),
      how: fc.constantFrom("discard" as const, "outdate" as const, "nothing" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const) }) },
);

interface Known {
  readonly content: Buffer | null;
  readonly outdated: boolean;
  /** What may come back after a death, to be validated. */
  readonly olders: Buffer[];
}

describe("the disk tier", () => {
  it("gives back what was stored last, or what has to be validated, whatever happens meanwhile", async () => {
    let read = 0;
    let recalled = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 10, maxLength: 60 }),
        fc.boolean(),
        async (operations, small) => {
          // Small enough to be written round and round.
          const bytes = small ? 4 * 2 ** 20 : diskBytes;
          const memory = small ? 2.4 * 2 ** 20 : memoryBytes;
          let kept = new Kept(newFolder(), { bytes });
          const known = new Map<string, Known>();
          const held: { readonly name: string; readonly lease: Lease; readonly content: Buffer | null }[] = [];
          const renewed = new Set<string>();
          const knownOf = (name: string): Known => known.get(name) ?? { content: null, outdated: false, olders: [] };
          const check = async (name: string, from: number): Promise<void> => {
            const { content, outdated, olders } = knownOf(name);
            const found = await kept.content(name, Math.min(from, content?.length ?? 0));
            if (found === null) return;
            read++;
            const isNewest = content !== null && found.bytes?.equals(content.subarray(Math.min(from, content.length)));
            if (!isNewest) {
              expect(found.outdated, `${name} is older than it should be`).toBe(true);
              const begins = olders.map((older) => older.subarray(Math.min(from, content?.length ?? 0)));
              expect(found.bytes === null || begins.some((older) => older.equals(found.bytes!))).toBe(true);
            } else if (outdated) expect(found.outdated).toBe(true);
          };
          for (const [index, step] of operations.entries()) {
            switch (step.kind) {
              case "put": {
                const content = contentOf(step.key, index, step.size);
                const { content: before, olders } = knownOf(step.key);
                if (put(kept.store, keepsake(step.key, [], { position: kept.store.position }), content))
                  known.set(step.key, {
                    content,
                    outdated: false,
                    olders: before === null ? olders : [...olders, before],
                  });
                else known.set(step.key, { ...knownOf(step.key) });
                break;
              }
              case "flood":
                for (let one = 0; one < step.count; one++)
                  put(
                    kept.store,
                    keepsake(`http://f/${index}/${one}`, [], { lasting: one % 3 === 0 }),
                    "f".repeat(step.size),
                  );
                break;
              case "read":
                await check(step.key, step.from);
                break;
              case "update": {
                const lease = await kept.find(step.key);
                if (lease === null) break;
                // Whoever leased it before that has the older head.
                renewed.add(step.key);
                kept.store.update(lease, lease.stored.head, { position: kept.store.position, tags: [] }).release();
                lease.release();
                const { content, olders } = knownOf(step.key);
                // What a validation has found right is right again, whichever it was.
                const again = await kept.content(step.key);
                if (again?.bytes != null && !again.outdated)
                  known.set(step.key, {
                    content: again.bytes,
                    outdated: false,
                    olders: content === null ? olders : [...olders, content],
                  });
                break;
              }
              case "invalidate": {
                kept.store.invalidate({ kind: "uri", uri: step.key }, { mode: "drop", at: 1000 });
                const { content, olders } = knownOf(step.key);
                known.set(step.key, {
                  content: null,
                  outdated: false,
                  olders: content === null ? olders : [...olders, content],
                });
                break;
              }
              case "discard": {
                const lease = await kept.find(step.key);
                if (lease === null) break;
                kept.store.discard(lease.stored);
                lease.release();
                const { content, olders } = knownOf(step.key);
                known.set(step.key, {
                  content: null,
                  outdated: false,
                  olders: content === null ? olders : [...olders, content],
                });
                break;
              }
              case "outdate": {
                const lease = await kept.find(step.key);
                if (lease === null) break;
                kept.store.outdate(lease.stored);
                lease.release();
                known.set(step.key, { ...knownOf(step.key), outdated: true });
                break;
              }
              case "hold": {
                const lease = await kept.find(step.key);
                if (lease !== null) held.push({ name: step.key, lease, content: knownOf(step.key).content });
                break;
              }
              case "release": {
                // An answer has come for what was leased a while ago.
                const one = held.shift();
                if (one === undefined) break;
                const { name, lease, content } = one;
                const isSame = knownOf(name).content === content && content !== null;
                if (step.how === "discard") kept.store.discard(lease.stored);
                if (step.how === "outdate") kept.store.outdate(lease.stored);
                lease.release();
                if (!isSame || renewed.has(name) || step.how === "nothing") break;
                const { olders } = knownOf(name);
                if (step.how === "outdate") known.set(name, { ...knownOf(name), outdated: true });
                else known.set(name, { content: null, outdated: false, olders: [...olders, content] });
                break;
              }
              case "flush":
                await kept.disk.tier.flush();
                break;
              case "restart":
                for (const { lease } of held.splice(0)) lease.release();
                await kept.stop();
                kept = new Kept(kept.folder, { bytes, memory, io: systemIo });
                expect(kept.disk.isUnclean).toBe(false);
                break;
              case "kill":
                for (const { lease } of held.splice(0)) lease.release();
                kept = new Kept(await kept.killed(), { bytes, memory, io: systemIo });
                break;
            }
            expect(kept.off).toBe(null);
            expect(kept.store.usage.bytes).toBeLessThanOrEqual(memoryBytes);
          }
          for (const { lease } of held) lease.release();
          for (const name of keys) await check(name, 0);
          recalled += kept.disk.tier.counts.recalled;
          expect(kept.store.usage.leases).toBe(0);
          await kept.stop();
          rmSync(kept.folder, { recursive: true });
        },
      ),
      { numRuns: Number(process.env["DISK_RUNS"] ?? 60) },
    );
    expect(read).toBeGreaterThan(100);
    expect(recalled).toBeGreaterThan(20);
  }, 120_000);

  it("takes no more room than it may, whatever is written", async () => {
    const bytes = 4 * 2 ** 20;
    const kept = new Kept(newFolder(), { bytes });
    for (let index = 0; index < 40; index++) {
      for (const [size, count] of [
        [300_000, 1],
        [900_000, 1],
        [2000, 60],
      ] as const)
        for (let one = 0; one < count; one++)
          put(kept.store, keepsake(`http://h/${index}/${size}/${one}`), contentOf("x", index, size));
      await kept.disk.tier.flush();
    }
    expect(kept.disk.tier.counts.writtenBytes).toBeGreaterThan(3 * bytes);
    const sizes = segmentNumbers(kept.folder).map((number) => statSync(join(kept.folder, segmentName(number))).size);
    expect(sizes.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(bytes);
    // What was written last is there.
    const newest = await kept.content("http://h/39/2000/59");
    expect(newest?.bytes?.equals(contentOf("x", 39, 2000))).toBe(true);
    await kept.stop();
  });

  it("keeps variants apart, and gives none of an older Vary in the place of a newer one", async () => {
    const kept = new Kept(newFolder());
    const { store } = kept;
    const vary = (name: string, value: string) => {
      const given = keepsake("http://h/v", ["vary", name]);
      return { ...given, head: { ...given.head, varyNames: [name], variant: value } };
    };
    put(store, vary("a", "1"), "older");
    put(store, vary("b", "1"), "b1");
    put(store, vary("b", "2"), "b2");
    await kept.disk.tier.flush();
    for (let one = 0; one < 2000; one++)
      put(store, keepsake(`http://f/${one}`, [], { lasting: false }), "f".repeat(4000));
    expect(store.variants("http://h/v")).toHaveLength(0);
    expect(store.absent("http://h/v")).toBe(3);
    await new Promise<void>((resolve) => expect(store.recall("http://h/v", resolve)).toBe(true));
    const texts = store.variants("http://h/v").map(({ body }) => body.joined().toString());
    expect(texts).toEqual(["b2", "b1", "older"]);
    // A newer one takes the place of what is on the disk alone.
    for (let one = 0; one < 2000; one++)
      put(store, keepsake(`http://g/${one}`, [], { lasting: false }), "f".repeat(4000));
    put(store, vary("b", "1"), "b1 anew");
    await kept.stop();
    const again = new Kept(kept.folder);
    await new Promise<void>((resolve) => expect(again.store.recall("http://h/v", resolve)).toBe(true));
    expect(again.store.variants("http://h/v").map(({ body }) => body.joined().toString())).toEqual([
      "b1 anew",
      "b2",
      "older",
    ]);
    await again.stop();
  });

  it("leaves a disk that is full or broken, and goes on from memory", async () => {
    for (const code of ["ENOSPC", "EIO", "EROFS"]) {
      let broken = false;
      const io: DiskIo = {
        ...systemIo,
        write: (fd, pieces, at, done) =>
          broken
            ? setImmediate(done, Object.assign(new Error(`${code}: it fails`), { code }), 0)
            : systemIo.write(fd, pieces, at, done),
      };
      const kept = new Kept(newFolder(), { io });
      put(kept.store, keepsake("http://h/a"), "before");
      await kept.disk.tier.flush();
      broken = true;
      put(kept.store, keepsake("http://h/b"), "after");
      await kept.disk.tier.flush();
      expect(kept.off).toContain(code);
      expect((await kept.content("http://h/a"))?.bytes?.toString()).toBe("before");
      expect((await kept.content("http://h/b"))?.bytes?.toString()).toBe("after");
      put(kept.store, keepsake("http://h/c"), "c");
      expect((await kept.content("http://h/c"))?.bytes?.toString()).toBe("c");
      await kept.stop();
      // What it has not been told since must not be taken for right.
      const again = new Kept(kept.folder);
      expect(again.disk.isUnclean).toBe(true);
      expect((await again.content("http://h/a"))?.outdated).toBe(true);
      await again.stop();
    }
  });

  it("goes on with what is written and read in part", async () => {
    const io: DiskIo = {
      read: (fd, into, at, done) => systemIo.read(fd, into.subarray(0, Math.ceil(into.length / 3)), at, done),
      write: (fd, pieces, at, done) => {
        const [first] = pieces as [Buffer];
        systemIo.write(fd, [first.subarray(0, Math.ceil(first.length / 2))], at, done);
      },
    };
    const kept = new Kept(newFolder(), { io });
    const sizes = [0, 100, 20_000, 300_000, 700_000];
    for (const size of sizes) put(kept.store, keepsake(`http://h/${size}`), contentOf("x", size, size));
    await kept.stop();
    const again = new Kept(kept.folder, { io });
    for (const size of sizes)
      expect((await again.content(`http://h/${size}`))?.bytes?.equals(contentOf("x", size, size))).toBe(true);
    await again.stop();
  });

  it("misses what a disk does not give, in time or at all", async () => {
    let how: "well" | "error" | "never" = "well";
    const waiting: (() => void)[] = [];
    const io: DiskIo = {
      ...systemIo,
      read: (fd, into, at, done) => {
        if (how === "never") waiting.push(() => systemIo.read(fd, into, at, done));
        else if (how === "error") setImmediate(done, Object.assign(new Error("EIO"), { code: "EIO" }), 0);
        else systemIo.read(fd, into, at, done);
      },
    };
    const kept = new Kept(newFolder());
    for (let one = 0; one < 40; one++) put(kept.store, keepsake(`http://h/${one}`), "content");
    await kept.stop();
    const again = new Kept(kept.folder, { io });
    how = "never";
    const before = performance.now();
    expect(await again.content("http://h/0")).toBe(null);
    expect(performance.now() - before).toBeLessThan(5000);
    expect(again.disk.tier.counts.late).toBe(1);
    how = "well";
    for (const go of waiting.splice(0)) go();
    expect((await again.content("http://h/1"))?.bytes?.toString()).toBe("content");
    how = "error";
    for (let one = 2; one < 40; one++) expect(await again.content(`http://h/${one}`)).toBe(null);
    expect(again.off).toMatch(/could not be read/);
    await again.stop();
  });

  it("gives no wrong byte of files that were changed or cut short", async () => {
    const folder = newFolder();
    const kept = new Kept(folder);
    const sizes = [0, 10, 3000, 20_000, 70_000, 300_000, 500_000];
    for (const size of sizes)
      for (const name of ["a", "b", "c"])
        put(kept.store, keepsake(`http://h/${name}${size}`), contentOf(name, size, size));
    await kept.stop();
    let found = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), bit: fc.nat(7) }), { maxLength: 3 }),
        fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
        async (flips, cut) => {
          const copy = newFolder();
          cpSync(folder, copy, { recursive: true });
          const used = segmentNumbers(copy)
            .map((number) => join(copy, segmentName(number)))
            .filter((path) => statSync(path).size > 4096);
          for (const [index, { at, bit }] of flips.entries()) {
            const path = used[index % used.length]!;
            const bytes = readFileSync(path);
            bytes[Math.floor(at * (bytes.length - 1))]! ^= 1 << bit;
            writeFileSync(path, bytes);
          }
          if (cut !== null) truncateSync(used[0]!, Math.floor(cut * statSync(used[0]!).size));
          const again = new Kept(copy);
          for (const size of sizes)
            for (const name of ["a", "b", "c"]) {
              const one = await again.content(`http://h/${name}${size}`);
              if (one?.bytes == null) continue;
              found++;
              expect(one.bytes.equals(contentOf(name, size, size))).toBe(true);
            }
          await again.stop();
          rmSync(copy, { recursive: true });
        },
      ),
      { numRuns: 40 },
    );
    expect(found).toBeGreaterThan(30);
  }, 60_000);

  it("is one process's, of one version, and leaves alone what it does not know", async () => {
    const folder = newFolder();
    const kept = new Kept(folder);
    expect(() => new Kept(folder)).toThrow(/is another member's/);
    put(kept.store, keepsake("http://h/a"), "content");
    await kept.stop();
    const manifest = join(folder, "gyre-store.json");
    const text = readFileSync(manifest, "utf8");
    writeFileSync(manifest, text.replace('"format":1', '"format":99'));
    const before = readdirSync(folder);
    expect(() => new Kept(folder)).toThrow(/another version \(99; this one is 1\)/);
    writeFileSync(manifest, "{");
    expect(() => new Kept(folder)).toThrow(/another version \(unreadable/);
    expect(readdirSync(folder)).toEqual(before);
    writeFileSync(manifest, text);
    writeFileSync(join(folder, "somebody's"), "not ours");
    const again = new Kept(folder);
    expect((await again.content("http://h/a"))?.bytes?.toString()).toBe("content");
    await again.stop();
    rmSync(manifest);
    expect(() => new Kept(folder)).toThrow(/has segments and no gyre-store.json/);
    expect(readFileSync(join(folder, "somebody's"), "utf8")).toBe("not ours");
  });

  it("trusts nothing that another clock has dated", async () => {
    const kept = new Kept(newFolder());
    put(kept.store, keepsake("http://h/a"), "content");
    await kept.stop();
    // The wall clock was set back by an hour between the two.
    const again = new Kept(kept.folder, { now: 1000 - 3600 });
    expect(again.disk.isUnclean).toBe(true);
    expect((await again.content("http://h/a"))?.outdated).toBe(true);
    await again.stop();
  });

  /** Room for something else in memory: whatever was there goes. */
  const flood = (kept: Kept, name: string): void => {
    for (let one = 0; one < 2500; one++)
      put(kept.store, keepsake(`http://f/${name}/${one}`, [], { lasting: false }), "f".repeat(3000));
  };

  it("drops and outdates what has left memory while it was leased, also when it has come back", async () => {
    for (const how of ["discard", "outdate"] as const)
      for (const isBack of [false, true]) {
        const kept = new Kept(newFolder());
        put(kept.store, keepsake("http://h/a"), "content");
        await kept.disk.tier.flush();
        const lease = (await kept.find("http://h/a"))!;
        flood(kept, how);
        if (isBack) expect((await kept.content("http://h/a"))?.outdated).toBe(false);
        kept.store[how](lease.stored);
        lease.release();
        const found = await kept.content("http://h/a");
        expect(how === "discard" ? found : found?.outdated).toBe(how === "discard" ? null : true);
        await kept.stop();
      }
  });

  it("keeps what is told in the batch that it belongs to, however much there is", async () => {
    const kept = new Kept(newFolder());
    for (let one = 0; one < 4200; one++) {
      put(kept.store, keepsake(`http://h/${one}`), `${one}`);
      if (one % 100 === 0) await kept.disk.tier.flush();
    }
    put(kept.store, keepsake("http://h/over"), "over");
    await kept.disk.tier.flush();
    // More than a table holds, at once.
    for (let one = 0; one < 4200; one++)
      for (const stored of kept.store.variants(`http://h/${one}`)) kept.store.discard(stored);
    put(kept.store, keepsake("http://h/last"), "last");
    kept.store.invalidate({ kind: "uri", uri: "http://h/over" }, { mode: "drop", at: 1000 });
    await kept.stop();
    const again = new Kept(kept.folder);
    expect(again.disk.isUnclean).toBe(false);
    expect((await again.content("http://h/last"))?.bytes?.toString()).toBe("last");
    expect(await again.content("http://h/over")).toBe(null);
    expect(again.disk.tier.counts.bad).toBe(0);
    await again.stop();
  });

  it("trusts a stop in order only where every segment is as it was left", async () => {
    const folder = newFolder();
    const bytes = 8 * 2 ** 20;
    const kept = new Kept(folder, { bytes });
    put(kept.store, keepsake("http://h/a"), "content");
    for (let one = 0; one < 100; one++) {
      put(kept.store, keepsake(`http://h/${one}`), "f".repeat(60_000));
      await kept.disk.tier.flush();
    }
    kept.store.invalidate({ kind: "uri", uri: "http://h/a" }, { mode: "drop", at: 1000 });
    await kept.stop();
    const changes: ((copy: string) => void)[] = [
      () => {},
      (copy) => rmSync(join(copy, segmentName(1))),
      (copy) => {
        const path = join(copy, segmentName(1));
        writeFileSync(path, readFileSync(path).fill(0, 4096, 4160));
      },
      (copy) => truncateSync(join(copy, segmentName(2)), 6000),
    ];
    for (const [index, change] of changes.entries()) {
      const copy = newFolder();
      cpSync(folder, copy, { recursive: true });
      change(copy);
      const again = new Kept(copy, { bytes });
      expect(again.disk.isUnclean, `change ${index}`).toBe(index > 0);
      const found = await again.content("http://h/a");
      expect(found === null || found.outdated, `change ${index}`).toBe(true);
      await again.stop();
    }
    const smaller = new Kept(folder, { bytes: bytes / 2 });
    expect(smaller.disk.isUnclean).toBe(true);
    await smaller.stop();
  });

  it("goes on with what is newest where its index has room for less than there is", async () => {
    const folder = newFolder();
    const large = { bytes: 64 * 2 ** 20, memory: 64 * 2 ** 20 };
    const kept = new Kept(folder, large);
    for (let one = 0; one < 12_000; one++) {
      put(kept.store, keepsake(`http://h/${one}`), `${one}`);
      if (one % 500 === 0) await kept.disk.tier.flush();
    }
    await kept.stop();
    const less = new Kept(folder, { bytes: large.bytes });
    expect((await less.content("http://h/11999"))?.bytes?.toString()).toBe("11999");
    for (let one = 0; one < 3000; one++) {
      put(less.store, keepsake("http://h/again"), `${one}`);
      if (one % 500 === 0) await less.disk.tier.flush();
    }
    // Its churn costs nobody else a place.
    for (const one of [11_000, 10_000, 9000])
      expect((await less.content(`http://h/${one}`))?.bytes?.toString()).toBe(`${one}`);
    await less.stop();
    // What was left out has not been told of since.
    const more = new Kept(folder, large);
    expect(more.disk.isUnclean).toBe(true);
    await more.stop();
  });

  it("does not give an older head for a newer one that is on its way to the disk", async () => {
    const kept = new Kept(newFolder());
    const { store } = kept;
    put(store, keepsake("http://h/a"), "c".repeat(30_000));
    await kept.disk.tier.flush();
    const lease = (await kept.find("http://h/a"))!;
    store.update(lease, lease.stored.head, { position: store.position, tags: ["new"] }).release();
    lease.release();
    flood(kept, "g");
    store.invalidate({ kind: "tag", tag: "new", origin: null }, { mode: "drop", at: 1000 });
    expect(await kept.content("http://h/a")).toBe(null);
    await kept.disk.tier.flush();
    expect(await kept.content("http://h/a")).toBe(null);
    await kept.stop();
  });

  it("ends a stop, and readers of long content, where the disk hangs", async () => {
    let hangs = false;
    const io: DiskIo = { ...systemIo, read: (...all) => (hangs ? undefined : systemIo.read(...all)) };
    const kept = new Kept(newFolder());
    put(kept.store, keepsake("http://h/a"), contentOf("a", 1, 600_000));
    await kept.stop();
    const again = new Kept(kept.folder, { io });
    const lease = (await again.find("http://h/a"))!;
    hangs = true;
    const holds = new Holds();
    const sink: ContentSink = {
      closed: false,
      hold: (holder) => holds.take(holder),
      write: () => true,
      end: () => {},
      abort: () => {},
    };
    const ended = new Promise<boolean>((resolve) => lease.stored.body.read(sink, 0, null, resolve));
    holds.left();
    expect(await ended).toBe(false);
    lease.release();
    await again.stop();
  });
});
