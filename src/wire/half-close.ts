/**
 * A client that has ended its side while it is owed an answer: it may have gone, or only have nothing more to say. Its
 * end alone ends nothing (`nc` and HTTP/1.0 clients half-close and read on), but a fetch must not be kept open for one
 * that has left. So it is asked.
 */

/** The answer that it waits for. */
export interface Probed {
  /** Sends bytes that mean nothing to a client that is there. @returns false where none could be sent. */
  probe(): boolean;
}

/** Between two pairs of probes, and before one that cannot be probed is given up: in first probes' time. */
const probesApart = 15;
const patience = 60;

/** Watches one connection. Times in ms, monotonic. */
export class HalfClose {
  readonly #probeMs: number;
  #at = Infinity;
  #first = true;
  #sentBytes = -1;

  constructor(probeMs: number) {
    this.#probeMs = probeMs;
  }

  /** The client has ended its side. */
  begin(now: number): void {
    if (this.#at === Infinity) this.#at = now + this.#probeMs;
  }

  /** It has got its answer. */
  end(): void {
    this.#at = Infinity;
    this.#first = true;
    this.#sentBytes = -1;
  }

  /** This process stood still for so long: nothing can have moved meanwhile. */
  heldUp(lostMs: number): void {
    this.#at += lostMs;
  }

  /**
   * Asks, where it is time. The first bytes make a client that has gone answer with a reset; it is the second ones that
   * find it there.
   * @param sentBytes all that has been sent on the connection.
   * @returns whether the client is to be taken for gone: it could not be asked, and nothing has moved for long.
   */
  isGone(now: number, answer: Probed, sentBytes: () => number): boolean {
    if (now <= this.#at) return false;
    const before = sentBytes();
    if (answer.probe()) {
      this.#at = this.#first ? now : now + this.#probeMs * probesApart;
      this.#first = !this.#first;
    } else if (this.#sentBytes === before) return true;
    else this.#at = now + this.#probeMs * patience;
    this.#sentBytes = sentBytes();
    return false;
  }
}
