/**
 * Load on real members. Open loop: requests leave at their time, whatever became of those before, and latency counts
 * from the planned moment, so that slow answers are not hidden. Closed loop: so many at a time, for counting rather
 * than timing. Latencies are kept in an HDR histogram (the one that Node has built in), in µs.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { Pool } from "undici";

/** One request: by which member it enters (host:port), and what it asks for. */
export interface Asked {
  readonly listen: string;
  readonly url: string;
}

export interface LoadResult {
  readonly sent: number;
  /** What went wrong, the first hundred. */
  readonly failures: readonly string[];
  readonly failed: number;
  readonly histogram: RecordableHistogram;
}

const failuresKept = 100;
const latencyUsMax = 120_000_000;
const tickMs = 2;

/** Sends requests through members, over connections that are kept. */
export class Load {
  sent = 0;
  failed = 0;
  readonly failures: string[] = [];
  readonly histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: latencyUsMax, figures: 3 });
  readonly #pools = new Map<string, Pool>();
  readonly #pending = new Set<Promise<void>>();
  /** Requests under way by the member that they entered by. */
  readonly #entered = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #ended: Promise<LoadResult> | null = null;

  /** Begins an open loop of `rate` requests a second; `pick` chooses each. */
  begin(rate: number, pick: (index: number) => Asked): void {
    const startedMs = performance.now();
    let index = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedMs) * rate) / 1000) + 1;
      while (index < due) {
        const plannedMs = startedMs + (index * 1000) / rate;
        const one = this.#ask(pick(index++), plannedMs).finally(() => this.#pending.delete(one));
        this.#pending.add(one);
      }
    }, tickMs);
  }

  /** Sends `count` requests, `atOnce` at a time. */
  async run(
    count: number,
    atOnce: number,
    pick: (index: number) => Asked,
    done: (count: number) => void,
  ): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < count) {
        const index = next++;
        await this.#ask(pick(index), performance.now());
        if (index % 500 === 0) done(index);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }

  /** Ends the open loop and resolves when every answer has come. Ending twice is ending once. */
  end(): Promise<LoadResult> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<LoadResult> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await Promise.all(this.#pending);
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    const { sent, failed, failures, histogram } = this;
    return { sent, failed, failures, histogram };
  }

  /**
   * Resolves when nothing is under way by a member any more: it may be killed without taking an entry's requests with
   * it.
   */
  async idle(listen: string): Promise<void> {
    while ((this.#entered.get(listen) ?? 0) > 0) await new Promise((again) => setTimeout(again, 2));
  }

  async #ask({ listen, url }: Asked, plannedMs: number): Promise<void> {
    this.sent++;
    this.#entered.set(listen, (this.#entered.get(listen) ?? 0) + 1);
    try {
      const { host, pathname, origin } = new URL(url);
      // Straight to an origin, or through a member in absolute form.
      const direct = origin === `http://${listen}`;
      const { statusCode, body } = await this.#pool(listen).request({
        method: "GET",
        path: direct ? pathname : url,
        headers: { host },
      });
      await body.dump();
      if (statusCode !== 200) this.#fail(`${url} by ${listen}: ${statusCode}`);
    } catch (error) {
      this.#fail(`${url} by ${listen}: ${(error as Error).message}`);
    }
    this.#entered.set(listen, this.#entered.get(listen)! - 1);
    this.histogram.record(Math.max(1, Math.round((performance.now() - plannedMs) * 1000)));
  }

  #fail(what: string): void {
    this.failed++;
    if (this.failures.length < failuresKept) this.failures.push(what);
  }

  #pool(listen: string): Pool {
    let pool = this.#pools.get(listen);
    if (pool === undefined) this.#pools.set(listen, (pool = new Pool(`http://${listen}`, { connections: 64 })));
    return pool;
  }
}

/** A percentile in ms. */
export function percentileMs(histogram: RecordableHistogram, percentile: number): number {
  return histogram.percentile(percentile) / 1000;
}
