/**
 * `gyre eval failover`: members, the leader and the coordinator die under load; what clients see of it, and how long it
 * takes to heal.
 */
import { Load, percentileMs } from "./load.ts";
import { CountingOrigin, Processes, statusOf, waitFor, type RunningProcess } from "./processes.ts";
import { randomOf, zipf } from "./random.ts";
import { rounded, type Progress, type Report } from "./report.ts";

export interface FailoverSettings {
  readonly members: number;
  /** `zookeeper://…`, or null for an embedded coordinator. */
  readonly coordinator: string | null;
  readonly rate: number;
  readonly seed: number;
}

export const failoverSettings: FailoverSettings = { members: 5, coordinator: null, rate: 200, seed: 1 };

interface Fault {
  readonly name: string;
  readonly requests: number;
  readonly failed: number;
  /** Until every member that is left has a view of just those. */
  readonly healedMs: number;
}

const objects = 1000;
const quietMs = 2000;

/** Runs the experiment on real members. */
export async function failover(given: Partial<FailoverSettings>, progress: Progress): Promise<Report> {
  const settings = { ...failoverSettings, ...given };
  if (settings.members < 4) throw new Error("failover needs four members: two die, two are entered by");
  const origin = await CountingOrigin.start();
  const cluster = new Processes([], settings.coordinator);
  const load = new Load();
  const faults: Fault[] = [];
  const timeline: { readonly second: number; readonly failed: number; readonly sent: number }[] = [];
  const embedded = settings.coordinator === null;
  const steps = embedded ? 3 : 2;
  try {
    await cluster.start(settings.members, ({ name }) => progress(0, steps, `${name} has joined`));
    // Clients enter by the last two, which live.
    const entries = cluster.members.slice(-2);
    const random = randomOf(settings.seed);
    const rank = zipf(objects, 1, random);
    load.begin(settings.rate, (index) => ({
      listen: entries[index % 2]!.listen,
      url: `${origin.url}/object-${rank()}`,
    }));
    const startedMs = performance.now();
    let last = { sent: 0, failed: 0 };
    const sampler = setInterval(() => {
      timeline.push({
        second: Math.round((performance.now() - startedMs) / 100) / 10,
        sent: load.sent - last.sent,
        failed: load.failed - last.failed,
      });
      last = { sent: load.sent, failed: load.failed };
    }, 500);
    const quiet = (): Promise<void> => new Promise((done) => setTimeout(done, quietMs));
    const fault = async (name: string, strike: () => Promise<void>, healed: () => Promise<void>): Promise<void> => {
      progress(faults.length, steps, name);
      await quiet();
      const before = { sent: load.sent, failed: load.failed };
      const fromMs = performance.now();
      await strike();
      await healed();
      const healedMs = performance.now() - fromMs;
      await quiet();
      faults.push({ name, requests: load.sent - before.sent, failed: load.failed - before.failed, healedMs });
    };
    const dies = (member: RunningProcess) => async (): Promise<void> => {
      await cluster.kill(member);
      cluster.forget(member);
    };
    const follower = cluster.members[1]!;
    await fault(`kill -9 of a member (${follower.name})`, dies(follower), () => cluster.settled());
    const { leader } = await statusOf(entries[0]!);
    const leading = cluster.members.find(({ name }) => name === leader)!;
    if (embedded) {
      await fault(
        `kill -9 of the leader, which hosts the coordinator (${leading.name})`,
        () => cluster.kill(leading),
        // Nobody can publish a view until it returns; it is enough that everybody knows, and goes round it.
        () =>
          waitFor(async () => {
            const views = await Promise.all(entries.map((entry) => statusOf(entry)));
            return views.every(
              ({ members }) => members.find(({ name }) => name === leading.name)?.state === "unreachable",
            );
          }, "everybody goes round the leader"),
      );
      await fault(
        "its return",
        async () => {
          await cluster.join(leading.name, leading);
        },
        () => cluster.settled(),
      );
    } else {
      const victim = entries.includes(leading) ? cluster.members.find((one) => !entries.includes(one))! : leading;
      await fault(`kill -9 of the leader (${victim.name})`, dies(victim), () => cluster.settled());
    }
    clearInterval(sampler);
    const { sent, failed, failures, histogram } = await load.end();
    progress(steps, steps, "done");
    return {
      experiment: "failover",
      title: `Deaths under load, ${embedded ? "embedded coordinator" : "ZooKeeper"}`,
      ran: "real processes",
      seed: settings.seed,
      settings: { ...settings, coordinator: settings.coordinator ?? "embedded" },
      findings: [
        failed === 0
          ? `${sent} requests were sent while members died, and none failed; the slowest took ${rounded(histogram.max / 1000, 0)} ms, p99 ${rounded(percentileMs(histogram, 99), 1)} ms.`
          : `${failed} of ${sent} requests failed: ${failures.slice(0, 3).join("; ")}`,
        "The data path does not wait for any of this: a member that is gone is passed over at once, the view follows.",
      ],
      goals: [{ name: "requests that failed", reached: failed, bound: "at-most", goal: 0 }],
      tables: [
        {
          title: "Faults",
          heading: ["FAULT", "REQUESTS", "FAILED", "HEALED AFTER MS"],
          rows: faults.map((one) => [one.name, one.requests, one.failed, rounded(one.healedMs, 0)]),
        },
      ],
      charts: [
        {
          title: "Requests and failures over time",
          kind: "line",
          xLabel: "seconds",
          yLabel: "in half a second",
          labels: timeline.map(({ second }) => second),
          series: [
            { name: "requests", values: timeline.map((one) => one.sent) },
            { name: "failed", values: timeline.map((one) => one.failed) },
          ],
        },
      ],
    };
  } finally {
    await load.end();
    await cluster.close();
    await origin.close();
  }
}
