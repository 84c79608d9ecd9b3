/** A bell for one waiting loop: a ring while nobody waits is kept for the next wait. */

/** A bell: rung by events, heard by a loop. */
export class Signal {
  #rung = false;
  #wake: (() => void) | null = null;

  /** @param ended wakes the loop for good. */
  constructor(ended: AbortSignal) {
    ended.addEventListener("abort", () => this.ring(), { once: true });
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves at the next ring, or after `limitMs`. */
  async next(limitMs?: number): Promise<void> {
    if (!this.#rung) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((done) => {
        this.#wake = done;
        if (limitMs !== undefined) timer = setTimeout(done, limitMs);
      });
      clearTimeout(timer);
      this.#wake = null;
    }
    this.#rung = false;
  }
}

/** Resolves after `ms`, or when ended. */
export function pause(ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(over, ms);
    ended.addEventListener("abort", over, { once: true });
    function over(): void {
      clearTimeout(timer);
      ended.removeEventListener("abort", over);
      done();
    }
  });
}
