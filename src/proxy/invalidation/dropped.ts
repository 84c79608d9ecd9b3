/**
 * What has been invalidated here lately: URIs, and groups with their origin. What another member shows or hands over
 * may have been fetched before that, and must not come back by this way. Names are remembered by their hash, so that a
 * long one costs no more than a short one: two names of one hash make a response suspect that is not, and cost a fetch.
 * Bounded: what is forgotten for want of room counts as everything.
 */
import { murmur3 } from "../../ring/murmur3.ts";

/** As long as previous owners are asked. */
const rememberSeconds = 600;
const namesMax = 20_000;
/** Members hear of an invalidation one after the other, within about a second. */
const slackSeconds = 2;

/** Remembers what was dropped, and when. Times in seconds since the epoch. */
export class Dropped {
  readonly #at = new Map<number, number>();
  /** Everything fetched before this is suspect. */
  #floor = -Infinity;

  add(name: string, now: number): void {
    const hash = murmur3(name);
    this.#at.delete(hash);
    this.#at.set(hash, now);
    for (const [oldest, at] of this.#at) {
      const forgotten = at + rememberSeconds < now;
      if (!forgotten && this.#at.size <= namesMax) break;
      this.#at.delete(oldest);
      if (!forgotten) this.#floor = Math.max(this.#floor, at);
    }
  }

  /** Nobody knows what may have been missed. */
  addAll(now: number): void {
    this.#floor = now;
  }

  /** Whether any of these has been dropped so lately that what other members still have of it may be old. */
  lately(names: readonly string[], now: number): boolean {
    return this.suspects(names, now - rememberSeconds + slackSeconds);
  }

  /** Whether any of these has been dropped since the origin itself was asked, at that time. */
  since(names: readonly string[], requestSeconds: number): boolean {
    return this.#floor >= requestSeconds || names.some((name) => this.#of(name) >= requestSeconds);
  }

  /** Whether a response with these names, asked of its origin at that time, may be older than their invalidation. */
  suspects(names: readonly string[], requestSeconds: number): boolean {
    if (this.#floor + slackSeconds > requestSeconds) return true;
    return names.some((name) => this.#of(name) + slackSeconds > requestSeconds);
  }

  #of(name: string): number {
    return this.#at.get(murmur3(name)) ?? -Infinity;
  }
}
