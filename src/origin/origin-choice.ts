/**
 * Which of a route's origins to ask. Pure: time and chance come in. An origin that fails several times running rests,
 * longer each time; then one request at a time tries it. Checks of its own (health-checks.ts) take an origin out and
 * bring it back whatever requests find. Whatever their state, as long as nothing better is left one of them is asked:
 * its own failure tells more than a refusal of ours.
 *
 *   up → (failures running) → rests → (one request tries it) → up, or rests for longer
 *   up ↔ down (checks)
 */

import { OriginAnswers } from "./answers.ts";
import { murmur3 } from "../ring/murmur3.ts";

export type Balance = "round-robin" | "least-requests" | "hash" | "first";

/** An origin as configured. */
export interface OriginSpec {
  readonly origin: string;
  /** Its share of the requests beside the others'. */
  readonly weight: number;
  /** Asked only where no other can be. */
  readonly backup: boolean;
}

export interface HealthRules {
  /** Failures running after which an origin rests. */
  readonly failuresMax: number;
  /** For how long, the first time; twice as long each time after that, up to a bound. */
  readonly restMs: number;
  /** How long an origin that has come back takes to get its full share. 0: at once. */
  readonly slowStartMs: number;
}

export const healthRules: HealthRules = { failuresMax: 3, restMs: 10_000, slowStartMs: 0 };
const restMsMax = 300_000;

/** What is known of an origin. Times in ms, monotonic. */
export interface OriginState {
  readonly origin: string;
  /** As of the settings in force. */
  weight: number;
  backup: boolean;
  failures: number;
  /** Rests in a row. */
  rests: number;
  /** 0 where it does not rest. */
  restsUntil: number;
  /** One request is finding out whether it is well again. */
  tried: boolean;
  /** Its checks fail. */
  down: boolean;
  /** Since when it is well again, for the slow start. */
  wellSince: number;
  /** Why it rests or is down. */
  why: string;
  /** Requests under way. */
  active: number;
  /** Of the turns that it has had too few or too many (smooth weighted round robin). */
  credit: number;
  readonly answers: OriginAnswers;
}

/** An origin to ask; `isTrial`: by this request alone it is found out whether it is well again. */
export interface Chosen {
  readonly state: OriginState;
  readonly isTrial: boolean;
}

/** What an operator is told of an origin. */
export type OriginHealth = "up" | "resting" | "down";

export interface ChoiceOptions {
  readonly balance: Balance;
  readonly rules: HealthRules;
  /** An origin has changed its state. */
  readonly changed: (state: OriginState, health: OriginHealth) => void;
  /** The origins of the same route under earlier settings: what is known of them is true of these. */
  readonly before: readonly OriginState[];
  /** Whether somebody looks after their health by itself. */
  readonly isChecked: boolean;
}

/** What is known of an origin already: requests that are under way to it go on counting there. */
function stateOf(spec: OriginSpec, before: readonly OriginState[]): OriginState | null {
  return before.find(({ origin }) => origin === spec.origin) ?? null;
}

/** A route's origins with what is known of their health. */
export class OriginChoice {
  readonly origins: readonly OriginState[];
  readonly balance: Balance;
  readonly #settled: { readonly specs: readonly OriginSpec[]; readonly isChecked: boolean };
  readonly #rules: HealthRules;
  readonly #changed: ChoiceOptions["changed"];
  /** Requests that were sent to a second origin, less a fifth of all that have come since. */
  #owed = 0;

  constructor(origins: readonly OriginSpec[], options: Partial<ChoiceOptions> = {}) {
    const { before = [], isChecked = false } = options;
    this.origins = origins.map(
      (spec) =>
        stateOf(spec, before) ?? {
          ...spec,
          failures: 0,
          rests: 0,
          restsUntil: 0,
          tried: false,
          down: false,
          wellSince: -Infinity,
          why: "",
          active: 0,
          credit: 0,
          answers: new OriginAnswers(),
        },
    );
    this.#settled = { specs: origins, isChecked };
    this.balance = options.balance ?? "round-robin";
    this.#rules = options.rules ?? healthRules;
    this.#changed = options.changed ?? (() => {});
  }

  /** Its settings are in force from now on, for what is known already, too. */
  settle(): void {
    const { specs, isChecked } = this.#settled;
    for (const [index, state] of this.origins.entries()) {
      state.weight = specs[index]!.weight;
      state.backup = specs[index]!.backup;
      // Whom nobody checks any more nobody would bring back.
      if (!isChecked) state.down = false;
    }
  }

  /** The one that stands for all where just a name is needed. */
  get first(): string {
    return this.origins[0]!.origin;
  }

  /** A request has come: what it adds to the budget of retries. */
  count(): void {
    this.#owed = Math.max(0, this.#owed - budgetShare);
  }

