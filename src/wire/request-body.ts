/**
 * A request's content as a stream. It asks its connection for bytes only when somebody reads: an unread body costs the
 * client's buffer, not ours.
 */
import { Readable } from "node:stream";
import type { FieldList } from "../http/fields.ts";

/** The content of one request. */
export class RequestBody extends Readable {
  /** Every byte of it has been received. */
  complete = false;
  /** Somebody has begun to read. */
  started = false;
  /** The reader is behind: no more is to be pushed. */
  waiting = true;
  receivedBytes = 0;
  trailers: FieldList = [];
  readonly #wanted: () => void;
  #discarded: (() => void) | null = null;

  constructor(wanted: () => void) {
    super({ highWaterMark: 64 * 1024 });
    this.#wanted = wanted;
    // A body may fail before anybody reads it; whoever does read it later sees the error then.
    this.on("error", () => {});
  }

  override _read(): void {
    this.waiting = false;
    this.#wanted();
  }

  deliver(content: Buffer): void {
    if (this.#discarded !== null || this.destroyed) return;
    if (!this.push(content)) this.waiting = true;
  }

  finish(trailers: FieldList): void {
    this.complete = true;
    this.trailers = trailers;
    if (this.#discarded === null) {
      if (!this.destroyed) this.push(null);
      return;
    }
    // Bytes were dropped: whoever still reads must not take the rest for the whole.
    this.destroy(new Error("the answer came before all of the content was read"));
    this.#discarded();
  }

  /** What still comes is dropped; `done` is called at its end. */
  discard(done: () => void): void {
    this.#discarded = done;
    this.waiting = false;
  }
}
