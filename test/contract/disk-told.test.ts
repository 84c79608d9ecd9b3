/**
 * What has been told of a response that lies on the disk holds there as well, whenever it was told and whatever comes
 * between: evictions, stops, starts that fail, disks that do not give what was written.
 */
import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { systemIo, type DiskIo } from "../../src/store/disk/disk-io.ts";
import { segmentName, segmentNumbers } from "../../src/store/disk/segments.ts";
import { contentOf, Kept, newFolder } from "../support/disk-store.ts";
import { keepsake, put } from "./store.ts";

const key = "http://h/a";

function varying(name: string, value: string) {
  const given = keepsake(key, ["vary", name]);
  return { ...given, head: { ...given.head, varyNames: [name], variant: value } };
}

/** What is stored is evicted by what goes to no disk. */
async function evictAll({ store, disk }: Kept, by: string): Promise<void> {
  await disk.tier.flush();
  for (let one = 0; one < 2000; one++)
    put(store, keepsake(`http://${by}/${one}`, [], { lasting: false }), "f".repeat(4000));
  expect(store.variants(key)).toHaveLength(0);
}

describe("what lies on the disk", () => {
  it.each(["a stop", "an eviction"])(
    "has its lifetime ended also where that was told while it was on its way, after %s",
    async (after) => {
      const folder = newFolder();
      let kept = new Kept(folder);
      kept.store.invalidate({ kind: "uri", uri: key }, { mode: "outdate", at: 1001 });
      expect(put(kept.store, keepsake(key), "x")).toBe(true);
      const ended = kept.store.variants(key)[0]!.freshUntil;
      expect(ended).toBeLessThanOrEqual(1001);
      if (after === "a stop") {
        await kept.stop();
        kept = new Kept(folder);
        expect(kept.disk.isUnclean).toBe(false);
      } else await evictAll(kept, "f");
      const found = await kept.find(key);
      expect(found!.stored.freshUntil).toBe(ended);
      expect(found!.stored.head.lifetime.source).toBe("ended");
      found!.release();
      await kept.stop();
    },
  );

  it.each(["a stop", "an eviction"])(
    "has to be validated where its lifetime was ended by its URI while it was in memory, after %s",
    async (after) => {
      const folder = newFolder();
      let kept = new Kept(folder);
      for (const one of [key, `${key}2`]) expect(put(kept.store, keepsake(one), "x")).toBe(true);
      await kept.disk.tier.flush();
      kept.store.invalidate({ kind: "uri", uri: key }, { mode: "outdate", at: 1001 });
      // Until then it may be used as stale responses may.
      const { outdated, freshUntil } = kept.store.variants(key)[0]!;
      expect([outdated, freshUntil <= 1001]).toEqual([false, true]);
      if (after === "a stop") {
        await kept.stop();
        kept = new Kept(folder);
        expect(kept.disk.isUnclean).toBe(false);
      } else await evictAll(kept, "f");
      expect((await kept.content(key))?.outdated).toBe(true);
      expect((await kept.content(`${key}2`))?.outdated).toBe(false);
      await kept.stop();
    },
  );

  it("stays in doubt where everything was in doubt while it was on its way", async () => {
    const folder = newFolder();
    const kept = new Kept(folder);
    kept.store.doubtAll();
    put(kept.store, keepsake(key), "x");
    expect(kept.store.variants(key)[0]!.outdated).toBe(true);
    await kept.stop();
    const again = new Kept(folder);
    expect((await again.content(key))?.outdated).toBe(true);
    await again.stop();
  });

  it("is gone where it is long and cannot be read: not a second answer is cut", async () => {
    let isBroken = false;
    const io: DiskIo = {
      ...systemIo,
      read: (fd, into, at, done) =>
        isBroken && into.length > 100_000
          ? void setImmediate(() => done(Object.assign(new Error("EIO"), { code: "EIO" }), 0))
          : systemIo.read(fd, into, at, done),
    };
    const kept = new Kept(newFolder(), { io });
    const content = contentOf(key, 1, 700_000);
    put(kept.store, keepsake(key), content);
    await evictAll(kept, "f");
    expect((await kept.content(key))?.bytes?.equals(content)).toBe(true);
    // Its head is in memory again, and its content is not.
    isBroken = true;
    expect(await kept.content(key)).toMatchObject({ bytes: null, outdated: false });
    expect(await kept.content(key)).toBeNull();
    await kept.stop();
  });

  it("is given to its end to those who are reading it when the disk becomes full, and to nobody after them", async () => {
    let isFull = false;
    let isReading = false;
    const reads: (() => void)[] = [];
    const io: DiskIo = {
      write: (fd, pieces, at, done) =>
        isFull
          ? void setImmediate(() => done(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }), 0))
          : systemIo.write(fd, pieces, at, done),
      read: (fd, into, at, done) => {
        const read = (): void => systemIo.read(fd, into, at, done);
        if (isReading) reads.push(read);
        else read();
      },
    };
    const kept = new Kept(newFolder(), { io });
    const content = contentOf(key, 1, 700_000);
    put(kept.store, keepsake(key), content);
    await evictAll(kept, "f");
    expect((await kept.content(key))?.bytes?.equals(content)).toBe(true);
    isReading = true;
    const answer = kept.content(key);
    await vi.waitUntil(() => reads.length > 0);
    isFull = true;
    put(kept.store, keepsake(`${key}2`), "x");
    await kept.disk.tier.flush();
    expect(kept.off).toContain("ENOSPC");
    isReading = false;
    for (const read of reads.splice(0)) read();
    expect((await answer)?.bytes?.equals(content)).toBe(true);
    expect(await kept.content(key)).toBeNull();
    await kept.stop();
  });

  it("does not come back where it was purged after the disk has failed, while it was being read", async () => {
    let isFailing = false;
    const reads: (() => void)[] = [];
    const io: DiskIo = {
      write: (fd, pieces, at, done) =>
        isFailing
          ? void setImmediate(() => done(Object.assign(new Error("EIO"), { code: "EIO" }), 0))
          : systemIo.write(fd, pieces, at, done),
      read: (fd, into, at, done) => void reads.push(() => systemIo.read(fd, into, at, done)),
    };
    const kept = new Kept(newFolder(), { io });
    put(kept.store, keepsake(key), "x");
    await evictAll(kept, "f");
    const asked = kept.content(key);
    await vi.waitUntil(() => reads.length > 0);
    isFailing = true;
    put(kept.store, keepsake(`${key}2`), "x");
    await kept.disk.tier.flush();
    expect(kept.off).toContain("EIO");
    kept.store.invalidate({ kind: "uri", uri: key }, { mode: "drop", at: 1001 });
    for (const read of reads.splice(0)) read();
    expect(await asked).toBeNull();
    await kept.stop();
  });

  it.each(["short", "long"])("is not counted on where somebody has removed its files (%s)", async (length) => {
    const kept = new Kept(newFolder());
    put(kept.store, keepsake(key), "x");
    await kept.disk.tier.flush();
    rmSync(kept.folder, { recursive: true });
    put(kept.store, keepsake(`${key}2`), length === "short" ? "x" : contentOf(key, 1, 700_000));
    await kept.disk.tier.flush();
    expect(kept.off).toBe("writing failed: its files have been removed");
    for (const one of [key, `${key}2`]) expect((await kept.content(one))?.bytes).not.toBeNull();
    await kept.stop();
  });

  it.each([20_000, 200_000])(
    "comes back into memory whole where its head has been renewed (%d bytes)",
    async (bytes) => {
      const reads: number[] = [];
      let flipped = false;
      const io: DiskIo = {
        ...systemIo,
        read: (fd, into, at, done) =>
          systemIo.read(fd, into, at, (error, count) => {
            reads.push(into.length);
            if (flipped && into.length > bytes) into[into.length - 1]! ^= 1;
            done(error, count);
          }),
      };
      const folder = newFolder();
      const first = new Kept(folder, { io });
      const content = contentOf(key, 1, bytes);
      for (const one of [key, `${key}2`]) {
        put(first.store, keepsake(one), content);
        await first.disk.tier.flush();
        const lease = (await first.find(one))!;
        first.store.update(lease, lease.stored.head, { position: first.store.position, tags: [] }).release();
        lease.release();
      }
      await first.stop();
      const kept = new Kept(folder, { io });
      reads.splice(0);
      expect((await kept.content(key))?.bytes?.equals(content)).toBe(true);
      expect(reads.filter((length) => length > bytes)).toHaveLength(1);
      reads.splice(0);
      expect((await kept.content(key))?.bytes?.equals(content)).toBe(true);
      expect(reads).toEqual([]);
      // What is not as it was written is a miss, and no answer that is cut.
      flipped = true;
      expect(await kept.content(`${key}2`)).toBe(null);
      await kept.stop();
    },
  );

  it("does not count after a life in which it could not be opened", async () => {
    const folder = newFolder();
    const kept = new Kept(folder);
    put(kept.store, keepsake(key), "x");
    await kept.stop();
    const name = join(folder, segmentName(segmentNumbers(folder).at(-1)!));
    renameSync(name, `${name}.away`);
    mkdirSync(name);
    expect(() => new Kept(folder)).toThrow(/EISDIR/);
    rmdirSync(name);
    renameSync(`${name}.away`, name);
    const again = new Kept(folder);
    expect(again.disk.isUnclean).toBe(true);
    expect((await again.content(key))?.outdated).toBe(true);
    await again.stop();
  });

  it("does not answer in the place of a newer one that varies otherwise and did not get there", async () => {
    const folder = newFolder();
    const size = { memory: 16 * 2 ** 20 };
    const kept = new Kept(folder, size);
    put(kept.store, varying("x", "1"), "older");
    await kept.disk.tier.flush();
    // Longer than a segment.
    expect(put(kept.store, keepsake(key), Buffer.alloc(1_100_000))).toBe(true);
    expect(kept.disk.tier.counts.refused).toBe(1);
    await kept.stop();
    const again = new Kept(folder, size);
    expect(again.disk.isUnclean).toBe(false);
    expect(await again.find(key)).toBeNull();
    expect(again.store.variants(key)).toHaveLength(0);
    await again.stop();
  });

  it("does not answer in the place of a newer one that is not as it was written", async () => {
    const folder = newFolder();
    const kept = new Kept(folder);
    put(kept.store, varying("x", "1"), "the older one");
    put(kept.store, varying("y", "1"), "the newer one");
    await evictAll(kept, "f");
    for (const number of segmentNumbers(folder)) {
      const name = join(folder, segmentName(number));
      const bytes = readFileSync(name);
      const at = bytes.indexOf("the newer one");
      if (at === -1) continue;
      bytes[at] = bytes[at]! ^ 1;
      writeFileSync(name, bytes);
    }
    expect(await kept.find(key)).toBeNull();
    expect(kept.store.variants(key)).toHaveLength(0);
    expect(kept.disk.tier.counts.bad).toBe(1);
    expect(kept.store.absent(key)).toBe(0);
    await kept.stop();
  });

  it("is discarded with what is in memory, where that is said", async () => {
    const kept = new Kept(newFolder());
    put(kept.store, keepsake(key), "x");
    await evictAll(kept, "f");
    expect(kept.store.absent(key)).toBe(1);
    kept.store.discardAbsent(key);
    expect(await kept.content(key)).toBeNull();
    await kept.stop();
  });

  it("is trusted after a stop in order also where its index has been full", async () => {
    const folder = newFolder();
    const size = { bytes: 64 * 2 ** 20 };
    const kept = new Kept(folder, size);
    for (let one = 0; one < 9500; one++) {
      put(kept.store, keepsake(`http://h/${one}`), `${one}`);
      if (one % 500 === 0) await kept.disk.tier.flush();
    }
    expect(kept.disk.tier.responses).toBeLessThan(9500);
    await kept.stop();
    for (const _ of [1, 2]) {
      const again = new Kept(folder, size);
      expect(again.disk.isUnclean).toBe(false);
      expect(await again.content("http://h/9400")).toMatchObject({ outdated: false });
      await again.stop();
    }
  });
});
