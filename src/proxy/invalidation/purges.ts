/**
 * Purges: invalidations at somebody's wish, who wants to know what has become of them at every member. Each has an id,
 * by which asking twice is asking once; what is known of one is kept for a while, bounded.
 */
import type { Invalidation, Mode } from "../../invalidation/invalidation.ts";
import { selectorText, type Selector } from "../../invalidation/selector.ts";
import type { Peers } from "../../peer/peers.ts";
import type { View } from "../../ring/view.ts";
import type { Ended, Store } from "../../store/port.ts";
import type { Invalidations } from "./invalidations.ts";
import type { Told } from "./telling.ts";
import { Tokens } from "./tokens.ts";

export interface PurgeNeeds {
  readonly self: string;
  readonly current: { readonly view: View };
  readonly store: Pick<Store, "named">;
  readonly peers: Pick<Peers, "call" | "isUp">;
  readonly invalidations: Pick<Invalidations, "make" | "tell" | "ended">;
  readonly nowMs: () => number;
  readonly newId: () => string;
  /** For the log: who, what, how many. */
  readonly audit: (report: PurgeReport) => void;
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
  readonly selectors: readonly string[];
  readonly members: readonly PurgedMember[];
  /** Every member has applied it. */
  readonly complete: boolean;
}

/** Why a purge is not made. */
export interface PurgeRefused {
  readonly refused: "conflict" | "rate" | "too-many";
  readonly reason: string;
}

/** Names in one purge. */
export const selectorsMax = 1000;
/** So many names a second, and so many at once. */
const ratePerSecond = 200;
const burst = 2000;
const remembered = 1000;
/** How long the answer waits for members, and how long each is asked what it has done. */
const acknowledgeMs = 1000;
const askMs = 500;
const countStepMs = 2;

interface Purge {
  readonly order: PurgeOrder & { readonly id: string };
  readonly atMs: number;
  readonly startedMs: number;
  readonly entries: readonly Invalidation[];
  readonly members: Map<string, { state: Told; afterMs: number | null }>;
  told: Promise<void>;
}

/** One member's purges. */
export class Purges {
  readonly #needs: PurgeNeeds;
  readonly #purges = new Map<string, Purge>();
  readonly #tokens = new Tokens(ratePerSecond, burst);

  constructor(needs: PurgeNeeds) {
    this.#needs = needs;
  }

  /** Makes a purge, and resolves when every member has applied it or has had the time. */
  async order(order: PurgeOrder): Promise<PurgeReport | PurgeRefused> {
    const { newId, nowMs, invalidations, self, audit } = this.#needs;
    const known = order.id === null ? undefined : this.#purges.get(order.id);
    if (known !== undefined) {
      if (JSON.stringify([known.order.selectors, known.order.mode]) !== JSON.stringify([order.selectors, order.mode]))
        return { refused: "conflict", reason: `the id ${order.id} belongs to another purge` };
      await known.told;
      return this.#report(known);
    }
    if (order.selectors.length > selectorsMax)
      return { refused: "too-many", reason: `${order.selectors.length} names in one purge: ${selectorsMax} at most` };
    if (!this.#tokens.take(order.selectors.length, performance.now()))
      return { refused: "rate", reason: `more than ${ratePerSecond} names a second: try again in a moment` };
    const startedMs = performance.now();
    const id = order.id ?? newId();
    const entries = invalidations.make(order.selectors, order.mode, "purge");
    const purge: Purge = {
      order: { ...order, id },
      atMs: nowMs(),
      startedMs,
      entries,
      members: new Map([[self, { state: "applied", afterMs: performance.now() - startedMs }]]),
      told: Promise.resolve(),
    };
    this.#purges.set(id, purge);
    if (this.#purges.size > remembered) this.#purges.delete(this.#purges.keys().next().value!);
    purge.told = invalidations.tell(entries, acknowledgeMs, (name, state) => {
      purge.members.set(name, { state, afterMs: state === "applied" ? performance.now() - startedMs : null });
    });
    await purge.told;
    const report = await this.#report(purge);
    audit(report);
    return report;
  }

  /** What is known of a purge by now, wherever it was made; null where nobody knows of it. */
  async find(id: string): Promise<PurgeReport | null> {
    const purge = this.#purges.get(id);
    if (purge !== undefined) return this.#report(purge);
    const { self, current, peers } = this.#needs;
    const others = current.view.members.filter(({ name }) => name !== self && peers.isUp(name));
    const answers = await Promise.all(
      others.map(({ name }) => peers.call(name, "purge", { id }, askMs * 2).catch(() => null)),
    );
    return (answers.find((answer) => answer !== null) ?? null) as PurgeReport | null;
  }

  /** How many stored responses selectors name, at each member, without doing anything to them. */
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
    const { id, teller, numbers, count } = (value ?? {}) as Record<string, unknown>;
    if (typeof id === "string") {
      const purge = this.#purges.get(id);
      return purge === undefined ? null : this.#report(purge);
    }
    if (Array.isArray(count)) return { named: await this.#countHere(count as Selector[]) };
    if (typeof teller !== "string" || !Array.isArray(numbers)) throw new Error("name a purge");
    return this.#needs.invalidations.ended(
      teller,
      numbers.filter((one) => typeof one === "number"),
    );
  }

  async #countHere(selectors: readonly Selector[]): Promise<number> {
    let count = 0;
    let until = performance.now() + countStepMs;
    for (const soFar of this.#needs.store.named(selectors)) {
      count = soFar;
      if (performance.now() < until) continue;
      await new Promise((done) => setTimeout(done, countStepMs));
      until = performance.now() + countStepMs;
    }
    return count;
  }

  async #report(purge: Purge): Promise<PurgeReport> {
    const { order, atMs, entries, members } = purge;
    const { current } = this.#needs;
    for (const name of members.keys()) await this.#look(purge, name);
    const [first] = entries;
    const numbers = entries.map(({ number }) => number);
    const reported = await Promise.all(
      [...members].map(async ([name, { state, afterMs }]): Promise<PurgedMember> => {
        const ended =
          state === "applied" && first !== undefined ? await this.#ended(name, first.teller, numbers) : null;
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
      id: order.id,
      at: new Date(atMs).toISOString(),
      by: order.by,
      mode: order.mode,
      selectors: order.selectors.map(selectorText),
      members: reported.sort((a, b) => (a.name < b.name ? -1 : 1)),
      complete: reported.every(({ state, name }) => state === "applied" || !current.view.byName.has(name)),
    };
  }

  /** Whether a member that was out of reach has heard by now, or is none any more. */
  async #look({ entries, members, startedMs }: Purge, name: string): Promise<void> {
    const { current, peers } = this.#needs;
    const known = members.get(name)!;
    if (known.state === "applied") return;
    const [{ teller } = { teller: "" }] = entries;
    const numbers = entries.map(({ number }) => number);
    if (peers.isUp(name) && (await this.#ended(name, teller, numbers)) !== null)
      members.set(name, { state: "applied", afterMs: performance.now() - startedMs });
    else if (!current.view.byName.has(name)) members.set(name, { state: "gone", afterMs: null });
    else members.set(name, { state: "pending", afterMs: null });
  }

  async #ended(name: string, teller: string, numbers: readonly number[]): Promise<Ended | null> {
    const { self, peers, invalidations } = this.#needs;
    if (name === self) return invalidations.ended(teller, numbers);
    return (await peers.call(name, "purge", { teller, numbers }, askMs).catch(() => null)) as Ended | null;
  }
}
