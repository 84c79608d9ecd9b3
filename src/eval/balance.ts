/** `gyre eval balance`: how evenly ways of placing keys share them, what a change moves, and what they cost. */
import { mixed } from "../ring/murmur3.ts";
import { ringOf, tokensPerWeight, type RingMember } from "../ring/ring.ts";
import { peakToMean, relativeShares, shares } from "../ring/shares.ts";
import { maglev, multiProbe, plainRing, rendezvous, rendezvousTable, twoProbes, type Algorithm } from "./placements.ts";
import { peakOverMean, rounded, type Goal, type Progress, type Report } from "./report.ts";

export interface BalanceSettings {
  /** Cluster sizes. */
  readonly members: readonly number[];
  /** Keys that are placed to count shares. */
  readonly keys: number;
  readonly seed: number;
}

export const balanceSettings: BalanceSettings = { members: [3, 10, 30, 100], keys: 1_000_000, seed: 1 };

const algorithms: readonly Algorithm[] = [
  plainRing(1),
  plainRing(40),
  plainRing(256),
  plainRing(1024),
  plainRing(4096),
  twoProbes(512),
  twoProbes(1024),
  twoProbes(tokensPerWeight),
  twoProbes(4096),
  multiProbe(21),
  maglev(),
  rendezvousTable(),
  rendezvous,
];
const chosen = twoProbes(tokensPerWeight).name;
const goalSizes = [3, 10, 30, 100];

interface Measured {
  readonly algorithm: string;
  readonly members: number;
  readonly peak: number;
  /** Over the ideal 1 / (n + 1), and the part of it that went to others than the newcomer. */
  readonly joinMoves: number;
  readonly strayMoves: number;
  readonly lookupNs: number;
  readonly buildMs: number;
  readonly bytes: number;
}

/** Runs the experiment. */
export async function balance(given: Partial<BalanceSettings>, progress: Progress): Promise<Report> {
  const settings = { ...balanceSettings, ...given };
  const measured: Measured[] = [];
  const rounds = algorithms.length * settings.members.length;
  for (const algorithm of algorithms)
    for (const count of settings.members) {
      progress(measured.length, rounds, `${algorithm.name}, ${count} members`);
      measured.push(measure(algorithm, count, settings));
      // Whoever watches the bar, or wants to end this, gets a turn.
      await new Promise((done) => setImmediate(done));
    }
  progress(rounds, rounds, "done");
  const goals = goalsOf();
  const own = measured.filter(({ algorithm }) => algorithm === chosen);
  const largest = settings.members.at(-1)!;
  return {
    experiment: "balance",
    title: "How evenly keys are shared, and what a change moves",
    ran: "simulated members, one process",
    seed: settings.seed,
    settings: { members: settings.members.join(", "), keys: settings.keys },
    findings: [
      `Gyre places keys by "${chosen}": peak-to-mean ${own.map(({ members, peak }) => `${rounded(peak)} at ${members}`).join(", ")} (counted on ${settings.keys.toLocaleString("en")} keys, so 100 members are counted to about 1%).`,
      "Maglev is the evenest and moves up to twice what it must, much of it between members that have not changed; a rendezvous table moves the least possible and has the fastest lookup, but takes longest to build; the ring moves only to and from the member that changes, and a lookup costs some tens of nanoseconds.",
      "Rings of one probe and multi-probe are looked up by binary search here, Gyre's ring by its table of starts: their lookup times compare ways of searching too.",
    ],
    goals,
    tables: [
      {
        title: "Ways to place keys",
        heading: ["ALGORITHM", "MEMBERS", "PEAK/MEAN", "JOIN MOVES", "STRAY", "LOOKUP NS", "BUILD MS", "KB"],
        rows: measured.map((one) => [
          one.algorithm,
          one.members,
          rounded(one.peak),
          rounded(one.joinMoves),
          rounded(one.strayMoves),
          rounded(one.lookupNs, 0),
          rounded(one.buildMs, 1),
          rounded(one.bytes / 1024, 0),
        ]),
      },
    ],
    charts: [
      {
        title: "Peak-to-mean of key share",
        kind: "line",
        xLabel: "members",
        yLabel: "peak / mean",
        labels: settings.members,
        series: algorithms
          .filter(({ name }) => name !== plainRing(1).name)
          .map(({ name }) => ({
            name,
            values: measured.filter(({ algorithm }) => algorithm === name).map(({ peak }) => peak),
          })),
      },
      {
        title: `Moved when one more joins ${largest}, over the ideal share`,
        kind: "bar",
        xLabel: "algorithm",
        yLabel: "moved / ideal",
        labels: algorithms.map(({ name }) => name),
        series: [
          {
            name: "moved",
            values: measured.filter(({ members }) => members === largest).map(({ joinMoves }) => joinMoves),
          },
        ],
      },
    ],
  };
}

