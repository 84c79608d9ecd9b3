/** When something was the matter that explains what would be wrong otherwise. */

/** Times in which something is the matter. A request is touched by it from its sending until `settlingMs` after it. */
export class Troubles {
  #settlingMs;
  #open = 0;
  #from = Infinity;
  #to = 0;

  constructor(settlingMs) {
    this.#settlingMs = settlingMs;
  }

  async during(doing) {
    if (this.#open++ === 0) this.#from = performance.now();
    try {
      return await doing();
    } finally {
      this.#open--;
      this.#to = performance.now();
    }
  }

  /** Whether it touches what was sent then. */
  touch(at) {
    if (this.#open > 0) return true;
    return this.#from < performance.now() && at < this.#to + this.#settlingMs;
  }
}
