/**
 * The page store with a disk behind it, against a model: whatever is stored, pushed out of memory, brought back,
 * freshened, invalidated and restarted in any order, what is found is what was stored last under that key, or has to be
 * validated first where a process has died. `DISK_RUNS=N` lives through more histories.
 */
import { rmSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { systemIo } from "../../src/store/disk/disk-io.ts";
import type { Lease } from "../../src/store/port.ts";
import { contentOf, diskBytes, Kept, memoryBytes, newFolder } from "../support/disk-store.ts";
import { keepsake, put } from "./store.ts";

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
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("end" as const), key }) },
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

/** When lifetimes are ended: what is stored begins at 1000. */
const endedAt = 1000;

interface Known {
  readonly content: Buffer | null;
  readonly outdated: boolean;
  /** Its lifetime was ended by its URI: stale from then on, or to be validated. */
  readonly ended?: boolean;
  /** What may come back after a death, to be validated. */
  readonly olders: Buffer[];
}

it("gives back what was stored last, or what has to be validated, whatever happens meanwhile", async () => {
  let read = 0;
  let recalled = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 10, maxLength: 60 }), fc.boolean(), async (operations, small) => {
      // Small enough to be written round and round.
      const bytes = small ? 4 * 2 ** 20 : diskBytes;
      const memory = small ? 2.4 * 2 ** 20 : memoryBytes;
      let kept = new Kept(newFolder(), { bytes });
      const known = new Map<string, Known>();
      const held: { readonly name: string; readonly lease: Lease; readonly content: Buffer | null }[] = [];
      const renewed = new Set<string>();
      const knownOf = (name: string): Known => known.get(name) ?? { content: null, outdated: false, olders: [] };
      /** Nothing of it is to be found any more, but after a death. */
      const over = (name: string): void => {
        const { content, olders } = knownOf(name);
        known.set(name, {
          content: null,
          outdated: false,
          olders: content === null ? olders : [...olders, content],
        });
      };
      const check = async (name: string, from: number): Promise<void> => {
        const { content, outdated, ended, olders } = knownOf(name);
        const found = await kept.content(name, Math.min(from, content?.length ?? 0));
        if (found === null) return;
        read++;
        const isNewest = content !== null && found.bytes?.equals(content.subarray(Math.min(from, content.length)));
        if (!isNewest) {
          expect(found.outdated, `${name} is older than it should be`).toBe(true);
          const begins = olders.map((older) => older.subarray(Math.min(from, content?.length ?? 0)));
          expect(found.bytes === null || begins.some((older) => older.equals(found.bytes!))).toBe(true);
        } else if (outdated) expect(found.outdated).toBe(true);
        else if (ended === true) expect(found.outdated || found.freshUntil <= endedAt, `${name} lives on`).toBe(true);
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
          case "invalidate":
            kept.store.invalidate({ kind: "uri", uri: step.key }, { mode: "drop", at: 1000 });
            over(step.key);
            break;
          case "end":
            kept.store.invalidate({ kind: "uri", uri: step.key }, { mode: "outdate", at: endedAt });
            known.set(step.key, { ...knownOf(step.key), ended: true });
            break;
          case "discard": {
            const lease = await kept.find(step.key);
            if (lease === null) break;
            kept.store.discard(lease.stored);
            lease.release();
            over(step.key);
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
            if (step.how === "outdate") known.set(name, { ...knownOf(name), outdated: true });
            else over(name);
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
    }),
    { numRuns: Number(process.env["DISK_RUNS"] ?? 60) },
  );
  expect(read).toBeGreaterThan(100);
  expect(recalled).toBeGreaterThan(20);
}, 120_000);
