/**
 * Purges: invalidations at somebody's wish, who wants to know what has become of them at every member. Each has an id,
 * by which asking twice is asking once; what is known of one is kept for a while, bounded.
 */
import { createHash } from "node:crypto";
import type { Mode } from "../../invalidation/invalidation.ts";
import { selectorText, sentSelector, type Selector } from "../../invalidation/selector.ts";
import type { Peers } from "../../peer/peers.ts";
import type { View } from "../../ring/view.ts";
import type { Store } from "../../store/port.ts";
import type { EndedHere, Invalidations } from "./invalidations.ts";
import type { Told } from "./telling.ts";
import { Tokens } from "./tokens.ts";
import { background } from "../../base/background.ts";

export interface PurgeNeeds {
  readonly self: string;
  readonly current: { readonly view: View; readonly joined: boolean };
  readonly store: Pick<Store, "named">;
  readonly peers: Pick<Peers, "call" | "isUp">;
  readonly invalidations: Pick<Invalidations, "make" | "tell" | "ended" | "formsOf">;
  readonly nowMs: () => number;
  readonly newId: () => string;
  /** For the log: who, what, how many; once when it has been told, and once when all is counted. */
  readonly audit: (report: PurgeReport, when: "told" | "counted") => void;
  readonly failed: (error: Error) => void;
}

export interface PurgeOrder {
  readonly id: string | null;
  readonly selectors: readonly Selector[];
  readonly mode: Mode;
  /** Who wants it, for the log. */
  readonly by: string;
}

/** What has become of a purge at one member. */
export interface PurgedMember {
  readonly name: string;
  /**
   * `pending`: out of reach; it applies before it trusts what it has stored again. `gone`: it is no member any more.
   */
  readonly state: Told;
  /** Responses dropped and outdated so far; null where that is not known. */
  readonly dropped: number | null;
  readonly outdated: number | null;
  /** Whether those are all: what nobody asks for is counted by and by. */
  readonly swept: boolean;
  /** Milliseconds after which it had applied; null where it has not. */
  readonly afterMs: number | null;
}

export interface PurgeReport {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  readonly by: string;
  readonly mode: Mode;
  /** The first few, for people. */
  readonly selectors: readonly string[];
  readonly selectorCount: number;
  readonly members: readonly PurgedMember[];
  /** Every member has applied it. */
  readonly complete: boolean;
}

/** Why a purge is not made. */
export interface PurgeRefused {
  readonly refused: "conflict" | "rate" | "too-many" | "joining";
  readonly reason: string;
}

/** Names in one purge. */
export const selectorsMax = 1000;
/** Of those, prefixes and hosts: each stored response is held against all of them. */
const broadSelectorsMax = 100;
/** So many names a second, and so many at once; a prefix or a host counts as ten. */
const ratePerSecond = 200;
const burst = 2000;
const broadWeight = 10;
const remembered = 1000;
const textsKept = 20;
/** How long the answer waits for members, and how long each is asked what it has done. */
const acknowledgeMs = 1000;
const askMs = 500;
const countStepMs = 2;
/** How often it is looked whether all has been counted, and for how long. */
const countLookMs = 1000;
const countLooksMax = 120;

/** What is kept of a purge: not its names, which may be many and long. */
interface Purge {
  readonly id: string;
  readonly by: string;
  readonly mode: Mode;
  readonly texts: readonly string[];
  readonly count: number;
  /** Of what was asked for: asking again is asking for the same. */
  readonly digest: string;
  readonly atMs: number;
  readonly startedMs: number;
  /** Its invalidations: a teller's, from one number to another. */
  readonly teller: string;
  readonly from: number;
  readonly to: number;
  readonly members: Map<string, { state: Told; afterMs: number | null }>;
  told: Promise<void>;
}

/** One member's purges. */
export class Purges {
  readonly #needs: PurgeNeeds;
  readonly #purges = new Map<string, Purge>();
  readonly #tokens = new Tokens(ratePerSecond, burst);
  readonly #counts = { made: 0, refused: 0 };

  constructor(needs: PurgeNeeds) {
    this.#needs = needs;
  }

  /** Purges made here, and refused. */
  get counts(): { readonly made: number; readonly refused: number } {
    return this.#counts;
  }

