/**
 * Which of a route's origins to ask: the next in turn of those in health. Health is passive: an origin that fails to
 * take connections several times running is left alone for a while, then tried by one request.
 */
export interface HealthRules {
  /** Failures running after which an origin is left alone. */
  readonly failuresMax: number;
  /** For how long. */
  readonly restMs: number;
}

export const healthRules: HealthRules = { failuresMax: 3, restMs: 10_000 };

export interface OriginState {
  readonly origin: string;
  failures: number;
  /** Milliseconds, monotonic; 0 in health. */
  restsUntil: number;
}

/** A route's origins with what is known of their health. */
export class OriginChoice {
  readonly origins: readonly OriginState[];
  readonly #rules: HealthRules;
  #next = 0;

  constructor(origins: readonly string[], rules: HealthRules = healthRules) {
    this.origins = origins.map((origin) => ({ origin, failures: 0, restsUntil: 0 }));
    this.#rules = rules;
  }

  /** The one that stands for all where just a name is needed. */
  get first(): string {
    return this.origins[0]!.origin;
  }

  /**
   * The origin to ask, or null where all of several rest. A single origin is always asked: its own error tells more.
   */
  choose(nowMs: number): OriginState | null {
    if (this.origins.length === 1) return this.origins[0]!;
    for (let i = 0; i < this.origins.length; i++) {
      const state = this.origins[this.#next++ % this.origins.length]!;
      if (state.restsUntil <= nowMs) {
        // One request tries it again: the others wait for what it finds.
        if (state.restsUntil > 0) state.restsUntil = nowMs + this.#rules.restMs;
        return state;
      }
    }
    return null;
  }

  succeeded(state: OriginState): void {
    state.failures = 0;
    state.restsUntil = 0;
  }

  failed(state: OriginState, nowMs: number): void {
    if (++state.failures >= this.#rules.failuresMax) state.restsUntil = nowMs + this.#rules.restMs;
  }
}
