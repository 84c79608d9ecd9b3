/**
 * `gyre eval hot`: how even requests are when a few keys are wanted by everybody, with hot copies and bounded loads and
 * without.
 */
import { randomOf, zipf } from "./random.ts";
import { Load } from "./load.ts";
import { CountingOrigin, Processes, statusOf } from "./processes.ts";
import { peakOverMean, percentText, rounded, type Progress, type Report } from "./report.ts";

export interface HotSettings {
  readonly members: number;
  readonly objects: number;
  readonly exponent: number;
  readonly requests: number;
  /** Of each member, as --memory takes it: less than all needs shows what copies cost. */
  readonly memory: string;
  readonly seed: number;
}

export const hotSettings: HotSettings = {
  members: 10,
  objects: 10_000,
  exponent: 1,
  requests: 60_000,
  memory: "64MB",
  seed: 1,
};

const modes = [
  { name: "neither", flags: ["--hot-copies", "0", "--load-bound", "off"] },
  { name: "hot copies", flags: ["--load-bound", "off"] },
  { name: "hot copies and bounded loads", flags: [] },
] as const;
/** A perfect hash gives 1.93 at 10 members, Zipf 1.0 and 10,000 URLs: more cannot be done by placement. */
const peakGoal = 1.25;
/**
 * Copies must cost no hits. A thousandth is left to the machine: a member that gets no processor for a moment is gone
 * round, and who stands in for it fetches what it does not have.
 */
const hitRatioGoal = 0.999;
const atOnce = 48;

interface Outcome {
  readonly mode: string;
  readonly answered: readonly number[];
  readonly hitRatio: number;
  readonly copyHits: number;
  readonly passed: number;
  readonly failed: number;
}

/** Runs the experiment on real members. */
export async function hot(given: Partial<HotSettings>, progress: Progress): Promise<Report> {
  const settings = { ...hotSettings, ...given };
  const outcomes: Outcome[] = [];
  for (const [index, mode] of modes.entries())
    outcomes.push(
      await measure(settings, mode, (done, what) =>
        progress(index * settings.requests + done, modes.length * settings.requests, `${mode.name}: ${what}`),
      ),
    );
  progress(1, 1, "done");
  const names = Array.from({ length: settings.members }, (_, index) => `m${index + 1}`);
  const [without] = outcomes as [Outcome];
  const full = outcomes.at(-1)!;
  return {
    experiment: "hot",
    title: "Hot keys: requests answered by each member",
    ran: "real processes",
    seed: settings.seed,
    settings: { ...settings, seed: settings.seed },
    findings: [
      `The busiest member answers ${outcomes.map(({ mode, answered }) => `${rounded(peakOverMean(answered), 2)} times the mean with ${mode}`).join(", ")}.`,
      "Clients enter at the members by turns. A request counts where it was answered: at its owner, or at the member that had a copy.",
    ],
    goals: [
      {
        name: "peak-to-mean of requests, with both",
        reached: peakOverMean(full.answered),
        bound: "at-most",
        goal: peakGoal,
      },
      {
        name: "hit ratio with both, over that without",
        reached: full.hitRatio / without.hitRatio,
        bound: "at-least",
        goal: hitRatioGoal,
      },
      {
        name: "requests that failed",
        reached: outcomes.reduce((sum, { failed }) => sum + failed, 0),
        bound: "at-most",
        goal: 0,
      },
    ],
    tables: [
      {
        title: "With and without",
        heading: ["MODE", "PEAK/MEAN", "HIT RATIO", "HITS OF COPIES", "PASSED ON", "FAILED"],
        rows: outcomes.map(({ mode, answered, hitRatio, copyHits, passed, failed }) => [
          mode,
          rounded(peakOverMean(answered), 2),
          percentText(hitRatio, 2),
          copyHits,
          passed,
          failed,
        ]),
      },
    ],
    charts: [
      {
        title: "Requests answered by each member",
        kind: "bar",
        xLabel: "member",
        yLabel: "requests",
        labels: names,
        series: outcomes.map(({ mode, answered }) => ({ name: mode, values: answered })),
      },
    ],
  };
}

async function measure(
  { members: count, objects, exponent, requests, memory, seed }: HotSettings,
  { name, flags }: (typeof modes)[number],
  progress: (done: number, what: string) => void,
): Promise<Outcome> {
  const origin = await CountingOrigin.start();
  const cluster = new Processes(["--memory", memory, ...flags]);
  try {
    await cluster.start(count, (member) => progress(0, `${member.name} has joined`));
    const rank = zipf(objects, exponent, randomOf(seed));
    const load = new Load();
    const listens = cluster.members.map(({ listen }) => listen);
    // Every URL once, so that what is counted is a warm cluster.
    await load.run(
      objects,
      atOnce,
      (index) => ({ listen: listens[index % count]!, url: `${origin.url}/object-${index}` }),
      () => progress(0, "warming up"),
    );
    const before = await Promise.all(cluster.members.map((member) => statusOf(member)));
    const fetchesBefore = origin.fetches;
    await load.run(
      requests,
      atOnce,
      (index) => ({ listen: listens[index % count]!, url: `${origin.url}/object-${rank()}` }),
      (done) => progress(done, "requests"),
    );
    const after = await Promise.all(cluster.members.map((member) => statusOf(member)));
    const { failed } = await load.end();
    const difference = (of: (self: (typeof after)[number]["self"]) => number): number[] =>
      after.map(({ self }, index) => of(self) - of(before[index]!.self));
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    return {
      mode: name,
      answered: difference((self) => self.requests),
      hitRatio: 1 - (origin.fetches - fetchesBefore) / requests,
      copyHits: sum(difference((self) => self.copyHits)),
      passed: sum(difference((self) => self.passed)),
      failed,
    };
  } finally {
    await cluster.close();
    await origin.close();
  }
}
