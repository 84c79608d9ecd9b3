/**
 * Checks of a route's origins at intervals: so many failures running take one out, so many successes bring it back.
 * Every member checks for itself, since what one can reach another may not.
 */
import { lookEvery } from "../base/look-every.ts";
import type { OriginChoice, OriginState } from "./origin-choice.ts";
import type { OriginClient } from "./origin-client.ts";
import type { Fetch } from "./fetch.ts";

export interface HealthCheckRules {
  readonly path: string;
  /** The Host field, or null for the origin's own. */
  readonly host: string | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Statuses of a healthy origin; null for any from 200 to 399. */
  readonly statuses: ReadonlySet<number> | null;
  readonly rise: number;
  readonly fall: number;
}

/** So often it is looked whether a check takes too long: while this process stood still, no origin was late. */
const looksMax = 4;

/** The checks of one route; they go on until stopped. */
export class HealthChecks {
  readonly #choice: Pick<OriginChoice, "origins" | "checked">;
  readonly #client: OriginClient;
  readonly #rules: HealthCheckRules;
  readonly #hostOf: (origin: string) => string;
  /** Checks that have not ended, with what ends them. */
  readonly #running = new Map<Fetch, () => void>();
  /** Origins whose last check has not ended. */
  readonly #waiting = new Set<OriginState>();
  /** Results of one kind in a row: positive for good ones. */
  readonly #inRow = new Map<OriginState, number>();
  #timer: NodeJS.Timeout | null = null;

  /** `hostOf` gives the Host field that an origin has by itself. */
  constructor(
    choice: Pick<OriginChoice, "origins" | "checked">,
    client: OriginClient,
    rules: HealthCheckRules,
    hostOf: (origin: string) => string,
  ) {
    this.#choice = choice;
    this.#client = client;
    this.#rules = rules;
    this.#hostOf = hostOf;
  }

  begin(): void {
    if (this.#timer !== null) return;
    const all = (): void => {
      for (const state of this.#choice.origins) this.#check(state);
    };
    this.#timer = setInterval(all, this.#rules.intervalMs);
    this.#timer.unref();
    all();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const [fetch, end] of this.#running) {
      end();
      fetch.cancel();
    }
    this.#waiting.clear();
  }

  #check(state: OriginState): void {
    const { path, host, timeoutMs, statuses } = this.#rules;
    if (this.#waiting.has(state)) return;
    let isTold = false;
    let fetch: Fetch | null = null;
    let isOver = false;
    const tell = (isGood: boolean, why: string): void => {
      if (!isTold && this.#timer !== null) this.#result(state, isGood, why);
      isTold = true;
    };
    const end = (): void => {
      isOver = true;
      clearInterval(timer);
      this.#waiting.delete(state);
      if (fetch !== null) this.#running.delete(fetch);
    };
    this.#waiting.add(state);
    // Of the whole of it: a content that does not end would keep a connection for ever.
    let looks = 0;
    const timer = lookEvery(timeoutMs / looksMax, () => {
      if (isOver || ++looks < looksMax) return;
      tell(false, `its check took longer than ${timeoutMs} ms`);
      end();
      fetch?.cancel();
    });
    fetch = this.#client.fetch(
      {
        origin: state.origin,
        method: "GET",
        path,
        fields: ["host", host ?? this.#hostOf(state.origin), "user-agent", "gyre (health check)"],
        body: null,
        retries: 0,
      },
      {
        interim: () => {},
        head: (status) => {
          const isGood = statuses === null ? status >= 200 && status < 400 : statuses.has(status);
          tell(isGood, isGood ? "" : `its check was answered with ${status}`);
        },
        data: () => {},
        end,
        failed: (error) => {
          // An origin that has all the requests that it may have is busy, not ill.
          if (error.phase !== "busy") tell(false, error.message);
          end();
        },
      },
    );
    if (!isOver) this.#running.set(fetch, end);
  }

  #result(state: OriginState, isGood: boolean, why: string): void {
    const before = this.#inRow.get(state) ?? 0;
    const inRow = isGood ? Math.max(0, before) + 1 : Math.min(0, before) - 1;
    this.#inRow.set(state, inRow);
    const { rise, fall } = this.#rules;
    if (inRow >= rise) this.#choice.checked(state, false, performance.now(), "");
    else if (-inRow >= fall) this.#choice.checked(state, true, performance.now(), why);
  }
}