  /** Whether the others hear of what is purged here. */
  get joined(): boolean {
    return this.#needs.current.joined;
  }

  /** Makes a purge, and resolves when every member has applied it or has had the time. */
  async order(order: PurgeOrder): Promise<PurgeReport | PurgeRefused> {
    const outcome = await this.#order(order);
    this.#counts["refused" in outcome ? "refused" : "made"]++;
    return outcome;
  }

  async #order(order: PurgeOrder): Promise<PurgeReport | PurgeRefused> {
    const { newId, nowMs, invalidations, self, audit } = this.#needs;
    const { selectors, mode, by } = order;
    if (!this.joined)
      return { refused: "joining", reason: `${self} is just joining: nobody else would hear of it, ask again` };
    const digest = digestOf(selectors, mode);
    const known = order.id === null ? null : await this.#known(order.id, digest);
    if (known !== null) return known;
    const broad = selectors.filter(({ kind }) => kind === "prefix" || kind === "host").length;
    if (selectors.length > selectorsMax)
      return { refused: "too-many", reason: `${selectors.length} names in one purge: ${selectorsMax} at most` };
    if (broad > broadSelectorsMax)
      return { refused: "too-many", reason: `${broad} prefixes and hosts in one purge: ${broadSelectorsMax} at most` };
    if (!this.#tokens.take(selectors.length + broad * (broadWeight - 1), performance.now()))
      return { refused: "rate", reason: `more than ${ratePerSecond} names a second: try again in a moment` };
    const startedMs = performance.now();
    const entries = invalidations.make(selectors, mode, "purge");
    const purge: Purge = {
      id: order.id ?? newId(),
      by,
      mode,
      texts: selectors.slice(0, textsKept).map(selectorText),
      count: selectors.length,
      digest,
      atMs: nowMs(),
      startedMs,
      teller: entries[0]?.teller ?? "",
      from: entries[0]?.number ?? 1,
      to: entries.at(-1)?.number ?? 0,
      members: new Map([[self, { state: "applied", afterMs: performance.now() - startedMs }]]),
      told: Promise.resolve(),
    };
    this.#purges.set(purge.id, purge);
    if (this.#purges.size > remembered) this.#purges.delete(this.#purges.keys().next().value!);
    purge.told = invalidations.tell(entries, acknowledgeMs, (name, state) => {
      purge.members.set(name, { state, afterMs: state === "applied" ? performance.now() - startedMs : null });
    });
    await purge.told;
    const report = await this.#report(purge, "as-told");
    audit(report, "told");
    background(this.#countedLater(purge), this.#needs.failed);
    return report;
  }

  /** What is known of an id, here or at another member; refused where it is another purge's. */
  async #known(id: string, digest: string): Promise<PurgeReport | PurgeRefused | null> {
    const purge = this.#purges.get(id);
    if (purge !== undefined) {
      if (purge.digest !== digest) return conflict(id);
      await purge.told;
      return this.#report(purge);
    }
    const elsewhere = await this.#askOthers(id);
    if (elsewhere === null) return null;
    return elsewhere.digest === digest ? elsewhere.report : conflict(id);
  }

  /** The log's second line: when all of it has been counted, or is not going to be any more. */
  async #countedLater(purge: Purge): Promise<void> {
    for (let look = 0; look < countLooksMax; look++) {
      await new Promise((done) => setTimeout(done, countLookMs).unref());
      if (this.#purges.get(purge.id) !== purge) return;
      const report = await this.#report(purge);
      if (report.complete && report.members.every(({ state, swept }) => state !== "applied" || swept)) {
        this.#needs.audit(report, "counted");
        return;
      }
    }
  }

  /** What is known of a purge by now, wherever it was made; null where nobody knows of it. */
  async find(id: string): Promise<PurgeReport | null> {
    const purge = this.#purges.get(id);
    if (purge !== undefined) return this.#report(purge);
    return (await this.#askOthers(id))?.report ?? null;
  }

  async #askOthers(id: string): Promise<{ readonly report: PurgeReport; readonly digest: string } | null> {
    const { self, current, peers } = this.#needs;
    const others = current.view.members.filter(({ name }) => name !== self && peers.isUp(name));
    const answers = await Promise.all(
      others.map(({ name }) => peers.call(name, "purge", { id }, askMs * 2).catch(() => null)),
    );
    return (answers.find((answer) => answer !== null) ?? null) as { report: PurgeReport; digest: string } | null;
  }

  /** How many stored responses selectors name, at each member of the view, without doing anything to them. */
  async count(
    selectors: readonly Selector[],
  ): Promise<readonly { readonly name: string; readonly named: number | null }[]> {
    const { self, current, peers } = this.#needs;
    return Promise.all(
      current.view.members.map(async ({ name }) => {
        if (name === self) return { name, named: await this.#countHere(selectors) };
        const answer = await peers.call(name, "purge", { count: selectors }, 30_000).catch(() => null);
        const { named = null } = (answer ?? {}) as { readonly named?: number };
        return { name, named };
      }),
    );
  }

  /** Answers another member's question: of a purge made here, of what some have ended here, of what would be. */
  async answer(value: unknown): Promise<unknown> {
    const { id, teller, from, to, count } = (value ?? {}) as Record<string, unknown>;
    if (typeof id === "string") {
      const purge = this.#purges.get(id);
      return purge === undefined ? null : { report: await this.#report(purge), digest: purge.digest };
    }
    if (Array.isArray(count)) {
      const selectors = count.slice(0, selectorsMax).map(sentSelector);
      return { named: await this.#countHere(selectors.filter((one) => one !== null)) };
    }
    if (typeof teller !== "string" || typeof from !== "number" || typeof to !== "number" || to - from > selectorsMax)
      throw new Error("name a purge");
    return this.#needs.invalidations.ended(teller, from, to);
  }

  async #countHere(selectors: readonly Selector[]): Promise<number> {
    let count = 0;
    let until = performance.now() + countStepMs;
    const { store, invalidations } = this.#needs;
    for (const soFar of store.named(selectors.flatMap((one) => invalidations.formsOf(one)))) {
      count = soFar;
      if (performance.now() < until) continue;
      await new Promise((done) => setTimeout(done, countStepMs));
      until = performance.now() + countStepMs;
    }
    return count;
  }

  async #report(purge: Purge, how: "as-told" | "looking" = "looking"): Promise<PurgeReport> {
    const { id, by, mode, texts, count, atMs, members } = purge;
    const { current } = this.#needs;
    const reported = await Promise.all(
      [...members.keys()].map(async (name): Promise<PurgedMember> => {
        const isHeard = members.get(name)!.state === "applied";
        const ended = isHeard || how === "looking" ? await this.#ended(purge, name) : null;
        // Out of reach before, and has heard by now: when that was, nobody here knows.
        if (!isHeard && ended !== null) members.set(name, { state: "applied", afterMs: null });
        else if (!isHeard)
          members.set(name, { state: current.view.byName.has(name) ? "pending" : "gone", afterMs: null });
        const { state, afterMs } = members.get(name)!;
        return {
          name,
          state,
          dropped: ended?.dropped ?? null,
          outdated: ended?.outdated ?? null,
          swept: ended?.swept ?? false,
          afterMs: afterMs === null ? null : Math.round(afterMs * 10) / 10,
        };
      }),
    );
    return {
      id,
      at: new Date(atMs).toISOString(),
      by,
      mode,
      selectors: texts,
      selectorCount: count,
      members: reported.sort((a, b) => (a.name < b.name ? -1 : 1)),
      complete: reported.every(({ state, name }) => state === "applied" || !current.view.byName.has(name)),
    };
  }

  async #ended({ teller, from, to }: Purge, name: string): Promise<EndedHere | null> {
    const { self, peers, invalidations } = this.#needs;
    if (name === self) return invalidations.ended(teller, from, to);
    if (!peers.isUp(name)) return null;
    return (await peers.call(name, "purge", { teller, from, to }, askMs).catch(() => null)) as EndedHere | null;
  }
}

function conflict(id: string): PurgeRefused {
  return { refused: "conflict", reason: `the id ${id} belongs to another purge` };
}

function digestOf(selectors: readonly Selector[], mode: Mode): string {
  return createHash("sha256")
    .update(JSON.stringify([mode, selectors]))
    .digest("base64url");
}
