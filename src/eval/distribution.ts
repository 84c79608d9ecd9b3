/**
 * `gyre eval distribution`: how the URLs and requests of a workload spread over the members, as the small study system
 * measured it (50/30/20 on three nodes), with its map of sites to nodes.
 */
import { FrequencySketch } from "../ring/frequency-sketch.ts";
import { copySeconds, hotCount, renewHits } from "../ring/hot-keys.ts";
import { keyHash, ownerIndex, ringOf, type RingMember } from "../ring/ring.ts";
import { httpUri, uriText } from "../http/uri.ts";
import { plainRing } from "./placements.ts";
import { randomOf } from "./random.ts";
import { peakOverMean, percentText, rounded, type Progress, type Report } from "./report.ts";
import type { Workload } from "./workload.ts";

export interface DistributionSettings {
  readonly members: number;
  readonly seed: number;
  /** Requests a second that the simulation assumes: a copy's time is a number of requests. */
  readonly rate: number;
}

export const distributionSettings: DistributionSettings = { members: 3, seed: 1, rate: 1000 };

/** What the study measured: parts of the requests of its three nodes. */
const study = [0.5, 0.3, 0.2];
const sitesShown = 40;

/** Runs the experiment on a workload. */
export async function distribution(
  workload: Workload,
  given: Partial<DistributionSettings>,
  progress: Progress,
): Promise<Report> {
  const settings = { ...distributionSettings, ...given };
  const members: RingMember[] = Array.from({ length: settings.members }, (_, index) => ({
    name: `m${index + 1}`,
    weight: 1,
  }));
  const ring = ringOf(members);
  const names = ring.members.map(({ name }) => name);
  const placed = new Map<string, number>();
  const entry = new Entries(members.length, settings);
  const owned = new Array<number>(members.length).fill(0);
  const answered = new Array<number>(members.length).fill(0);
  const sites = new Map<string, number[]>();
  const random = randomOf(settings.seed + 1);
  const { requests } = workload;
  for (const [index, { url }] of requests.entries()) {
    if (index % 20_000 === 0) {
      progress(index, requests.length, workload.name);
      await new Promise((done) => setImmediate(done));
    }
    const uri = httpUri(url);
    const key = uri === null ? url : uriText(uri);
    const hash = keyHash(key);
    let owner = placed.get(key);
    if (owner === undefined) {
      placed.set(key, (owner = ownerIndex(ring, hash)));
      const site = uri?.host ?? "";
      let row = sites.get(site);
      if (row === undefined) sites.set(site, (row = new Array<number>(members.length).fill(0)));
      row[owner]!++;
    }
    owned[owner]!++;
    answered[entry.answers(Math.floor(random() * members.length), owner, hash)]!++;
  }
  progress(requests.length, requests.length, "done");
  const urls = new Array<number>(members.length).fill(0);
  for (const owner of placed.values()) urls[owner]!++;
  const single = plainRing(1).place(ring.members);
  const original = new Array<number>(members.length).fill(0);
  for (const { url } of requests) original[single.ownerOf(keyHash(httpUri(url)?.host ?? url))]!++;
  const total = requests.length;
  const part = (counts: readonly number[], index: number): string => percentText(counts[index]! / total, 1);
  return {
    experiment: "distribution",
    title: `How requests spread over ${members.length} members: ${workload.name}`,
    ran: "simulated members, one process",
    seed: settings.seed,
    settings: { workload: workload.name, members: members.length, requests: total, urls: placed.size },
    findings: [
      ...(members.length === 3 ? [againstStudy(owned, answered, total)] : []),
      `By owner, the busiest member gets ${rounded(peakOverMean(owned), 2)} times the mean; with hot copies at the members where clients enter, the busiest answers ${rounded(peakOverMean(answered), 2)} times the mean. Whole sites on one token a member, as the study had it, give ${rounded(peakOverMean(original), 2)} here.`,
    ],
    goals: [],
    tables: [
      {
        title: "Members",
        heading: ["MEMBER", "URLS", "REQUESTS BY OWNER", "ANSWERED, WITH HOT COPIES", "SITES, ONE TOKEN EACH"],
        rows: names.map((name, index) => [
          name,
          urls[index]!,
          part(owned, index),
          part(answered, index),
          part(original, index),
        ]),
      },
      {
        title: `Sites to members: URLs of each${sites.size > sitesShown ? ` (${sitesShown} of ${sites.size} sites)` : ""}`,
        heading: ["SITE", ...names],
        rows: [...sites].slice(0, sitesShown).map(([site, row]) => [site, ...row]),
      },
    ],
    charts: [
      {
        title: "Requests by member",
        kind: "bar",
        xLabel: "member",
        yLabel: "part of the requests",
        labels: names,
        series: [
          { name: "by owner", values: owned.map((count) => count / total) },
          { name: "answered, with hot copies", values: answered.map((count) => count / total) },
          { name: "whole sites, one token each", values: original.map((count) => count / total) },
        ],
      },
      {
        title: "Sites to members",
        kind: "bar",
        xLabel: "site",
        yLabel: "URLs",
        labels: [...sites.keys()].slice(0, sitesShown),
        series: names.map((name, index) => ({
          name,
          values: [...sites.values()].slice(0, sitesShown).map((row) => row[index]!),
        })),
      },
    ],
    ...(workload.credit === undefined ? {} : { credits: [workload.credit] }),
  };
}

/** Members as entries: which of them answers, by the very rules that members go by. */
class Entries {
  readonly #sketches: FrequencySketch[];
  readonly #copies: Map<number, { until: number; hits: number }>[];
  readonly #copyRequests: number;
  #now = 0;

  constructor(members: number, { rate }: DistributionSettings) {
    this.#sketches = Array.from({ length: members }, () => new FrequencySketch());
    this.#copies = Array.from({ length: members }, () => new Map<number, { until: number; hits: number }>());
    this.#copyRequests = copySeconds * rate;
  }

  answers(entry: number, owner: number, hash: number): number {
    this.#now++;
    if (entry === owner) return owner;
    const copies = this.#copies[entry]!;
    const copy = copies.get(hash);
    if (copy !== undefined && copy.until > this.#now) {
      copy.hits++;
      return entry;
    }
    const hot = this.#sketches[entry]!.add(hash) >= hotCount || (copy !== undefined && copy.hits >= renewHits);
    if (hot) copies.set(hash, { until: this.#now + this.#copyRequests, hits: 0 });
    return owner;
  }
}

function againstStudy(owned: readonly number[], answered: readonly number[], total: number): string {
  const shown = (counts: readonly number[]): string =>
    [...counts]
      .sort((a, b) => b - a)
      .map((count) => Math.round((count * 100) / total))
      .join("/");
  const worst = study[0]! * 3;
  const [byOwner, copied] = [peakOverMean(owned), peakOverMean(answered)];
  const gain = (peak: number): string =>
    `${Math.abs((1 - (peak - 1) / (worst - 1)) * 100).toFixed(0)}% ${peak <= worst ? "nearer to" : "further from"} the mean`;
  return `The study measured 50/30/20 on three nodes: its busiest had ${rounded(worst, 2)} times the mean. Here it is ${shown(owned)} by owner (${rounded(byOwner, 2)}, ${gain(byOwner)}) and ${shown(answered)} as answered with hot copies (${rounded(copied, 2)}, ${gain(copied)}).`;
}
