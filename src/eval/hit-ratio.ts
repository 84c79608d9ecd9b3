/**
 * `gyre eval hit-ratio`: a trace replayed through the store's eviction policy, beside SIEVE, LRU and the best that can
 * be.
 */
import { objectHits, storeHits } from "./heavy-tail.ts";
import { pageHits } from "./page-policy.ts";
import { Sieve, type Evictable } from "./sieve.ts";
import { percentText, type Goal, type Progress, type Report } from "./report.ts";
import { traceCredits, traceIds, zipfWorkload, type TraceName } from "./workload.ts";

export interface HitRatioSettings {
  readonly trace: TraceName | "zipf";
  /** Cache sizes as parts of the distinct objects. */
  readonly sizes: readonly number[];
  readonly seed: number;
}

export const hitRatioSettings: HitRatioSettings = { trace: "web07", sizes: [0.01, 0.02, 0.05, 0.1, 0.2, 0.4], seed: 1 };

const policies = [
  { name: "S3-FIFO by page (the store's)", hits: pageHits },
  { name: "SIEVE", hits: sieveHits },
  { name: "LRU", hits: lruHits },
  { name: "FIFO", hits: fifoHits },
  { name: "Belady's optimum", hits: beladyHits },
] as const;

/** Budgets of whole stores under content of heavy-tailed sizes: MB. */
const budgets = [4, 16, 64] as const;
/** What the traces are to reach: their size, and the hit ratio. */
const wanted = { web07: { size: 0.01, ratio: 0.438 }, web12: { size: 0.1, ratio: 0.721 } } as const;
/** How far below S3-FIFO by object a store of 16 MB may stay under heavy-tailed sizes: points. */
const pointsMax = 2;

/** Runs the experiment. */
export async function hitRatio(given: Partial<HitRatioSettings>, progress: Progress): Promise<Report> {
  const settings = { ...hitRatioSettings, ...given };
  const ids = settings.trace === "zipf" ? zipfIds(settings.seed) : traceIds(settings.trace);
  const distinct = new Set(ids).size;
  const ratios: number[][] = [];
  const steps = settings.sizes.length * policies.length + budgets.length;
  for (const size of settings.sizes) {
    const capacity = Math.max(1, Math.round(size * distinct));
    const row: number[] = [];
    for (const { name, hits } of policies) {
      progress(ratios.length * policies.length + row.length, steps, `${name}, ${percentText(size, 0)}`);
      row.push(hits(ids, capacity) / ids.length);
      await new Promise((done) => setImmediate(done));
    }
    ratios.push(row);
  }
  const heavy = budgets.map((megabytes, index) => {
    progress(steps - budgets.length + index, steps, `heavy-tailed sizes, ${megabytes} MB`);
    return [storeHits, objectHits].map((hits) => hits(ids, megabytes * 2 ** 20) / ids.length) as [number, number];
  });
  progress(steps, steps, "done");
  const [store, lru] = [0, policies.findIndex(({ name }) => name === "LRU")];
  const wins = ratios.filter((row) => row[store]! >= row[lru]!).length;
  return {
    experiment: "hit-ratio",
    title: `Hit ratio of the store's policy: ${settings.trace}`,
    ran: "simulated members, one process",
    seed: settings.seed,
    settings: { trace: settings.trace, requests: ids.length, objects: distinct },
    findings: [
      `The store's policy hits as often as LRU or more at ${wins} of ${ratios.length} sizes. Objects count as one each, in 128 pages: what is compared is the order of eviction.`,
    ],
    goals: [...ratioGoals(settings, ratios), heavyGoal(heavy[budgets.indexOf(16)]!)],
    tables: [
      {
        title: "Object hit ratio by cache size (part of the distinct objects)",
        heading: ["SIZE", "OBJECTS", ...policies.map(({ name }) => name)],
        rows: settings.sizes.map((size, index) => [
          percentText(size, 0),
          Math.max(1, Math.round(size * distinct)),
          ...ratios[index]!.map((ratio) => percentText(ratio, 1)),
        ]),
      },
      {
        title: "Object hit ratio of whole stores, content of heavy-tailed sizes (400 B to 4 MB, 1.5 KB in the mean)",
        heading: ["MEMORY", "the store", "S3-FIFO by object"],
        rows: budgets.map((megabytes, index) => [
          `${megabytes} MB`,
          ...heavy[index]!.map((ratio) => percentText(ratio, 1)),
        ]),
      },
    ],
    charts: [
      {
        title: "Object hit ratio",
        kind: "line",
        xLabel: "cache size, part of the distinct objects",
        yLabel: "hit ratio",
        labels: settings.sizes.map((size) => percentText(size, 0)),
        series: policies.map(({ name }, column) => ({ name, values: ratios.map((row) => row[column]!) })),
      },
    ],
    ...(settings.trace === "zipf" ? {} : { credits: [traceCredits] }),
  };
}

