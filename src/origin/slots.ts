/**
 * How many requests an origin gets at once: a bound, with a fair queue before it that has a length and a time limit.
 * What stays open for long (event streams, long polls, slow downloads) is counted apart, so that it cannot keep short
 * requests out.
 */
import { lookEvery } from "../base/look-every.ts";
import { PassingSet, type Place } from "../base/passing.ts";

export interface SlotRules {
  /** Requests under way to one origin; those that have been open for long not counted. */
  readonly connectionsMax: number;
  /** Requests that may wait for a slot. */
  readonly queueMax: number;
  /** How long one may. */
  readonly queueMs: number;
}

/** A request open for so long counts as a long one. */
export const longMs = 3000;
/** Long ones may be so many times the bound. */
const longShare = 16;
const lookMs = 250;

/** What becomes of a wish for a slot. Exactly one of them is called, `taken` perhaps at once. */
export interface SlotListener {
  taken(): void;
  /** The queue is full, or it took too long. */
  refused(why: string): void;
}

/** A request's slot, or its place in the queue. */
export interface Slot {
  /** It is a stream: what comes has no foreseeable end. */
  lasts(): void;
  /** Once, however the request ended. */
  release(): void;
}

interface Held {
  readonly sinceMs: number;
  long: boolean;
}

interface Waiting {
  readonly listener: SlotListener;
  untilMs: number;
  readonly enter: () => void;
  readonly leave: () => void;
}

/** The slots of one origin. Times in ms, monotonic. */
export class Slots {
  readonly #rules: SlotRules;
  readonly #now: () => number;
  readonly #held = new Set<Held>();
  readonly #waiting = new PassingSet<Waiting>();
  #short = 0;
  #admitting = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(rules: SlotRules, now: () => number = () => performance.now()) {
    this.#rules = rules;
    this.#now = now;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get idle(): boolean {
    return this.#held.size === 0 && this.#waiting.size === 0;
  }

  take(listener: SlotListener): Slot {
    const { connectionsMax, queueMax, queueMs } = this.#rules;
    let held: Held | null = null;
    let place: Place<Waiting> | null = null;
    let over = false;
    const enter = (): void => {
      held = { sinceMs: this.#now(), long: false };
      this.#held.add(held);
      this.#short++;
      listener.taken();
    };
    if (this.#waiting.size === 0 && this.#short < connectionsMax) enter();
    else if (this.#waiting.size >= queueMax) {
      over = true;
      listener.refused(`${this.#waiting.size} requests wait for it already`);
    } else {
      const mine = this.#waiting.open();
      mine.value = { listener, untilMs: this.#now() + queueMs, enter, leave: () => mine.leave() };
      place = mine;
      this.#look();
    }
    return {
      lasts: () => {
        if (held !== null && !over) this.#lengthen(held);
        this.#admit();
      },
      release: () => {
        if (over) return;
        over = true;
        place?.leave();
        if (held !== null && this.#held.delete(held) && !held.long) this.#short--;
        this.#admit();
      },
    };
  }

  #lengthen(held: Held): void {
    const long = this.#held.size - this.#short;
    if (held.long || long >= this.#rules.connectionsMax * longShare) return;
    held.long = true;
    this.#short--;
  }

  /** One that ends at once lets the next in from within: that is left to the loop, so that no queue is a stack. */
  #admit(): void {
    if (this.#admitting) return;
    this.#admitting = true;
    try {
      for (const waiting of this.#waiting) {
        if (this.#short >= this.#rules.connectionsMax) break;
        waiting.leave();
        waiting.enter();
      }
    } finally {
      this.#admitting = false;
    }
  }

  /** While some wait: who has waited too long is refused, who has been open for long makes room. */
  #look(): void {
    if (this.#timer !== null) return;
    const heldUp = (lostMs: number): void => {
      for (const waiting of this.#waiting) waiting.untilMs += lostMs;
    };
    const look = (): void => {
      const now = this.#now();
      for (const held of this.#held) if (now - held.sinceMs > longMs) this.#lengthen(held);
      this.#admit();
      for (const waiting of this.#waiting) {
        if (waiting.untilMs > now) continue;
        waiting.leave();
        waiting.listener.refused(
          `none of its ${this.#rules.connectionsMax} requests ended in ${this.#rules.queueMs} ms`,
        );
      }
      if (this.#waiting.size > 0) return;
      clearInterval(this.#timer!);
      this.#timer = null;
    };
    this.#timer = lookEvery(lookMs, look, heldUp);
  }
}
