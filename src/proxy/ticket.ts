/** A request that has left the fast way: its exchange, where it goes, how it ended. Ends exactly once, whoever ends it. */
import type { Outcome } from "../http/cache-status.ts";
import { cacheStatus } from "../http/cache-status.ts";
import type { Exchange } from "../wire/exchange.ts";
import type { Plane } from "./plane.ts";
import type { Target } from "./target.ts";

/** One request under way. */
export class Ticket {
  readonly plane: Plane;
  /** Replaced where the answer of a member that died is resumed. */
  exchange: Exchange;
  readonly target: Target;
  /** The request's content where it belongs to the key (QUERY), else null. */
  readonly content: Buffer | null;
  readonly startedMs: number = performance.now();
  outcome: Outcome = { hit: false };
  reason: string | null = null;
  status = 0;
  /** The member that owns the key. */
  owner: string;
  /** Another member has been asked for a copy, or for what it had as the previous owner, in vain: once is enough. */
  peerTried = false;
  #ended = false;
  #switched = false;

  constructor(plane: Plane, exchange: Exchange, target: Target, content: Buffer | null = null) {
    this.plane = plane;
    this.exchange = exchange;
    this.target = target;
    this.content = content;
    this.owner = plane.self;
    plane.recorder.counts.inFlight++;
  }

  /** The lines that this member adds to an answer: Age where it is known, Cache-Status, Via. */
  lines(ageSeconds: number | null): string {
    const age = ageSeconds === null ? "" : `age: ${Math.max(0, Math.floor(ageSeconds))}\r\n`;
    // A key that is just the URI says nothing new.
    const { key, text } = this.target;
    const outcome = key === text ? this.outcome : { ...this.outcome, key: key.replaceAll("\n", " ") };
    return `${age}cache-status: ${cacheStatus(this.plane.self, outcome)}\r\n${this.plane.viaLine}`;
  }

  /** From now on it is a tunnel: it stays in flight, but is no work. */
  switched(): void {
    if (this.#ended || this.#switched) return;
    this.#switched = true;
    this.plane.recorder.counts.tunnelling++;
  }

  end(complete: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.plane.recorder.counts.inFlight--;
    if (this.#switched) this.plane.recorder.counts.tunnelling--;
    const { exchange, target, plane } = this;
    plane.recorder.finished(
      {
        client: exchange.client.address,
        method: exchange.head.method,
        uri: target.text,
        status: this.status,
        reason: this.reason,
        owner: this.owner,
        hop: exchange.hop,
        bytes: exchange.sentBytes,
        durationMs: performance.now() - this.startedMs,
        complete,
      },
      this.outcome,
    );
  }
}
