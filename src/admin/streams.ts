/**
 * Answers that do not end: lines of JSON, or server-sent events, to somebody who may read slowly or not at all. What he
 * does not take is dropped beyond a bound, and he is told how much it was.
 */
import type { ServerResponse } from "node:http";

/** Bytes that may wait for a reader. */
const waitingMax = 1024 * 1024;
/** Silence is broken so often, so that whoever has gone is noticed. */
const aliveMs = 15_000;

/** A stream of values. */
export class AdminStream {
  readonly #response: ServerResponse;
  readonly #form: "lines" | "events";
  readonly #timer: NodeJS.Timeout;
  #dropped = 0;
  closed = false;
  /** Open now. */
  static count = 0;

  /** Begins the answer; `ended` is called once, when the reader has gone or `end` was called. */
  constructor(response: ServerResponse, form: "lines" | "events", ended: () => void) {
    this.#response = response;
    this.#form = form;
    response.writeHead(200, {
      "content-type": form === "lines" ? "application/x-ndjson; charset=utf-8" : "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    response.flushHeaders();
    AdminStream.count++;
    // Nobody who only listens sends more: the time for requests is not his.
    response.socket?.setTimeout(0);
    this.#timer = setInterval(() => {
      if (response.writableLength < waitingMax) response.write(form === "lines" ? "\n" : ": alive\n\n");
    }, aliveMs).unref();
    response.once("close", () => {
      clearInterval(this.#timer);
      this.closed = true;
      AdminStream.count--;
      ended();
    });
  }

  /** Sends a value, as JSON text or as what JSON is made of. */
  send(value: unknown, kind = "message"): void {
    if (this.#response.writableLength >= waitingMax) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      this.#put(JSON.stringify({ dropped }), "dropped");
    }
    this.#put(typeof value === "string" ? value : JSON.stringify(value), kind);
  }

  end(): void {
    this.#response.end();
  }

  #put(text: string, kind: string): void {
    this.#response.write(this.#form === "lines" ? `${text}\n` : `event: ${kind}\ndata: ${text}\n\n`);
  }
}
