/**
 * Requests that a front could not read, on their way to home, which counts them and writes their lines: a batch at a
 * time, and no more than home has taken lately. Anybody can send such requests, as fast as he likes.
 */
import type { UnreadOf } from "./front-messages.ts";

const batchMax = 100;
const flushMs = 50;
/** Batches that home may owe a word for. */
const untakenMax = 16;

/** See above. */
export class FrontUnread {
  readonly #send: (some: readonly UnreadOf[]) => void;
  readonly #dropped: (lines: number) => void;
  #waiting: UnreadOf[] = [];
  #untaken = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(told: {
    readonly send: (some: readonly UnreadOf[]) => void;
    /** So many will have no line. */
    readonly dropped: (lines: number) => void;
  }) {
    this.#send = told.send;
    this.#dropped = told.dropped;
  }

  add(one: UnreadOf): void {
    if (this.#untaken > untakenMax) return this.#dropped(1);
    this.#waiting.push(one);
    if (this.#waiting.length >= batchMax) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), flushMs).unref();
    return undefined;
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#waiting.length === 0) return;
    this.#untaken++;
    this.#send(this.#waiting);
    this.#waiting = [];
  }

  /** Home has taken a batch. */
  taken(): void {
    this.#untaken--;
  }
}
