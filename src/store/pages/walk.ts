/** Going through all records, page by page. */
import type { PagePool, QueueName } from "./page-pool.ts";
import { flagLive, kindMask, kindResponse, word, type Records } from "./records.ts";

/** The records of a store. */
export class Walk {
  readonly #records: Records;
  readonly #pool: PagePool;

  constructor(records: Records, pool: PagePool) {
    this.#records = records;
    this.#pool = pool;
  }

  /**
   * Those in pages of some queues, as those are when this is begun; a page that is not in use any more by then is
   * empty.
   */
  *locations(queues: readonly QueueName[]): Generator<number> {
    const { memory } = this.#records;
    for (const page of this.#pages(queues)) {
      const begin = memory.begin(page);
      const end = begin + this.#pool.usedUnits(page);
      for (let at = begin; at < end; at += this.#records.word(at, word.units)) if (this.#isLive(at)) yield at;
    }
  }

  /** Looks at each of them; yields after each page for how many `counts` has said yes so far. */
  *counting(queues: readonly QueueName[], counts: (location: number) => boolean): Generator<number> {
    let count = 0;
    const records = this.#records;
    for (const page of this.#pages(queues)) {
      const begin = records.memory.begin(page);
      const end = begin + this.#pool.usedUnits(page);
      // A million records are a lot: no generator for each.
      for (let at = begin; at < end; at += records.word(at, word.units)) if (this.#isLive(at) && counts(at)) count++;
      yield count;
    }
  }

  #pages(queues: readonly QueueName[]): number[] {
    return queues.flatMap((queue) => this.#pool.pages(queue));
  }

  #isLive(location: number): boolean {
    const flags = this.#records.word(location, word.flags);
    return (flags & kindMask) === kindResponse && (flags & flagLive) !== 0;
  }
}
