/**
 * What a connection is waited for, and how fast it must move: numbers that the server's sweep compares, no timer a
 * request.
 */
import type { ClientSocket } from "./client-socket.ts";
import type { WireLimits } from "./limits.ts";
import { tooSlow, type Progress } from "./progress.ts";

/** The deadlines of one connection. Milliseconds, monotonic. */
export class Deadlines {
  readonly #limits: WireLimits;
  readonly #sending: Progress = { sinceMs: 0, bytes: 0, mark: 0, queue: 0 };
  readonly #receiving: Progress = { sinceMs: 0, bytes: 0, mark: 0, queue: 0 };
  #at: number;

  constructor(limits: WireLimits, atMs: number) {
    this.#limits = limits;
    this.#at = atMs;
  }

  /** The next thing has to happen by then; Infinity where nothing is waited for. */
  set(atMs: number): void {
    this.#at = atMs;
  }

  /** Not later than it stands already. */
  cap(atMs: number): void {
    this.#at = Math.min(this.#at, atMs);
  }

  /** This process stood still for so long: neither could it hear anybody, nor could anybody hear it. */
  heldUp(lostMs: number): void {
    this.#at += lostMs;
    for (const progress of [this.#sending, this.#receiving]) if (progress.sinceMs > 0) progress.sinceMs += lostMs;
  }

  passed(now: number): boolean {
    return now > this.#at;
  }

  /** Whether the client takes its answer, or sends its content where that is awaited, too slowly. */
  stalled(socket: ClientSocket, awaitsContent: boolean, now: number): boolean {
    const { rateWindowMs, rateBytesMin } = this.#limits;
    const queue = (socket as { _handle?: { writeQueueSize?: number } | null })._handle?.writeQueueSize ?? 0;
    const sent = socket.bytesWritten - socket.writableLength;
    const waits = socket.writableLength > 0;
    const slowReader = tooSlow(this.#sending, waits, sent, queue, now, rateWindowMs, rateBytesMin);
    const slowSender = tooSlow(this.#receiving, awaitsContent, socket.bytesRead, 0, now, rateWindowMs, rateBytesMin);
    return slowReader || slowSender;
  }
}
