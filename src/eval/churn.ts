/**
 * `gyre eval churn`: a warm cluster under steady load while members join, drain, restart one after the other, and die.
 * What the origin is asked beyond what the load's new URLs need is the price of the change.
 */
import { Load } from "./load.ts";
import { CountingOrigin, Processes, statusOf, type RunningProcess } from "./processes.ts";
import { randomOf, zipf } from "./random.ts";
import { percentText, type Goal, type Progress, type Report } from "./report.ts";

export interface ChurnSettings {
  readonly members: number;
  readonly objects: number;
  /** Requests a second, and seconds that each period lasts at least. */
  readonly rate: number;
  readonly seconds: number;
  /** Part of the requests that ask for something new: what a warm cluster still has to fetch. */
  readonly newShare: number;
  readonly seed: number;
}

export const churnSettings: ChurnSettings = {
  members: 5,
  objects: 3000,
  rate: 250,
  seconds: 10,
  newShare: 0.1,
  seed: 1,
};

const sampleMs = 500;

interface Period {
  readonly name: string;
  readonly requests: number;
  readonly failed: number;
  /** Fetches of URLs that nobody had asked for before: due, whatever the members do. */
  readonly due: number;
  /** Fetches of what had been fetched before: the price of the change. */
  readonly repeats: number;
  /** What a death may cost: what the dead member had stored. */
  readonly allowed: number;
}

