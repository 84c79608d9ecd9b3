/**
 * The one road of every invalidation, whoever makes it: an unsafe request, an origin's word on a group, an operator, or
 * another member that hands on what was missed.
 *
 *   make    numbered, put into the log, applied here                    (src/invalidation has the log)
 *   apply   the store takes it in: it gets a position there, and nothing that has not heard of it is found as it was
 *   tell    everybody who may count on hearing of it does               (telling.ts)
 *
 * RFC 9111 §4.4, RFC 9875 §3; what is promised to whom is in docs/purge.md.
 */
import { jsonOf } from "../../base/json.ts";
import { Waiters } from "../../base/waiters.ts";
import { httpUri } from "../../http/uri.ts";
import type { Correspondence, News, Reach } from "../../invalidation/correspondence.ts";
import { silencesOf } from "../../invalidation/said.ts";
import {
  aheadOf,
  invalidationsOf,
  vectorOf,
  type Cause,
  type Invalidation,
  type Mode,
  type Vector,
} from "../../invalidation/invalidation.ts";
import type { Selector } from "../../invalidation/selector.ts";
import type { Store } from "../../store/port.ts";
import { routeOf, type Routing } from "../request/routes.ts";
import { keyedUri } from "../request/target.ts";
import type { Sweeping } from "./sweeping.ts";
import type { Telling, Told } from "./telling.ts";

export interface InvalidationNeeds {
  readonly current: { readonly routing: Routing };
  readonly store: Store;
  readonly correspondence: Correspondence;
  readonly telling: Telling;
  readonly sweeping: Sweeping;
  readonly nowSeconds: () => number;
  /** By the wall clock. */
  readonly nowMs: () => number;
}

/** How long an answer waits, in all, for other members to say that they have heard. */
const acknowledgeMs = 1000;
/** Positions of which it is remembered whose they are. */
const placedMax = 4096;

/** Names one in the log, which is bounded in bytes. */
type Name = Pick<Invalidation, "teller" | "number">;

/** What invalidations have ended; null where that is not known any more. */
export interface EndedHere {
  readonly dropped: number | null;
  readonly outdated: number | null;
  readonly swept: boolean;
}

/** One member's part in all invalidations. */
export class Invalidations {
  readonly #needs: InvalidationNeeds;
  /** Who waits for something to be heard. */
  readonly #news = new Waiters();
  /** The same text comes with many requests. */
  #lastText = "";
  #lastReach: Reach | null = null;
  readonly #placed = new Map<number, Name>();
  readonly #positions = new Map<string, number>();

  constructor(needs: InvalidationNeeds) {
    this.#needs = needs;
  }

  /** Whether what is stored here may be answered with, as far as others' invalidations go. */
  isInTouch(now: number): boolean {
    return now <= this.#needs.correspondence.touch.until;
  }

