/** A bound on how often something may be done: so much a second, and so much at once. Pure. */
export class Tokens {
  readonly #perSecond: number;
  readonly #most: number;
  #left: number;
  #atMs = -Infinity;

  constructor(perSecond: number, most: number) {
    this.#perSecond = perSecond;
    this.#most = most;
    this.#left = most;
  }

  /** Takes so many if there are. Times in ms, monotonic. */
  take(count: number, nowMs: number): boolean {
    const gained = Number.isFinite(this.#atMs) ? ((nowMs - this.#atMs) / 1000) * this.#perSecond : 0;
    this.#left = Math.min(this.#most, this.#left + gained);
    this.#atMs = nowMs;
    if (count > this.#left) return false;
    this.#left -= count;
    return true;
  }
}