/** The goal of a trace, where its size is among those that were replayed. */
function ratioGoals({ trace, sizes }: HitRatioSettings, ratios: readonly (readonly number[])[]): Goal[] {
  if (trace === "zipf") return [];
  const { size, ratio } = wanted[trace];
  const at = sizes.indexOf(size);
  if (at === -1) return [];
  const name = `hit ratio at ${percentText(size, 0)} (%)`;
  return [{ name, reached: points(ratios[at]![0]!), bound: "at-least", goal: points(ratio) }];
}

function heavyGoal([store, byObject]: readonly [number, number]): Goal {
  const name = "points below S3-FIFO by object, heavy-tailed sizes in 16 MB";
  return { name, reached: points(byObject - store), bound: "at-most", goal: pointsMax };
}

function points(ratio: number): number {
  return Math.round(ratio * 10_000) / 100;
}

interface Cached extends Evictable {
  readonly id: number;
}

/** Hits of SIEVE, which the store's own policy took the place of, over objects of one size. */
export function sieveHits(ids: Uint32Array, capacity: number): number {
  const policy = new Sieve<Cached>();
  const kept = new Map<number, Cached>();
  let hits = 0;
  for (const id of ids) {
    const found = kept.get(id);
    if (found !== undefined) {
      hits++;
      policy.used(found);
      continue;
    }
    if (kept.size === capacity) {
      const victim = policy.victim()!;
      policy.removed(victim);
      kept.delete(victim.id);
    }
    const one: Cached = { id, used: false, newer: null, older: null };
    policy.added(one);
    kept.set(id, one);
  }
  return hits;
}

/** Hits where the least recently used goes first. */
export function lruHits(ids: Uint32Array, capacity: number): number {
  return queueHits(ids, capacity, true);
}

/** Hits where the oldest goes first. */
export function fifoHits(ids: Uint32Array, capacity: number): number {
  return queueHits(ids, capacity, false);
}

function queueHits(ids: Uint32Array, capacity: number, renews: boolean): number {
  // A Map remembers the order of insertion: its first key is the next to go.
  const kept = new Set<number>();
  let hits = 0;
  for (const id of ids) {
    if (kept.has(id)) {
      hits++;
      if (!renews) continue;
      kept.delete(id);
    } else if (kept.size === capacity) kept.delete(kept.values().next().value!);
    kept.add(id);
  }
  return hits;
}

/**
 * Hits of the best possible policy (Belády 1966): what is asked for again latest goes first, and may not come in at
 * all.
 */
export function beladyHits(ids: Uint32Array, capacity: number): number {
  const never = ids.length;
  const nextUse = new Uint32Array(ids.length);
  const seen = new Map<number, number>();
  for (let i = ids.length - 1; i >= 0; i--) {
    nextUse[i] = seen.get(ids[i]!) ?? never;
    seen.set(ids[i]!, i);
  }
  // A heap of (next use, id) with the latest on top; entries whose next use has changed are dropped when they surface.
  const current = new Map<number, number>();
  const heap: { readonly use: number; readonly id: number }[] = [];
  let hits = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (current.has(id)) hits++;
    current.set(id, nextUse[i]!);
    push(heap, { use: nextUse[i]!, id });
    while (current.size > capacity) {
      const top = pop(heap);
      if (current.get(top.id) === top.use) current.delete(top.id);
    }
  }
  return hits;
}

function push<T extends { readonly use: number }>(heap: T[], one: T): void {
  let at = heap.length;
  heap.push(one);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]!.use >= one.use) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = one;
}

function pop<T extends { readonly use: number }>(heap: T[]): T {
  const top = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]!.use > heap[child]!.use) child++;
    if (heap[child]!.use <= last.use) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}

function zipfIds(seed: number): Uint32Array {
  const ids = new Map<string, number>();
  const { requests } = zipfWorkload({ seed, oneHitShare: 0.1 });
  return Uint32Array.from(requests, ({ url }) => {
    let id = ids.get(url);
    if (id === undefined) ids.set(url, (id = ids.size));
    return id;
  });
}