  /** What another member must have heard whose answer is to be kept here, as text. */
  reachText(): string {
    return JSON.stringify(this.#needs.correspondence.reach(this.#needs.nowSeconds()));
  }

  /** What another member must have heard whose answer is to be passed on; empty where nothing has been told lately. */
  recentReachText(): string {
    const reach = this.#needs.correspondence.recentReach(this.#needs.nowSeconds());
    return reach === null ? "" : JSON.stringify(reach);
  }

  /** Whether this member has heard all that such a text says; not where it cannot be read. */
  covers(text: string): boolean {
    if (text !== this.#lastText) {
      const { vector, ahead } = (jsonOf(text) ?? {}) as Record<string, unknown>;
      const read = vectorOf(vector);
      this.#lastText = text;
      this.#lastReach = read === null ? null : { vector: read, ahead: aheadOf(ahead) };
    }
    const reach = this.#lastReach;
    return reach !== null && this.#needs.correspondence.log.covers(reach.vector, reach.ahead);
  }

  /** Resolves when this member has heard all that such a text says, with false where it has not within `limitMs`. */
  async whenCovers(text: string, limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs;
    for (let left = limitMs; left > 0 && !this.covers(text); left = deadline - performance.now())
      await this.#news.wait(left);
    return this.covers(text);
  }

  /** Makes invalidations, and applies them here. */
  make(selectors: readonly Selector[], mode: Mode, cause: Cause): readonly Invalidation[] {
    const { correspondence, nowSeconds, nowMs } = this.#needs;
    return selectors.map((selector) => {
      const made = correspondence.log.make({ selector, mode, cause, atMs: nowMs() }, nowSeconds());
      this.#apply(made);
      return made;
    });
  }

  /**
   * What an unsafe request has changed is dropped, here before this returns. Resolves when everybody who can be reached
   * has said so too, or has had the time for it.
   */
  async everywhere(selectors: readonly Selector[]): Promise<void> {
    await this.tell(this.make(selectors, "drop", "request"), acknowledgeMs);
  }

  /** Tells everybody who is to hear; what has become of each is told as it becomes known. */
  tell(entries: readonly Invalidation[], limitMs: number, told?: (name: string, how: Told) => void): Promise<void> {
    const { telling, correspondence, nowSeconds } = this.#needs;
    return telling.tell(entries, correspondence.touch.told(nowSeconds()), limitMs, told);
  }

  /** Another member tells. Resolves when those of whom it does not know have heard too. */
  async heard(from: string, value: unknown): Promise<void> {
    const { entries, told, limitMs, silences } = (value ?? {}) as Record<string, unknown>;
    const read = this.#heard(entries, silencesOf(silences));
    if (!Array.isArray(told)) return;
    const { correspondence, telling, nowSeconds } = this.#needs;
    const known = new Set<unknown>([from, ...told]);
    const others = correspondence.touch.told(nowSeconds()).filter((name) => !known.has(name));
    if (others.length === 0) return;
    const limit = typeof limitMs === "number" ? Math.min(limitMs, acknowledgeMs) : acknowledgeMs;
    await telling.tell(read, others, limit, undefined, [...told, from] as string[]);
  }

  /** Another member asks to hand on what it cannot tell itself. @returns whether that has been heard. */
  async relay(value: unknown): Promise<boolean> {
    const { entries, to, limitMs } = (value ?? {}) as Record<string, unknown>;
    const read = this.#heard(entries);
    if (typeof to !== "string") throw new Error("whom to tell is missing");
    const limit = typeof limitMs === "number" ? limitMs : acknowledgeMs;
    return this.#needs.telling.directly(read, to, { limitMs: limit, told: null });
  }

  /** Takes in what a comparison has brought. */
  takeIn({ doubt, entries }: News): void {
    const { store } = this.#needs;
    if (doubt) store.doubtAll();
    for (const entry of entries) this.#apply(entry);
    if (doubt || entries.length > 0) this.#news.wake();
  }

  /** The invalidation at a position of this member's store, as far as that is remembered. */
  at(position: number): Invalidation | null {
    const name = this.#placed.get(position);
    return name === undefined ? null : this.#needs.correspondence.log.find(name);
  }

  /** What stands for a selector in this member's store: parts of a query may be no part of keys. */
  formsOf(selector: Selector): readonly Selector[] {
    const keyed = selector.kind === "uri" ? this.#keyed(selector.uri) : null;
    // What was stored under other settings may have all of it.
    return keyed === null ? [selector] : [{ kind: "uri", uri: keyed }, selector];
  }

  /** What some of a teller's invalidations, from one number to another, have ended here; null: not all are heard. */
  ended(teller: string, from: number, to: number): EndedHere | null {
    const { store, correspondence } = this.#needs;
    const sum = { dropped: 0, outdated: 0, swept: true };
    let isKnown = true;
    for (let number = from; number <= to; number++) {
      if (!correspondence.log.has({ teller, number })) return null;
      const ended = store.ended(this.#positions.get(nameOf({ teller, number })) ?? 0);
      // Too long ago, or heard of as one of many that nobody can name any more.
      if (ended === null) isKnown = false;
      else {
        sum.dropped += ended.dropped;
        sum.outdated += ended.outdated;
        sum.swept &&= ended.swept;
      }
    }
    return isKnown ? sum : { dropped: null, outdated: null, swept: true };
  }

  #heard(value: unknown, silences: Vector = {}): readonly Invalidation[] {
    const entries = invalidationsOf(value);
    if (entries === null) throw new Error("not invalidations");
    const { correspondence, nowSeconds } = this.#needs;
    for (const entry of correspondence.heard(entries, nowSeconds(), silences)) this.#apply(entry);
    this.#news.wake();
    return entries;
  }

  /** The one place where an invalidation meets the store. */
  #apply(invalidation: Invalidation): void {
    const { store, sweeping, nowSeconds } = this.#needs;
    const { selector, mode, cause, teller, number } = invalidation;
    const how = { mode, at: nowSeconds() };
    let first: number | null = null;
    for (const form of this.formsOf(selector)) {
      const position = store.invalidate(form, cause === "purge" ? { ...how, countedAs: first ?? "itself" } : how);
      first ??= position;
      this.#placed.set(position, { teller, number });
    }
    this.#positions.set(nameOf({ teller, number }), first!);
    while (this.#placed.size > placedMax) {
      const [oldest, name] = this.#placed.entries().next().value!;
      this.#placed.delete(oldest);
      if (this.#positions.get(nameOf(name)) === oldest) this.#positions.delete(nameOf(name));
    }
    if (selector.kind !== "uri" || cause === "purge") sweeping.soon();
  }

  /** A URI as it stands in keys where that is another text: routes may leave out parts of the query. */
  #keyed(text: string): string | null {
    const uri = httpUri(text);
    const { routing } = this.#needs.current;
    const caching = uri === null ? undefined : (routeOf(routing.routes, uri) ?? routing.forward)?.caching;
    if (uri === null || caching === undefined) return null;
    const keyed = keyedUri(text, uri, caching);
    return keyed === text ? null : keyed;
  }
}

function nameOf({ teller, number }: Name): string {
  return `${teller} ${number}`;
}
