/**
 * Keys whose last response served nobody but its asker, being unfit to be stored or never fresh: requests for them do
 * not wait for each other (Varnish calls it hit-for-miss). Forgetful, since a response may become fit at any time;
 * renewed as long as it does not. Keys are remembered by their hash, so that a long one costs no more than a short one:
 * two keys of one hash may miss a chance to share a fetch.
 */
import type { NotStorable } from "../../http/storable.ts";
import { murmur3 } from "../../ring/murmur3.ts";

const keysMax = 20_000;
const rememberSeconds = 60;

/** Why a response served nobody else; `no-room`: it is larger than what is stored, or there was no room for it. */
export type Unshared = NotStorable | "never-fresh" | "no-room" | null;

/** The keys remembered. */
export class Uncacheable {
  readonly #remembered = new Map<number, { readonly until: number; readonly reason: Unshared }>();

  has(key: string, now: number): boolean {
    if (this.#remembered.size === 0) return false;
    const hash = murmur3(key);
    const known = this.#remembered.get(hash);
    if (known === undefined) return false;
    if (known.until > now) return true;
    this.#remembered.delete(hash);
    return false;
  }

  /** Why the last response was not shared, where that is remembered. */
  reason(key: string): Unshared {
    return this.#remembered.get(murmur3(key))?.reason ?? null;
  }

  add(key: string, now: number, reason: Unshared, seconds: number = rememberSeconds): void {
    const hash = murmur3(key);
    this.#remembered.delete(hash);
    if (this.#remembered.size >= keysMax) this.#remembered.delete(this.#remembered.keys().next().value!);
    this.#remembered.set(hash, { until: now + seconds, reason });
  }

  delete(key: string): void {
    if (this.#remembered.size > 0) this.#remembered.delete(murmur3(key));
  }
}
