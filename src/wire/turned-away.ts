/** Connections that end before a request is read from them: no line of the access log tells of those. */

/** Why, and how that is said of several of them. */
export const turnedAwayFor = {
  "not-allowed": "of clients that `allow` does not name",
  "too-many": "beyond `limits: connections` or `connections-per-client`",
  "no-proxy-header": "without the PROXY header that is expected there",
  "clear-text": "in clear text where TLS is spoken",
  "no-handshake": "with which no TLS could be agreed on",
} as const;

export type TurnedAwayFor = keyof typeof turnedAwayFor;

/** Some that ended for one reason: how many, and the address of the last. */
export interface TurnedAway {
  readonly reason: TurnedAwayFor;
  readonly count: number;
  readonly address: string;
}

/** Adds up what may be told once in a while. */
export class TurnedAwaySum {
  readonly #sums = new Map<TurnedAwayFor, { count: number; address: string }>();

  add({ reason, count, address }: TurnedAway): void {
    const sum = this.#sums.get(reason);
    if (sum === undefined) this.#sums.set(reason, { count, address });
    else [sum.count, sum.address] = [sum.count + count, address];
  }

  /** What has been added for a reason since it was last taken, or null. */
  take(reason: TurnedAwayFor): TurnedAway | null {
    const sum = this.#sums.get(reason);
    this.#sums.delete(reason);
    return sum === undefined ? null : { reason, ...sum };
  }

  /** All of it. */
  takeAll(): readonly TurnedAway[] {
    return [...this.#sums.keys()].flatMap((reason) => this.take(reason) ?? []);
  }
}
