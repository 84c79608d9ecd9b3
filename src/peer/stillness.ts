/**
 * Whether the other end of a link stands still: it owes an answer, and nothing at all has come for longer than its
 * usual time, not even the answer to a ping. A member that is only slow, or waits for an origin, answers pings. Pure:
 * times come in, in ms, monotonic.
 *
 *   owed → (half the time) ping → (the other half) still → (anything is heard) well
 *
 * Time counts only as far as it is looked at: while this process itself was held up it cannot have heard anything.
 */

/**
 * Nobody is taken to stand still sooner: on a busy machine a member is now and then without a processor for half of it,
 * and whoever is gone round costs the origin a request.
 */
const leastMsDefault = 100;
/** No usual time makes it longer: beyond this the link's own time-out is near. */
const mostMs = 500;
/** So many times the usual round trip. */
const usualTimes = 4;
/** The weight of a new round trip in the usual one, and the longest that is believed: one stall is not usual. */
const newShare = 1 / 8;
const roundTripMsMax = 250;
/** Looks after a ping before its answer is missed. */
const looksMin = 2;

/** One link's other end. */
export class Stillness {
  readonly #lookMs: number;
  #lookedAt = -Infinity;
  /** Of the time that has been looked at, how much was silent. */
  #silentMs = 0;
  #pingedAt: number | null = null;
  /** Nothing has been heard since. */
  #isPingOut = false;
  #pingedMs = 0;
  #looks = 0;
  #usualMs = 0;
  isStill = false;

  readonly #leastMs: number;

  /** `lookMs`: how often it is going to be looked at; `leastMs`: nobody is taken to stand still sooner. */
  constructor(lookMs: number, leastMs: number = leastMsDefault) {
    this.#lookMs = lookMs;
    this.#leastMs = leastMs;
  }

  /** Something has been heard, or something is owed that was not before. */
  begins(): void {
    this.#silentMs = 0;
    this.#isPingOut = false;
  }

  heard(): void {
    this.begins();
    this.isStill = false;
  }

  /** A ping has been answered. */
  pong(now: number): void {
    if (this.#pingedAt === null) return;
    const took = Math.min(roundTripMsMax, now - this.#pingedAt);
    this.#usualMs += (took - this.#usualMs) * newShare;
    this.#pingedAt = null;
  }

  /** What to do now, while something is owed: nothing, ask for a sign of life, or take the other end to stand still. */
  look(now: number): "nothing" | "ping" | "still" {
    const step = Math.min(Math.max(0, now - this.#lookedAt), 2 * this.#lookMs);
    this.#lookedAt = now;
    if (this.isStill) return "nothing";
    const limitMs = this.limitMs;
    if (!this.#isPingOut) {
      this.#silentMs += step;
      if (this.#silentMs < limitMs / 2) return "nothing";
      this.#isPingOut = true;
      this.#pingedAt = now;
      this.#pingedMs = 0;
      this.#looks = 0;
      return "ping";
    }
    this.#pingedMs += step;
    if (++this.#looks < looksMin || this.#pingedMs < limitMs / 2) return "nothing";
    this.isStill = true;
    return "still";
  }

  /** How long it may owe an answer in silence. */
  get limitMs(): number {
    return Math.max(this.#leastMs, Math.min(mostMs, this.#usualMs * usualTimes));
  }
}
