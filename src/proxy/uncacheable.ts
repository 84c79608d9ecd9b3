/**
 * Keys whose last response could not be stored: requests for them do not wait for each other (Varnish calls it hit-for-
 * miss). Bounded and forgetful, since a response may become storable at any time.
 */
import type { NotStorable } from "../http/storable.ts";

const keysMax = 20_000;
const rememberSeconds = 60;

/** The keys remembered. */
export class Uncacheable {
  readonly #remembered = new Map<string, { readonly until: number; readonly reason: NotStorable | null }>();

  has(key: string, now: number): boolean {
    const known = this.#remembered.get(key);
    if (known === undefined) return false;
    if (known.until > now) return true;
    this.#remembered.delete(key);
    return false;
  }

  /** Why the last response was not stored, where that is remembered. */
  reason(key: string): NotStorable | null {
    return this.#remembered.get(key)?.reason ?? null;
  }

  add(key: string, now: number, reason: NotStorable | null): void {
    this.#remembered.delete(key);
    if (this.#remembered.size >= keysMax) this.#remembered.delete(this.#remembered.keys().next().value!);
    this.#remembered.set(key, { until: now + rememberSeconds, reason });
  }

  delete(key: string): void {
    this.#remembered.delete(key);
  }
}
