/**
 * Wrong secrets, counted by the address that they come from: who guesses from another machine gets no further answer
 * for a while, the right one included. This machine is not counted: whoever is on it could lock its operator out, and
 * secrets are too long to be found so.
 */
import { isLoopbackHost } from "../base/host-port.ts";

const wrongMax = 20;
const windowMs = 60_000;
/** Addresses that are remembered; of more, the oldest is forgotten. */
const addressesMax = 1000;

/** See above. Times are ms of any clock that does not go back. */
export class Guesses {
  readonly #wrong = new Map<string, { count: number; readonly sinceMs: number }>();

  /** Whether an address has to wait. */
  mustWait(address: string, nowMs: number): boolean {
    const known = this.#wrong.get(address);
    if (known === undefined) return false;
    if (nowMs - known.sinceMs < windowMs) return known.count >= wrongMax;
    this.#wrong.delete(address);
    return false;
  }

  /** One more from an address. */
  wrong(address: string, nowMs: number): void {
    if (isLoopbackHost(address)) return;
    const known = this.#wrong.get(address);
    if (known !== undefined && nowMs - known.sinceMs < windowMs) known.count++;
    else {
      this.#wrong.delete(address);
      if (this.#wrong.size >= addressesMax) this.#wrong.delete(this.#wrong.keys().next().value!);
      this.#wrong.set(address, { count: 1, sinceMs: nowMs });
    }
  }
}
