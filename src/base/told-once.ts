/** What is told, or asked, once: forever, or for a while, and not without bound however much there is to tell. */

/** See above; `againMs`: after so long it may be told again. */
export class ToldOnce {
  readonly #max: number;
  readonly #againMs: number;
  /** When, in ms, monotonic; the earliest first. */
  readonly #toldMs = new Map<string, number>();

  constructor({ max, againMs = Infinity }: { readonly max: number; readonly againMs?: number }) {
    this.#max = max;
    this.#againMs = againMs;
  }

  /** Whether it is to be told now; then it has been. Where all of `max` have been told of late, nothing further is. */
  tell(what: string): boolean {
    const now = performance.now();
    for (const [told, ms] of this.#toldMs) {
      if (now - ms < this.#againMs) break;
      this.#toldMs.delete(told);
    }
    if (this.#toldMs.has(what) || this.#toldMs.size >= this.#max) return false;
    this.#toldMs.set(what, now);
    return true;
  }

  /** All of it is news again. */
  forget(): void {
    this.#toldMs.clear();
  }
}