/** Runs the experiment on real members. */
export async function churn(given: Partial<ChurnSettings>, progress: Progress): Promise<Report> {
  const settings = { ...churnSettings, ...given };
  const { members: count, objects, rate, seconds, newShare, seed } = settings;
  const origin = await CountingOrigin.start();
  const cluster = new Processes();
  const load = new Load();
  const periods: Period[] = [];
  const samples: { readonly second: number; readonly hitRatio: number }[] = [];
  const marks: string[] = [];
  let entries: string[] = [];
  let fresh = 0;
  const steps = 5;
  try {
    await cluster.start(count, (member) => progress(0, steps, `${member.name} has joined`));
    const enterBy = (members: readonly RunningProcess[]): void => {
      entries = members.map(({ listen }) => listen);
    };
    enterBy(cluster.members);
    // Twice: an owner that was too slow the first time has its key's response at a successor, and fetches it when it is
    // asked again. What that costs is not the price of a change.
    for (let pass = 0; pass < 2; pass++)
      await load.run(
        objects,
        32,
        (index) => ({ listen: entries[(index + pass) % entries.length]!, url: `${origin.url}/object-${index}` }),
        () => progress(0, steps, "warming up"),
      );
    const random = randomOf(seed);
    const rank = zipf(objects, 1, random);
    load.begin(rate, (index) => {
      const isNew = random() < newShare;
      if (isNew) fresh++;
      return {
        listen: entries[index % entries.length]!,
        url: isNew ? `${origin.url}/new-${fresh}` : `${origin.url}/object-${rank()}`,
      };
    });
    const startedMs = performance.now();
    let last = { sent: load.sent, fetches: origin.fetches };
    const sampler = setInterval(() => {
      const now = { sent: load.sent, fetches: origin.fetches };
      const sent = now.sent - last.sent;
      if (sent > 0)
        samples.push({
          second: Math.round((performance.now() - startedMs) / 100) / 10,
          hitRatio: 1 - (now.fetches - last.fetches) / sent,
        });
      last = now;
    }, sampleMs);
    const period = async (name: string, change: () => Promise<number>): Promise<void> => {
      progress(periods.length, steps, name);
      const before = { sent: load.sent, failed: load.failed, fetches: origin.fetches, repeats: origin.repeats };
      marks.push(`${name} from ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
      const [allowed] = await Promise.all([change(), new Promise<void>((done) => setTimeout(done, seconds * 1000))]);
      periods.push({
        name,
        requests: load.sent - before.sent,
        failed: load.failed - before.failed,
        due: origin.fetches - before.fetches - (origin.repeats - before.repeats),
        repeats: origin.repeats - before.repeats,
        allowed,
      });
    };

    await period("nothing", () => Promise.resolve(0));
    await period("a join", async () => {
      await cluster.join(`m${count + 1}`);
      await cluster.settled();
      enterBy(cluster.members);
      return 0;
    });
    await period("a drain", async () => {
      const leaving = cluster.members.at(-1)!;
      cluster.forget(leaving);
      enterBy(cluster.members);
      await cluster.stop(leaving);
      await cluster.settled();
      return 0;
    });
    await period("a rolling restart", async () => {
      for (const member of [...cluster.members].reverse()) {
        const others = cluster.members.filter(({ name }) => name !== member.name);
        enterBy(others);
        await cluster.stop(member);
        await cluster.join(member.name, member);
        await cluster.settled();
        enterBy(cluster.members);
      }
      return 0;
    });
    await period("a kill -9", async () => {
      const victim = cluster.members.at(-1)!;
      const { store } = (await statusOf(victim)).self;
      cluster.forget(victim);
      enterBy(cluster.members);
      await load.idle(victim.listen);
      await cluster.kill(victim);
      await cluster.settled();
      return store.responses;
    });
    clearInterval(sampler);
    const { failures, failed } = await load.end();
    progress(steps, steps, "done");
    return report(settings, periods, samples, marks, failed, failures);
  } finally {
    await load.end();
    await cluster.close();
    await origin.close();
  }
}

function report(
  settings: ChurnSettings,
  periods: readonly Period[],
  samples: readonly { readonly second: number; readonly hitRatio: number }[],
  marks: readonly string[],
  failed: number,
  failures: readonly string[],
): Report {
  const [, join, drain, restart, death] = periods as [Period, Period, Period, Period, Period];
  const goals: Goal[] = [join, drain, restart].map((period) => ({
    name: `${period.name}: fetches of what had been fetched before, over those that were due`,
    reached: period.repeats / Math.max(1, period.due),
    bound: "at-most",
    goal: 0.01,
  }));
  goals.push({
    name: "a kill -9: fetches of what had been fetched before, over what the dead member had stored",
    reached: death.repeats / Math.max(1, death.allowed),
    bound: "at-most",
    goal: 1,
  });
  goals.push({ name: "requests that failed", reached: failed, bound: "at-most", goal: 0 });
  return {
    experiment: "churn",
    title: "Members that come and go under steady load",
    ran: "real processes",
    seed: settings.seed,
    settings: { ...settings },
    findings: [
      `A join cost the origin ${join.repeats} fetches beyond the ${join.due} that new URLs needed in that time, a drain ${drain.repeats} beyond ${drain.due}, a restart of all ${settings.members} members one after the other ${restart.repeats} beyond ${restart.due}; a kill -9 cost ${death.repeats}, where the dead member had ${death.allowed} stored.`,
      failed === 0 ? "No request failed." : `${failed} requests failed: ${failures.slice(0, 3).join("; ")}`,
      `Times: ${marks.join(", ")}.`,
    ],
    goals,
    tables: [
      {
        title: "Periods",
        heading: ["PERIOD", "REQUESTS", "FAILED", "FETCHES DUE", "FETCHED AGAIN", "HIT RATIO"],
        rows: periods.map((period) => [
          period.name,
          period.requests,
          period.failed,
          period.due,
          period.repeats,
          percentText(1 - (period.due + period.repeats) / period.requests, 2),
        ]),
      },
    ],
    charts: [
      {
        title: "Hit ratio over time",
        kind: "line",
        xLabel: "seconds",
        yLabel: "hit ratio",
        labels: samples.map(({ second }) => second),
        series: [{ name: "hit ratio", values: samples.map(({ hitRatio }) => hitRatio) }],
      },
      {
        title: "Fetches from the origin",
        kind: "bar",
        xLabel: "period",
        yLabel: "fetches",
        labels: periods.map(({ name }) => name),
        series: [
          { name: "due (new URLs)", values: periods.map(({ due }) => due) },
          { name: "of what had been fetched before", values: periods.map(({ repeats }) => repeats) },
        ],
      },
    ],
  };
}
