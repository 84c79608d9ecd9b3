/**
 * `gyre eval latency`: the cache against the origin, as the small study system timed it, by an open loop that hides no
 * slow answer.
 */
import type { RecordableHistogram } from "node:perf_hooks";
import { Load, percentileMs, type Asked } from "./load.ts";
import { CountingOrigin, ownersOf, Processes } from "./processes.ts";
import { rounded, type Progress, type Report } from "./report.ts";

export interface LatencySettings {
  readonly members: number;
  /** How long the origin thinks, in ms. */
  readonly originMs: number;
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
}

export const latencySettings: LatencySettings = { members: 3, originMs: 20, rate: 200, seconds: 5, seed: 1 };

const percentiles = [50, 90, 99, 99.9] as const;
const objects = 300;

interface Way {
  readonly name: string;
  readonly histogram: RecordableHistogram;
  readonly sent: number;
  readonly failed: number;
}

/** Runs the experiment on real members. */
export async function latency(given: Partial<LatencySettings>, progress: Progress): Promise<Report> {
  const settings = { ...latencySettings, ...given };
  const origin = await CountingOrigin.start({ delayMs: settings.originMs });
  // Without copies a hop stays a hop; the last way has a cluster with them.
  const plain = new Processes(["--hot-copies", "0"]);
  const copying = new Processes();
  const ways: Way[] = [];
  const measure = async (name: string, pick: (index: number) => Asked, warm: readonly Asked[] = []): Promise<void> => {
    progress(ways.length, 5, name);
    const warming = new Load();
    await warming.run(
      warm.length,
      16,
      (index) => warm[index]!,
      () => {},
    );
    await warming.end();
    const load = new Load();
    load.begin(settings.rate, pick);
    await new Promise((done) => setTimeout(done, settings.seconds * 1000));
    ways.push({ name, ...(await load.end()) });
  };
  try {
    await plain.start(settings.members, ({ name }) => progress(0, 5, `${name} has joined`));
    const listens = plain.members.map(({ listen }) => listen);
    const urls = Array.from({ length: objects }, (_, index) => `${origin.url}/object-${index}`);
    const owners = await ownersOf(plain.members[0]!, urls);
    const owner = (index: number): number => plain.members.findIndex(({ name }) => name === owners[index % objects]);
    const at = (index: number, aside: number): Asked => ({
      listen: listens[(owner(index) + aside) % listens.length]!,
      url: urls[index % objects]!,
    });
    const direct = origin.url.replace("http://", "");
    await measure("origin, without a cache", (index) => ({ listen: direct, url: urls[index % objects]! }));
    await measure("miss", (index) => ({
      listen: listens[index % listens.length]!,
      url: `${origin.url}/miss-${index}`,
    }));
    const warm = urls.map((_, index) => at(index, 0));
    await measure("hit at the owner", (index) => at(index, 0), warm);
    await measure("hit, one hop", (index) => at(index, 1));
    await plain.close();
    await copying.start(settings.members);
    const entries = copying.members.map(({ listen }) => listen);
    const hotUrl = `${origin.url}/hot`;
    const heat = Array.from({ length: 200 }, (_, index) => ({ listen: entries[index % entries.length]!, url: hotUrl }));
    await measure("hit of a hot copy", (index) => ({ listen: entries[index % entries.length]!, url: hotUrl }), heat);
    progress(5, 5, "done");
  } finally {
    await plain.close();
    await copying.close();
    await origin.close();
  }
  const median = (name: string): number => percentileMs(ways.find((way) => way.name === name)!.histogram, 50);
  return {
    experiment: "latency",
    title: "Latency: the cache against the origin",
    ran: "real processes",
    seed: settings.seed,
    settings: { ...settings },
    findings: [
      `An origin that thinks ${settings.originMs} ms answers in ${rounded(median("origin, without a cache"), 1)} ms (median); the cache in ${rounded(median("hit at the owner"), 1)} ms at the owner, ${rounded(median("hit, one hop"), 1)} ms over one hop, ${rounded(median("hit of a hot copy"), 1)} ms from a hot copy: ${rounded(median("origin, without a cache") / median("hit at the owner"), 1)} times as fast. A miss takes ${rounded(median("miss"), 1)} ms.`,
      `Open loop, ${settings.rate} requests a second; latency counts from the planned moment, so timers of 2 ms are in it.`,
    ],
    goals: [
      {
        name: "requests that failed",
        reached: ways.reduce((sum, { failed }) => sum + failed, 0),
        bound: "at-most",
        goal: 0,
      },
    ],
    tables: [
      {
        title: "Milliseconds from the planned moment to the last byte",
        heading: ["WAY", "REQUESTS", ...percentiles.map((one) => `P${one}`), "MAX"],
        rows: ways.map(({ name, sent, histogram }) => [
          name,
          sent,
          ...percentiles.map((one) => rounded(percentileMs(histogram, one), 1)),
          rounded(histogram.max / 1000, 1),
        ]),
      },
    ],
    charts: [
      {
        title: "Latency percentiles",
        kind: "bar",
        xLabel: "percentile",
        yLabel: "ms",
        labels: percentiles.map((one) => `p${one}`),
        series: ways.map(({ name, histogram }) => ({
          name,
          values: percentiles.map((one) => percentileMs(histogram, one)),
        })),
        logarithmic: true,
      },
    ],
  };
}
