/**
 * An open-loop load: requests leave at their time, whatever became of those before, so that slow answers are not
 * hidden.
 */
import { Agent } from "node:http";
import { ask } from "./client.ts";

export interface LoadResult {
  readonly sent: number;
  readonly failures: readonly string[];
  /** Milliseconds from the planned moment to the last byte. */
  readonly latencies: readonly number[];
}

export interface Load {
  stop(): Promise<LoadResult>;
}

/**
 * Sends `rate` requests a second, each to an entry port and a URL that `pick` chooses. Any answer but 200 is a failure.
 */
export function openLoop(rate: number, pick: (index: number) => { readonly port: number; readonly url: string }): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const failures: string[] = [];
  const latencies: number[] = [];
  const pending = new Set<Promise<void>>();
  const startedMs = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) * rate) / 1000) + 1;
    while (sent < due) {
      const planned = startedMs + (sent * 1000) / rate;
      const { port, url } = pick(sent++);
      const one = ask(port, url, { headers: { host: new URL(url).host }, agent })
        .then(({ status }) => {
          if (status !== 200) failures.push(`${url} by ${port}: ${status}`);
          latencies.push(performance.now() - planned);
        })
        .catch((error: Error) => {
          failures.push(`${url} by ${port}: ${error.message}`);
        })
        .finally(() => pending.delete(one));
      pending.add(one);
    }
  }, 5);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      agent.destroy();
      return { sent, failures, latencies };
    },
  };
}
