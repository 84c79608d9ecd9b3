/** Buckets that durations of requests are counted in: upper bounds, ms. */
export const durationBoundsMs: readonly number[] = [
  0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000,
];

/** The bucket of a duration: the first that it does not go beyond, or one more. */
export function bucketOf(durationMs: number): number {
  let bucket = 0;
  while (bucket < durationBoundsMs.length && durationMs > durationBoundsMs[bucket]!) bucket++;
  return bucket;
}
