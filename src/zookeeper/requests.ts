/**
 * The requests of a session: those that wait for a connection, and those sent whose answers are due, in order. Each is
 * settled once, by its answer, its deadline, its caller's signal, or the end of the connection or the session.
 */
import { codeName, ZooKeeperError } from "./error.ts";
import type { JuteReader } from "./jute.ts";

export interface RequestOptions {
  /** Ends the wait; where the request had been sent, it may still be carried out. */
  readonly signal?: AbortSignal | undefined;
  readonly limitMs?: number | undefined;
}

/** One request and whoever waits for its answer. */
export interface Request {
  readonly type: number;
  readonly body: Buffer;
  readonly path: string | null;
  readonly deadlineMs: number;
  /** Turns an answer into the value. @throws ZooKeeperError or JuteError */
  readonly read: (body: JuteReader, error: number) => unknown;
  readonly settle: { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };
  done: boolean;
  /** 0 until it has been sent. */
  xid: number;
  sentMs: number;
}

/** What is asked, before anybody waits for it. */
export interface Question<T> {
  readonly type: number;
  readonly body: Buffer;
  readonly path: string | null;
  readonly read: (body: JuteReader) => T;
  /** Answers for certain errors, instead of failing. */
  readonly otherwise?: ((error: number) => T | undefined) | undefined;
}

/** Both lists, and what is common to all requests. */
export class Requests {
  waiting: Request[] = [];
  sent: Request[] = [];
  readonly #max: number;

  /** @param max requests that may wait or be unanswered at once. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Takes a question in; `begin` sends or keeps it. */
  ask<T>(
    { type, body, path, read, otherwise }: Question<T>,
    { signal, limitMs }: RequestOptions & { readonly limitMs: number },
    begin: (request: Request) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted === true) return reject(new ZooKeeperError("ABORTED", "not sent", { path }));
      if (this.waiting.length + this.sent.length >= this.#max)
        return reject(new ZooKeeperError("QUEUE_FULL", "too many requests wait for ZooKeeper", { path }));
      const onAbort = (): void => this.fail(request, "ABORTED", "its caller gave up");
      const settled = (): void => signal?.removeEventListener("abort", onAbort);
      const request: Request = {
        type,
        body,
        path,
        deadlineMs: performance.now() + limitMs,
        read: (answer, error) => {
          if (error === 0) return read(answer);
          const other = otherwise?.(error);
          if (other !== undefined) return other;
          throw new ZooKeeperError(codeName(error), path ?? "", { path });
        },
        settle: {
          resolve: (value) => {
            settled();
            resolve(value as T);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        },
        done: false,
        xid: 0,
        sentMs: 0,
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      begin(request);
      return undefined;
    });
  }

  /** Fails a request that has not been settled; one that had been sent may have been carried out. */
  fail(request: Request, code: string, why: string): void {
    if (request.done) return;
    request.done = true;
    const { path } = request;
    request.settle.reject(new ZooKeeperError(code, why, { path, maybeApplied: request.xid !== 0 }));
  }

  failAll(list: readonly Request[], code: string, why: string): void {
    for (const request of list) this.fail(request, code, why);
  }

  /** The earliest deadline of those not settled; Infinity where there is none. */
  get dueMs(): number {
    let due = Infinity;
    for (const list of [this.sent, this.waiting])
      for (const { done, deadlineMs } of list) if (!done && deadlineMs < due) due = deadlineMs;
    return due;
  }

  /** Fails those whose time is up. A sent one keeps its place in line, for its answer may still come. */
  expire(nowMs: number, why: string): void {
    for (const list of [this.sent, this.waiting])
      for (const request of list) if (nowMs >= request.deadlineMs) this.fail(request, "OPERATION_TIMEOUT", why);
    this.waiting = this.waiting.filter(({ done }) => !done);
  }
}
