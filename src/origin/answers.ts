/** How often and how soon an origin of a route has answered, counted. */

/** Upper bounds of the time until the head of an answer, ms. */
export const headBoundsMs: readonly number[] = [
  1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
];

/** What an origin's requests came to. */
export type OriginResult = "1xx" | "2xx" | "3xx" | "4xx" | "5xx" | "error";

/** See above. */
export class OriginAnswers {
  readonly #results = new Map<OriginResult, number>();
  readonly #buckets = new Array<number>(headBoundsMs.length + 1).fill(0);
  #sumMs = 0;

  answered(status: number, tookMs: number): void {
    this.#count(`${Math.floor(status / 100)}xx` as OriginResult);
    let bucket = 0;
    while (bucket < headBoundsMs.length && tookMs > headBoundsMs[bucket]!) bucket++;
    this.#buckets[bucket]!++;
    this.#sumMs += tookMs;
  }

  failed(): void {
    this.#count("error");
  }

  get results(): ReadonlyMap<OriginResult, number> {
    return this.#results;
  }

  /** By bucket, as `headBoundsMs`. */
  get heads(): { readonly buckets: readonly number[]; readonly sum: number } {
    return { buckets: this.#buckets, sum: this.#sumMs };
  }

  #count(result: OriginResult): void {
    this.#results.set(result, (this.#results.get(result) ?? 0) + 1);
  }
}
