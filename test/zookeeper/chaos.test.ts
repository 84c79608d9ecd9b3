/**
 * Sixty seconds of faults aimed at whoever leads: contenders that stand still, die, or lose their connection in three
 * ways, and servers that die. Seeded: GYRE_CHAOS_SEED=N repeats a run's choices, GYRE_CHAOS_SECONDS makes it longer.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomOf } from "../../src/eval/random.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { root, until } from "../support/member.ts";
import { needsZooKeeper, startZooKeeper, type EnsembleUnderTest } from "../support/zookeeper.ts";

const sessionMs = 2000;
const tickMs = 300;
const contenders = 4;
const seed = Number(process.env["GYRE_CHAOS_SEED"] ?? Date.now() % 1_000_000);
const seconds = Number(process.env["GYRE_CHAOS_SECONDS"] ?? 60);

interface Act {
  readonly who: string;
  readonly term: number;
  readonly atNs: bigint;
}

class Contender {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly #say: (line: string) => void;
  child: ChildProcess | null = null;

  constructor(name: string, proxy: FaultProxy, say: (line: string) => void) {
    this.name = name;
    this.proxy = proxy;
    this.#say = say;
  }

  start(): void {
    const script = join(root, "test/zookeeper/contender.mjs");
    const child = spawn(process.execPath, [script, this.name, String(this.proxy.port), "/chaos", String(sessionMs)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface({ input: child.stdout! }).on("line", this.#say);
    this.child = child;
  }

  async kill(): Promise<void> {
    const child = this.child!;
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    await ended;
  }
}

describe.skipIf(!needsZooKeeper())("chaos", () => {
  let zk: EnsembleUnderTest;
  beforeAll(async () => {
    zk = await startZooKeeper({ servers: 3, tickMs });
  });
  afterAll(() => zk.stop());

  it(
    `seed ${seed}: no epoch twice, nothing done below the highest epoch seen, never long without a leader`,
    async () => {
      const random = randomOf(seed);
      const between = (low: number, high: number): number => low + random() * (high - low);
      const acts: Act[] = [];
      const published: { readonly who: string; readonly term: number; readonly epoch: number }[] = [];
      const strange: string[] = [];
      const say = (line: string): void => {
        const [who, what, first, second] = line.split(" ");
        if (what === "acts") acts.push({ who: who!, term: Number(first), atNs: BigInt(second!) });
        else if (what === "published") published.push({ who: who!, term: Number(first), epoch: Number(second) });
        else strange.push(line);
      };
      const all = await Promise.all(
        Array.from(
          { length: contenders },
          async (_, index) => new Contender(`m${index + 1}`, await FaultProxy.start(zk.servers[index % 3]!.port), say),
        ),
      );
      const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
      const leader = (): Contender => all.find(({ name }) => name === acts.at(-1)!.who)!;
      const acting = (): Promise<void> => {
        const before = acts.length;
        return until(() => acts.length > before, "somebody leads", 20_000);
      };
      const done: string[] = [];
      try {
        for (const contender of all) contender.start();
        await acting();
        const end = performance.now() + seconds * 1000;
        while (performance.now() < end) {
          const victim = leader();
          const forMs = between(0.1, 1.6) * sessionMs;
          const fault = ["stop", "kill", "hole", "cut", "refuse", "server"][Math.floor(random() * 6)]!;
          done.push(`${fault} ${victim.name} ${Math.round(forMs)} ms`);
          switch (fault) {
            case "stop":
              victim.child!.kill("SIGSTOP");
              await pause(forMs);
              victim.child!.kill("SIGCONT");
              break;
            case "kill":
              await victim.kill();
              await pause(forMs);
              victim.start();
              break;
            case "hole":
              victim.proxy.blackHole = true;
              await pause(forMs);
              victim.proxy.cut();
              victim.proxy.blackHole = false;
              break;
            case "cut":
              for (let cuts = 0; cuts < 5; cuts++) {
                victim.proxy.cut();
                await pause(forMs / 20);
              }
              break;
            case "refuse":
              victim.proxy.refusing = true;
              victim.proxy.cut();
              await pause(forMs);
              victim.proxy.refusing = false;
              break;
            default: {
              const server = zk.servers[Math.floor(random() * 3)]!;
              await server.kill();
              // Whoever was connected there goes elsewhere, as a member with the whole ensemble in its address does.
              for (const { proxy } of all)
                if (proxy.target === server.port) proxy.aim(zk.servers.find((one) => one !== server)!.port);
              await pause(forMs);
              server.start();
              await server.serving();
            }
          }
          await acting();
          await pause(between(0, 300));
        }
      } finally {
        for (const contender of all) await contender.kill();
        for (const { proxy } of all) await proxy.close();
      }
      acts.sort((a, b) => Number(a.atNs - b.atNs));
      const told = `seed ${seed}, ${done.length} faults: ${done.join("; ")}`;
      expect(strange, told).toEqual([]);
      const holders = new Map<number, string>();
      let [highest, gapMs] = [0, 0];
      for (const [index, { who, term, atNs }] of acts.entries()) {
        expect(term, `an act of ${who} below the highest epoch seen; ${told}`).toBeGreaterThanOrEqual(highest);
        highest = Math.max(highest, term);
        expect(holders.get(term) ?? who, `epoch ${term} had two leaders; ${told}`).toBe(who);
        holders.set(term, who);
        if (index > 0) gapMs = Math.max(gapMs, Number(atNs - acts[index - 1]!.atNs) / 1e6);
      }
      expect(new Set(published.map(({ epoch }) => epoch)).size, `a view was published twice; ${told}`).toBe(
        published.length,
      );
      expect(gapMs, told).toBeLessThan(sessionMs + 2 * tickMs + 1000);
      expect(holders.size).toBeGreaterThan(2);
      console.log(
        `chaos: seed ${seed}, ${done.length} faults, ${holders.size} epochs, ${acts.length} acts, ${published.length} views; longest time without a leader ${Math.round(gapMs)} ms`,
      );
    },
    (seconds + 90) * 1000,
  );
});
