/** The link between two real threads: nothing that is said is slept through. */
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { ByteRing } from "../../src/threads/byte-ring.ts";
import { frame, ThreadLink } from "../../src/threads/thread-link.ts";

const rounds = Number(process.env["LINK_ROUNDS"] ?? 30_000);

it("wakes whoever sleeps, however often and at whatever moment", async () => {
  const [there, back] = [ByteRing.memory(4096), ByteRing.memory(4096)];
  const worker = new Worker(new URL("../support/echo-thread.ts", import.meta.url), { workerData: { there, back } });
  let [sent, received] = [0, 0];
  await new Promise<void>((resolve, reject) => {
    worker.on("error", reject);
    // Now one alone, now some while others are under way, at all distances of time: either side is awake, asleep, or
    // just about to be.
    const say = (): void => {
      const until = performance.now() + (sent % 13) / 200;
      while (performance.now() < until);
      if (sent === rounds || sent - received > 40) return;
      link.send(frame.data, sent, Buffer.alloc(sent % 70));
      sent++;
      if (sent % 5 !== 0) setImmediate(say);
    };
    const take = (kind: number, number: number, content: Buffer): void => {
      expect([kind, number, content.length]).toEqual([frame.data, received, received % 70]);
      received++;
      if (received === rounds) resolve();
      else if (received % 3 === 0 || received === sent) setImmediate(say);
    };
    const link: ThreadLink = new ThreadLink(new ByteRing(back), new ByteRing(there), take, reject);
    setImmediate(say);
  });
  expect(received).toBe(rounds);
  await worker.terminate();
}, 60_000);
