/**
 * Whether the other end of a link stands still: it owes an answer, and nothing at all has come for longer than its
 * usual time, not even the answer to a ping. A member that is only slow, or waits for an origin, answers pings. Pure:
 * times come in, in ms, monotonic.
 *
 *   owed → (half the time) ping → (the other half) still → (anything is heard) well
 */

/** Nobody is taken to stand still sooner. */
const leastMs = 50;
/** Beyond this the link's own time-out is near. */
const mostMs = 500;
/** So many times the usual round trip. */
const usualTimes = 4;
/** The weight of a new round trip in the usual one. */
const newShare = 1 / 8;

/** One link's other end. */
export class Stillness {
  /** Since when something is owed and nothing has been heard; null where nothing is. */
  #since: number | null = null;
  #pingedAt: number | null = null;
  #usualMs = 0;
  isStill = false;

  /** One answer more is owed from now on. `before`: how many were until now. */
  owes(now: number, before: number): void {
    if (before > 0 && this.#since !== null) return;
    this.#since = now;
    this.#pingedAt = null;
  }

  /** Something has been heard. `owing`: more is owed. */
  heard(now: number, owing: boolean): void {
    if (this.#pingedAt !== null) this.#usualMs += (now - this.#pingedAt - this.#usualMs) * newShare;
    this.#pingedAt = null;
    this.#since = owing ? now : null;
    this.isStill = false;
  }

  /** What to do now: nothing, ask for a sign of life, or take the other end to stand still. */
  look(now: number): "nothing" | "ping" | "still" {
    if (this.#since === null || this.isStill) return "nothing";
    const limitMs = this.limitMs;
    if (this.#pingedAt === null) {
      if (now - this.#since < limitMs / 2) return "nothing";
      this.#pingedAt = now;
      return "ping";
    }
    if (now - this.#pingedAt < limitMs / 2) return "nothing";
    this.isStill = true;
    return "still";
  }

  /** How long it may owe an answer in silence. */
  get limitMs(): number {
    return Math.min(mostMs, Math.max(leastMs, this.#usualMs * usualTimes));
  }
}