function measure({ name, place }: Algorithm, count: number, { keys, seed }: BalanceSettings): Measured {
  const members = equal(count);
  const startedMs = performance.now();
  const before = place(members);
  const buildMs = performance.now() - startedMs;
  const counts = new Array<number>(count).fill(0);
  const hashes = new Uint32Array(keys);
  for (let i = 0; i < keys; i++) hashes[i] = mixed(i + Math.imul(seed, 0x9e3779b9));
  const owners = new Uint16Array(keys);
  const askedMs = performance.now();
  for (let i = 0; i < keys; i++) owners[i] = before.ownerOf(hashes[i]!);
  const lookupNs = ((performance.now() - askedMs) * 1e6) / keys;
  for (const owner of owners) counts[owner]!++;
  const after = place(equal(count + 1));
  let [moved, stray] = [0, 0];
  for (let i = 0; i < keys; i++) {
    const owner = after.ownerOf(hashes[i]!);
    if (owner === owners[i]) continue;
    moved++;
    if (owner !== count) stray++;
  }
  const ideal = keys / (count + 1);
  return {
    algorithm: name,
    members: count,
    peak: peakOverMean(counts),
    joinMoves: moved / ideal,
    strayMoves: stray / ideal,
    lookupNs,
    buildMs,
    bytes: before.bytes,
  };
}

/** The ring's own goals, by exact shares. */
function goalsOf(): Goal[] {
  const goals: Goal[] = goalSizes.map((count) => ({
    name: `peak-to-mean of key share, ${count} equal members`,
    reached: peakToMean(ringOf(equal(count))),
    bound: "at-most",
    goal: 1.05,
  }));
  const weights = [0.5, 1, 1, 2, 4, 8, 1.5];
  const relative = relativeShares(ringOf(weights.map((weight, index) => ({ name: `m${index + 1}`, weight }))));
  goals.push({
    name: `largest deviation from the weights ${weights.join(", ")}`,
    reached: Math.max(...relative.map((share) => Math.abs(share - 1))),
    bound: "at-most",
    goal: 0.05,
  });
  for (const count of goalSizes) {
    const owned = shares(ringOf(equal(count + 1)));
    goals.push({
      name: `moved by a join or leave of any one, ${count} members, over the ideal share`,
      reached: Math.max(...owned.values()) * (count + 1),
      bound: "at-most",
      goal: 1.05,
    });
  }
  goals.push({ name: "lookup at 100 members, ns", reached: lookupNsAt(100), bound: "at-most", goal: 100 });
  goals.push({
    name: "building a view's ring of 1,000 members, ms",
    reached: buildMsAt(1000),
    bound: "at-most",
    goal: 100,
  });
  return goals;
}

function lookupNsAt(count: number): number {
  const { ownerOf } = twoProbes(tokensPerWeight).place(equal(count));
  const rounds = 2_000_000;
  let least = Infinity;
  let sum = 0;
  for (let repeat = 0; repeat < 5; repeat++) {
    const startedMs = performance.now();
    for (let i = 0; i < rounds; i++) sum += ownerOf(mixed(i));
    least = Math.min(least, ((performance.now() - startedMs) * 1e6) / rounds);
  }
  // The sum keeps the loop from being optimised away.
  return sum < 0 ? 0 : least;
}

/** The median of nine, the first two not counted: a member has built rings before. */
function buildMsAt(count: number): number {
  const members = equal(count);
  const times: number[] = [];
  for (let repeat = 0; repeat < 9; repeat++) {
    const startedMs = performance.now();
    ringOf(members);
    times.push(performance.now() - startedMs);
  }
  return times.slice(2).sort((a, b) => a - b)[3]!;
}

function equal(count: number): RingMember[] {
  return Array.from({ length: count }, (_, index) => ({ name: `m${index + 1}`, weight: 1 }));
}
