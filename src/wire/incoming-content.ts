/**
 * A request's content on its way in: takes it out of what the connection has received, by length or by chunks, within
 * the limit, and gives it to the body as fast as somebody reads that. RFC 9112 §6.
 */
import { ChunkedDecoder } from "./chunked.ts";
import { RequestBody } from "./request-body.ts";
import { chunked, type Refusal } from "./request-head.ts";

/** What became of some bytes: how many were used, or why the request is refused. */
export type Taken = { readonly used: number } | { readonly refused: Refusal };

/** The content of one request while it comes in. */
export class IncomingContent {
  readonly body: RequestBody;
  readonly #decoder: ChunkedDecoder | null;
  readonly #bytesMax: number;
  #left: number;

  /** `contentBytes` as the head declares it; `bytesMax` 0 means no bound; `wanted` is called when somebody reads. */
  constructor(contentBytes: number, bytesMax: number, wanted: () => void) {
    this.#decoder = contentBytes === chunked ? new ChunkedDecoder() : null;
    this.#left = contentBytes;
    this.#bytesMax = bytesMax;
    this.body = new RequestBody(wanted);
  }

  get complete(): boolean {
    return this.body.complete;
  }

  /** Whether the client is being waited for, not the reader. */
  get awaited(): boolean {
    return !this.body.complete && !this.body.waiting;
  }

  /**
   * Uses received bytes; the reader may end the request from within (`going` then tells so, and the rest is not used).
   */
  take(received: Buffer, going: () => boolean): Taken {
    const decoder = this.#decoder;
    if (decoder === null) {
      const content = received.length > this.#left ? received.subarray(0, this.#left) : received;
      this.#left -= content.length;
      const refused = this.#give(content);
      if (refused !== null) return { refused };
      if (this.#left === 0 && going()) this.body.finish([]);
      return { used: content.length };
    }
    let refused: Refusal | null = null;
    const used = decoder.feed(received, 0, (content) => {
      if (refused === null && going()) refused = this.#give(content);
    });
    if (refused !== null) return { refused };
    if (!going()) return { used: received.length };
    if (used === -1) {
      this.body.destroy(new Error(decoder.failure));
      return { refused: { status: 400, reason: decoder.failure } };
    }
    if (decoder.done) this.body.finish(decoder.trailers);
    return { used };
  }

  fail(reason: string): void {
    if (!this.body.complete) this.body.destroy(new Error(reason));
  }

  #give(content: Buffer): Refusal | null {
    this.body.receivedBytes += content.length;
    if (this.#bytesMax > 0 && this.body.receivedBytes > this.#bytesMax) {
      this.body.destroy(new Error("content too large"));
      return { status: 413, reason: `content above ${this.#bytesMax} bytes` };
    }
    this.body.deliver(content);
    return null;
  }
}