  /**
   * Whether a request may be sent once more; it is taken from the budget. That is a fifth of the requests, so that
   * retries never multiply an outage, and at once as many as are under way: one of several that dies takes all of its
   * own with it.
   */
  mayRetry(): boolean {
    const underWay = this.origins.reduce((sum, { active }) => sum + active, 0);
    // Who asks is none of them any more.
    if (this.#owed + 1 > Math.max(budgetLeast, underWay + 1)) return false;
    this.#owed++;
    return true;
  }

  /**
   * The origin to ask, of those not `asked` yet, or null where all have been. `hash` is the key's: with balance `hash`
   * a key stays with its origin as long as that is well.
   */
  choose(nowMs: number, hash: number, asked: readonly OriginState[] = none): Chosen | null {
    if (this.origins.length === 1) return this.#only(this.origins[0]!, nowMs, asked);
    const left = this.origins.filter((state) => !asked.includes(state));
    for (const backup of [false, true]) {
      const some = left.filter((state) => state.backup === backup);
      // Who has rested is tried by one request, before it gets its share again.
      const trial = some.find((state) => isToBeTried(state, nowMs));
      if (trial !== undefined) {
        trial.tried = true;
        return { state: trial, isTrial: true };
      }
      const well = some.filter((state) => this.health(state) === "up");
      if (well.length > 0) return { state: this.#among(well, nowMs, hash), isTrial: false };
    }
    // Nobody is well: who will be soonest is the best guess left.
    const [soonest] = left.toSorted((a, b) => Number(a.down) - Number(b.down) || a.restsUntil - b.restsUntil);
    return soonest === undefined ? null : { state: soonest, isTrial: false };
  }

  #only(state: OriginState, nowMs: number, asked: readonly OriginState[]): Chosen | null {
    if (asked.includes(state)) return null;
    const isTrial = isToBeTried(state, nowMs);
    if (isTrial) state.tried = true;
    return { state, isTrial };
  }

  /** Whether none of them is well, nor to be tried now: who can do without an answer need not wait for one. */
  isOpen(nowMs: number): boolean {
    return this.origins.every(
      (state) => this.health(state) !== "up" && (state.down || state.tried || state.restsUntil > nowMs),
    );
  }

  health({ down, restsUntil }: OriginState): OriginHealth {
    if (down) return "down";
    return restsUntil > 0 ? "resting" : "up";
  }

  succeeded(state: OriginState, nowMs: number): void {
    state.failures = 0;
    state.rests = 0;
    state.tried = false;
    if (state.restsUntil === 0) return;
    state.restsUntil = 0;
    this.#well(state, nowMs);
  }

  /** A request has failed; `isTrial`: the one that was to find out whether it is well again. */
  failed(state: OriginState, nowMs: number, why: string, isTrial = false): void {
    state.failures++;
    const { failuresMax, restMs } = this.#rules;
    // Others than the trial fail while it rests only where nobody else was left: they tell nothing new.
    if (state.restsUntil > 0 ? !isTrial : state.failures < failuresMax) return;
    if (isTrial) state.tried = false;
    state.why = why;
    const before = this.health(state);
    state.restsUntil = nowMs + Math.min(restMsMax, restMs * 2 ** Math.min(state.rests++, 16));
    if (before === "up") this.#changed(state, "resting");
  }

  /** The request that tried an origin has ended without telling anything of it. */
  undecided(state: OriginState): void {
    state.tried = false;
  }

  /** What its checks say. */
  checked(state: OriginState, isDown: boolean, nowMs: number, why: string): void {
    if (state.down === isDown) return;
    state.down = isDown;
    state.why = why;
    if (isDown) return this.#changed(state, "down");
    state.restsUntil = 0;
    state.failures = 0;
    state.tried = false;
    return this.#well(state, nowMs);
  }

  #well(state: OriginState, nowMs: number): void {
    state.wellSince = nowMs;
    state.why = "";
    this.#changed(state, "up");
  }

  #among(well: readonly OriginState[], nowMs: number, hash: number): OriginState {
    switch (this.balance) {
      case "first":
        return well[0]!;
      case "least-requests": {
        // Where nobody is busy, and among those who are as busy, in turn: the first would get all there is.
        if (well.every(({ active }) => active === 0)) return this.#inTurn(well, nowMs);
        const loads = well.map((state) => (state.active + 1) / this.#weight(state, nowMs));
        const least = Math.min(...loads);
        return this.#inTurn(
          well.filter((_, index) => loads[index] === least),
          nowMs,
        );
      }
      case "hash":
        return well.reduce((best, state) =>
          score(state.origin, this.#weight(state, nowMs), hash) > score(best.origin, this.#weight(best, nowMs), hash)
            ? state
            : best,
        );
      case "round-robin":
        return this.#inTurn(well, nowMs);
    }
  }

  /** Smooth weighted round robin, as nginx does it: each turn everyone earns its weight, who has most pays for all. */
  #inTurn(well: readonly OriginState[], nowMs: number): OriginState {
    let total = 0;
    let best = well[0]!;
    for (const state of well) {
      const weight = this.#weight(state, nowMs);
      total += weight;
      state.credit += weight;
      if (state.credit > best.credit) best = state;
    }
    best.credit -= total;
    return best;
  }

  /** Its weight now: of one that has just come back, a part of it. */
  #weight({ weight, wellSince }: OriginState, nowMs: number): number {
    const { slowStartMs } = this.#rules;
    if (slowStartMs === 0) return weight;
    return weight * Math.max(slowStartLeast, Math.min(1, (nowMs - wellSince) / slowStartMs));
  }
}

const none: readonly OriginState[] = [];

function isToBeTried({ restsUntil, tried, down }: OriginState, nowMs: number): boolean {
  return restsUntil > 0 && restsUntil <= nowMs && !tried && !down;
}

const budgetLeast = 20;
const budgetShare = 0.2;
const slowStartLeast = 0.1;

/** Rendezvous hashing (Thaler & Ravishankar 1996), weighted: where an origin goes, only its own keys move. */
function score(origin: string, weight: number, hash: number): number {
  const mixed = murmur3(origin, hash) / 2 ** 32;
  return -weight / Math.log(Math.max(mixed, Number.MIN_VALUE));
}
