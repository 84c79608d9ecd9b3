/**
 * One client's connection at a front thread. Requests that can be answered from the store's memory are answered here;
 * from the first that cannot on, all bytes go home, and home's come back, until home has answered everything: then the
 * next request is this thread's again. Nothing is held back here, not even half a head: what is unusual is home's.
 *
 *   here ──a request that is not for here──▶ passed ──`rest`, and nothing sent since──▶ here
 */
import { countRead } from "../base/read-buffers.ts";
import { Deadlines } from "../wire/deadlines.ts";
import type { Client } from "../wire/exchange.ts";
import type { ClientSocket } from "../wire/client-socket.ts";
import type { WireLimits } from "../wire/limits.ts";
import { isRefusal, requestHead } from "../wire/request-head.ts";
import { leaveNow } from "../wire/together.ts";
import type { FromHome } from "./from-home.ts";
import type { Answerer } from "./front-hits.ts";
import { untakenMax, windowBytes } from "./home-socket.ts";
import { frame, type ThreadLink } from "./thread-link.ts";

/** What a front's connections share. */
export interface FrontHost {
  readonly link: ThreadLink;
  readonly hits: Answerer;
  readonly limits: WireLimits;
  /** Milliseconds, monotonic, as of the last sweep. */
  readonly coarseNow: () => number;
  readonly isDraining: () => boolean;
}

/** See above. */
export class FrontConnection implements FromHome {
  readonly number: number;
  readonly #socket: ClientSocket;
  readonly #client: Client;
  readonly #host: FrontHost;
  readonly #deadlines: Deadlines;
  readonly #over: () => void;
  #isPassed = false;
  #isOpened = false;
  #hasEnded = false;
  /** This side has been ended. */
  #isEnding = false;
  /** Bytes sent home, and those that home has had room for. */
  #sentHome = 0;
  #roomHome = windowBytes;
  /** Bytes that the client has taken, and home has not been told of. */
  #untold = 0;

  /** `over` is called when it is closed. */
  constructor(number: number, socket: ClientSocket, client: Client, host: FrontHost, over: () => void) {
    this.#over = over;
    this.number = number;
    this.#socket = socket;
    this.#client = client;
    this.#host = host;
    this.#deadlines = new Deadlines(host.limits, host.coarseNow() + host.limits.idleMs);
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("end", () => this.#clientEnded());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed());
  }

  /** Ends it now if nothing is under way; home ends what is there. */
  drain(): void {
    if (!this.#isPassed) this.#end();
  }

  /** Compares deadlines; what is passed is home's affair. */
  sweep(now: number): void {
    const socket = this.#socket;
    // Home takes the last of an answer for gone when it is on its way: only here can be seen that nobody takes it.
    if (this.#deadlines.stalled(socket, false, now)) socket.resetAndDestroy();
    else if (this.#isPassed) return;
    else if (this.#deadlines.passed(now) && socket.writableLength === 0) socket.destroy();
  }

  heldUp(lostMs: number): void {
    this.#deadlines.heldUp(lostMs);
  }

  /** Bytes from home for the client; `taken`: they have been. */
  write(bytes: Buffer, taken?: () => void): void {
    this.#socket.write(bytes, () => {
      taken?.();
      this.#took(bytes.length, false);
    });
  }

  /** The same of bytes that are home's again when they have been taken. */
  lend(bytes: Buffer): void {
    this.#socket.write(bytes, () => this.#took(bytes.length, true));
  }

  /** Home has no more to say. */
  ended(): void {
    this.#isEnding = true;
    this.#socket.end(() => this.#host.link.send(frame.flushed, this.number));
  }

  cut(isReset: boolean): void {
    leaveNow(this.#socket);
    if (isReset && !("encrypted" in this.#socket)) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Home has answered what it was sent, in so many bytes. */
  rest(bytes: number): void {
    if (!this.#isPassed || bytes !== this.#sentHome >>> 0 || this.#hasEnded || this.#isEnding) return;
    this.#isPassed = false;
    this.#deadlines.set(this.#host.coarseNow() + this.#host.limits.idleMs);
    if (this.#host.isDraining()) this.#end();
  }

  /** Home has room for so many bytes more. */
  room(bytes: number): void {
    this.#roomHome += bytes;
    if (this.#roomHome > 0 && this.#socket.isPaused()) this.#socket.resume();
  }

  #received(bytes: Buffer): void {
    countRead(bytes.length);
    if (this.#isPassed) return this.#pass(bytes);
    // Nothing can be answered any more, and so nothing may be done.
    if (this.#isEnding) return undefined;
    const { hits } = this.#host;
    let at = 0;
    while (at < bytes.length) {
      const end = this.#answered(bytes, at);
      if (end === -1) break;
      at = end;
    }
    hits.flush(this.#socket);
    if (at < bytes.length) return this.#pass(at === 0 ? bytes : bytes.subarray(at));
    this.#deadlines.set(this.#host.coarseNow() + this.#host.limits.idleMs);
    return undefined;
  }

  /** Answers the request that begins at `at`. @returns where it ends, or -1 where it is not for this thread. */
  #answered(bytes: Buffer, at: number): number {
    const { limits, hits } = this.#host;
    if (this.#host.isDraining() || this.#socket.writableNeedDrain) return -1;
    const end = bytes.indexOf("\r\n\r\n", at);
    if (end === -1 || end - at > limits.headBytesMax) return -1;
    const head = requestHead(bytes.toString("latin1", at, end + 2), limits);
    if (
      isRefusal(head) ||
      !(head.plain || head.conditional) ||
      !head.keepAlive ||
      head.minor === 0 ||
      head.contentBytes !== 0
    )
      return -1;
    return hits.answer(head, this.#client, this.#socket) ? end + 4 : -1;
  }

  #pass(bytes: Buffer): void {
    const { link } = this.#host;
    this.#isPassed = true;
    if (!this.#isOpened && link.isCongested) return this.cut(false);
    if (!this.#isOpened) {
      this.#isOpened = true;
      link.send(frame.opened, this.number, Buffer.from(JSON.stringify(this.#client)));
    }
    this.#sentHome += bytes.length;
    this.#roomHome -= bytes.length;
    link.send(frame.data, this.number, bytes);
    if (this.#roomHome <= 0) this.#socket.pause();
  }

  #took(bytes: number, atOnce: boolean): void {
    this.#untold += bytes;
    if (!atOnce && this.#untold < untakenMax / 4) return;
    this.#host.link.sendNumber(frame.taken, this.number, this.#untold);
    this.#untold = 0;
  }

  #clientEnded(): void {
    this.#hasEnded = true;
    if (this.#isPassed) this.#host.link.send(frame.ended, this.number);
    else this.#end();
  }

  /** Ends this side; a client that does not end its own is not waited for long. RFC 9112 §9.6. */
  #end(): void {
    this.#isEnding = true;
    this.#socket.end();
    this.#deadlines.set(this.#host.coarseNow() + this.#host.limits.lingerSilenceMs);
  }

  #closed(): void {
    if (this.#isOpened) this.#host.link.send(frame.gone, this.number);
    this.#over();
  }
}
