/**
 * Keys whose last response could not be stored: requests for them do not wait for each other (Varnish calls it hit-for-
 * miss). Bounded and forgetful, since a response may become storable at any time.
 */
const keysMax = 20_000;
const rememberSeconds = 60;

/** The keys remembered. */
export class Uncacheable {
  readonly #until = new Map<string, number>();

  has(key: string, now: number): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#until.delete(key);
    return false;
  }

  add(key: string, now: number): void {
    this.#until.delete(key);
    if (this.#until.size >= keysMax) this.#until.delete(this.#until.keys().next().value!);
    this.#until.set(key, now + rememberSeconds);
  }

  delete(key: string): void {
    this.#until.delete(key);
  }
}
