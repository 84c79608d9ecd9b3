/**
 * The disk behind the page store, in what its operator and its readers may meet: a bound, variants, disks that fail,
 * hang or were changed, folders of others, stops that were none. They cost hits, and nothing else.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ContentSink } from "../../src/store/body-reader.ts";
import { systemIo, type DiskIo } from "../../src/store/disk/disk-io.ts";
import { segmentName, segmentNumbers } from "../../src/store/disk/segments.ts";
import { Holds } from "../../src/wire/holds.ts";
import { contentOf, Kept, newFolder } from "../support/disk-store.ts";
import { keepsake, put } from "./store.ts";

describe("the disk tier", () => {
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
    const again = new Kept(kept.folder, { io, recallMsMax: 1000 });
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
      // One that is as it was, too: then all is there.
      { numRuns: 40, examples: [[[], null]] },
    );
    expect(found).toBeGreaterThanOrEqual(3 * sizes.length);
  }, 60_000);

  it.each(["its first byte is another", "its last byte is another", "its file ends before it"])(
    "misses long content that stays on the disk where %s: no answer is begun that cannot be ended",
    async (how) => {
      const folder = newFolder();
      const kept = new Kept(folder);
      const bytes = contentOf("long", 1, 700_000);
      put(kept.store, keepsake("http://h/long"), bytes);
      await kept.stop();
      const path = segmentNumbers(folder)
        .map((number) => join(folder, segmentName(number)))
        .find((one) => readFileSync(one).includes(bytes))!;
      const whole = readFileSync(path);
      const begin = whole.indexOf(bytes);
      if (how.includes("first")) whole[begin]! ^= 1;
      else if (how.includes("last")) whole[begin + bytes.length - 1]! ^= 1;
      const again = new Kept(folder);
      if (how.includes("ends")) truncateSync(path, begin + bytes.length - 1);
      else writeFileSync(path, whole);
      expect(await again.find("http://h/long")).toBeNull();
      expect(again.disk.tier.counts.bad).toBe(1);
      await again.stop();
    },
  );

  it("is one process's, of one version, and leaves alone what it does not know", async () => {
    const folder = newFolder();
    const kept = new Kept(folder);
    expect(() => new Kept(folder)).toThrow(/is another member's/);
    put(kept.store, keepsake("http://h/a"), "content");
    await kept.stop();
    const manifest = join(folder, "gyre-store.json");
    const text = readFileSync(manifest, "utf8");
    writeFileSync(manifest, text.replace('"format":2', '"format":99'));
    const before = readdirSync(folder);
    expect(() => new Kept(folder)).toThrow(/another version \(99; this one is 2\)/);
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
    // What was left out has been told to be gone: else what has been told of it since would be lost.
    const more = new Kept(folder, large);
    expect(more.disk.isUnclean).toBe(false);
    expect((await more.content("http://h/11000"))?.bytes?.toString()).toBe("11000");
    for (const one of [0, 100, 1000]) expect(await more.content(`http://h/${one}`)).toBeNull();
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
