/** Several who wait for the same news, each for as long as it likes. */

/** Who waits for news, and wakes with it. */
export class Waiters {
  readonly #waiting = new Set<() => void>();

  /** Resolves at the next `wake`, or after `limitMs`. */
  wait(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, limitMs);
      this.#waiting.add(done);
    });
  }

  wake(): void {
    const waiting = Array.from(this.#waiting);
    for (const done of waiting) done();
  }
}
