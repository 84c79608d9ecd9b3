/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2018): a key goes to its owner, unless that
 * has more than (1 + ε) times the mean of requests in flight; then to the first of its successors that has not.
 */

export interface LoadBound {
  /** ε: how far above the mean a member may be. */
  readonly epsilon: number;
  /** Requests in flight that are never too many: below it no member is busy, whatever the mean. */
  readonly floor: number;
}

export const loadBound: LoadBound = { epsilon: 0.25, floor: 16 };

/** The most requests that a member may have in flight, the next one included. `total` is that of all `members`. */
export function loadLimit(total: number, members: number, { epsilon, floor }: LoadBound): number {
  return Math.max(floor, Math.ceil(((1 + epsilon) * (total + 1)) / members));
}

/**
 * Who takes the next request, as an index into `order`: 0, the owner, unless it is above the limit and one of the
 * others is not. Where all are, the owner: keys must not wander when everybody is busy.
 * @param loads requests in flight at each of `order`.
 */
export function bearer(loads: readonly number[], limit: number): number {
  const able = loads.findIndex((load) => load + 1 <= limit);
  return Math.max(0, able);
}
