/**
 * One client connection: reads requests one after the other, gives each to the handler, and answers in order. A next
 * pipelined request is read only when the one before has been answered; its bytes wait, bounded.
 *
 * States: idle → head → answering (its content, if any, being read meanwhile) → idle …, or `over` when the socket was
 * given to a tunnel or closed. A request's content is incoming-content.ts's affair, deadlines are deadlines.ts's.
 */
import { countRead } from "../base/read-buffers.ts";
import type { ClientSocket } from "./client-socket.ts";
import { Deadlines } from "./deadlines.ts";
import type { Client, Exchange } from "./exchange.ts";
import type { WireLimits } from "./limits.ts";
import { HalfClose } from "./half-close.ts";
import { HeadSearch } from "./head-search.ts";
import { IncomingContent } from "./incoming-content.ts";
import { isRefusal, requestHead, type ParsedHead, type Refusal } from "./request-head.ts";
import { leaveNow } from "./together.ts";
import { lineOf, refusalText, type Unread } from "./unread.ts";
import { WireExchange } from "./wire-exchange.ts";

/** What a connection needs from its server. */
export interface ConnectionHost {
  readonly limits: WireLimits;
  readonly handle: (exchange: Exchange) => void;
  readonly refused: (unread: Unread, client: Client) => void;
  readonly bug: (error: Error) => void;
  /** Milliseconds, monotonic, as of the last sweep: precise enough for deadlines of seconds. */
  coarseNow: number;
  draining: boolean;
}

const empty: Buffer = Buffer.alloc(0);
/** Empty lines tolerated before a request line. RFC 9112 §2.2. */
const emptyLinesMax = 4;
/** Content nobody wants is read and dropped up to here to keep the connection; beyond it, closing is cheaper. */
const discardBytesMax = 256 * 1024;
/** One client connection. */
export class Connection {
  readonly client: Client;
  readonly socket: ClientSocket;
  readonly #host: ConnectionHost;
  readonly #left: () => void;
  #state: "idle" | "head" | "answering" | "closing" | "over" = "idle";
  #rest: Buffer = empty;
  #running = false;
  #ended = false;
  #requests = 0;
  #exchange: WireExchange | null = null;
  #content: IncomingContent | null = null;
  readonly #deadlines: Deadlines;
  #emptyLines = 0;
  readonly #search = new HeadSearch();
  readonly #halfClose: HalfClose;
  /** When a connection that we have closed is given up, whatever still comes. */
  #lingerEnd = Infinity;

  /** `closed` is called when it is over. */
  constructor(socket: ClientSocket, client: Client, host: ConnectionHost, closed: () => void) {
    this.socket = socket;
    this.client = client;
    this.#host = host;
    this.#left = closed;
    this.#deadlines = new Deadlines(host.limits, host.coarseNow + host.limits.idleMs);
    this.#halfClose = new HalfClose(host.limits.probeMs);
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("drain", () => this.#drained());
    socket.on("end", () => this.#clientEnded());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed());
  }

  /** No further request is waited for. */
  get isDraining(): boolean {
    return this.#host.draining;
  }

  /**
   * Ends it now if it waits for a request, else after the answer in progress. Whoever waits for requests elsewhere may
   * have sent one, and ends it himself.
   */
  drain(): void {
    if (this.#state === "idle" && this.#rest.length === 0 && this.socket.rest === undefined) this.#close();
  }

  /** Compares deadlines and rates; called by the server's sweep. */
  sweep(now: number): void {
    if (this.#state === "over") return;
    const { socket } = this;
    const awaited = this.#state === "answering" && this.#content?.awaited === true;
    if (this.#deadlines.stalled(socket, awaited, now)) return this.#reset();
    const exchange = this.#exchange;
    if (exchange !== null && this.#halfClose.isGone(now, exchange, () => socket.bytesWritten)) return this.#reset();
    if (!this.#deadlines.passed(now)) return;
    if (this.#state === "closing") {
      if (socket.writableLength === 0) socket.destroy();
    } else if (this.#state === "idle") {
      // An answer still on its way out keeps the connection from being idle.
      if (socket.writableLength === 0) this.#close();
    } else if (this.#state === "head") this.#refuse({ status: 408, reason: "the request head took too long" });
    else if (awaited) {
      this.#content!.fail("the client stopped sending content");
      this.#refuse({ status: 408, reason: "the request content took too long" });
    }
  }

  heldUp(lostMs: number): void {
    this.#deadlines.heldUp(lostMs);
    this.#halfClose.heldUp(lostMs);
    this.#lingerEnd += lostMs;
  }

  #drained(): void {
    this.#exchange?.drained();
    if (this.#state === "idle" && this.#rest.length > 0) {
      this.socket.resume();
      this.#run();
    }
  }

  #received(bytes: Buffer): void {
    countRead(bytes.length);
    if (this.#state === "over") return;
    if (this.#state === "closing") {
      // It is still sending, and will read our answer when it has done so. RFC 9112 §9.6.
      if (this.#lingerEnd !== Infinity) this.#lingerOn();
      return;
    }
    if (this.#rest.length === 0) this.#rest = bytes;
    else this.#rest = Buffer.concat([this.#rest, bytes]);
    this.#run();
    if (this.#state === "answering" && this.#rest.length > this.#host.limits.pipelinedBytesMax) this.socket.pause();
  }

  /** Uses up what has been received, as far as it can be used now. Re-entered calls return: the outer one goes on. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#rest.length > 0 && this.#state !== "over" && this.#state !== "closing") {
        if (this.#content !== null && !this.#content.complete) {
          if (!this.#readContent()) break;
        } else if (this.#state === "answering") break;
        else if (this.socket.writableNeedDrain) {
          // A client that asks on and on without reading its answers gets no further ones.
          this.socket.pause();
          break;
        } else if (!this.#readHead()) break;
      }
    } finally {
      this.#running = false;
    }
    this.#afterEnd();
  }

  /** The client has ended its side, and everything it sent has been used: what is left to do? */
  #afterEnd(): void {
    if (!this.#ended) return;
    const whole = this.#content === null || this.#content.complete;
    if (this.#state === "answering" && whole) this.#halfClose.begin(this.#host.coarseNow);
    if (this.#rest.length > 0) return;
    if (this.#state === "idle" || this.#state === "head") this.#close();
    else if (this.#state === "answering" && this.#content !== null && !this.#content.complete) {
      this.#content.fail("the client ended before its content did");
      this.#reset();
    }
  }

  /** @returns false where more bytes are needed, or none may be read. */
  #readHead(): boolean {
    const rest = this.#rest;
    let start = 0;
    while (rest[start] === 0x0d && rest[start + 1] === 0x0a && this.#emptyLines < emptyLinesMax) {
      start += 2;
      this.#emptyLines++;
    }
    if (start > 0) {
      this.#search.restart();
      this.#rest = rest.subarray(start);
      if (this.#rest.length === 0) {
        this.#state = "idle";
        this.#waitForNext();
      }
      return this.#rest.length > 0;
    }
    const { limits } = this.#host;
    const end = this.#search.look(rest, limits);
    if (end === "more") return this.#waitForHead();
    if (typeof end !== "number") return this.#refuse(end);
    const head = requestHead(rest.toString("latin1", 0, end + 2), limits);
    if (isRefusal(head)) return this.#refuse(head);
    this.#search.restart();
    this.#rest = end + 4 === rest.length ? empty : rest.subarray(end + 4);
    this.#begin(head);
    return true;
  }

  #waitForHead(): false {
    if (this.#state === "idle") {
      this.#state = "head";
      this.#deadlines.set(this.#host.coarseNow + this.#host.limits.headMs);
    }
    return false;
  }

  #begin(head: ParsedHead): void {
    this.#state = "answering";
    this.#emptyLines = 0;
    this.#requests++;
    const { limits } = this.#host;
    this.#content =
      head.contentBytes === 0
        ? null
        : new IncomingContent(head.contentBytes, limits.bodyBytesMax, () => this.#wantsContent(head));
    this.#deadlines.set(this.#content === null ? Infinity : this.#host.coarseNow + limits.bodyMs);
    const keepAlive =
      head.keepAlive &&
      // What comes behind a tunnel that is refused was meant for it, and is nobody's request. RFC 9931.
      head.form !== "authority" &&
      !(this.#ended && this.#rest.length === 0) &&
      this.#requests < limits.requestsPerConnectionMax;
    const more = this.#rest.length > 0;
    if (more) this.socket.cork(); // answers to pipelined requests leave together
    const exchange = new WireExchange(head, this.client, this.socket, this.#content?.body ?? null, keepAlive, this);
    this.#exchange = exchange;
    try {
      this.#host.handle(exchange);
    } catch (error) {
      this.#host.bug(error as Error);
      exchange.abort();
    }
    if (more) process.nextTick(() => this.socket.uncork());
  }

  /**
   * Called by the body when somebody reads it: only then is the client told to send what it held back. RFC 9110
   * §10.1.1.
   */
  #wantsContent(head: ParsedHead): void {
    const { body } = this.#content!;
    if (head.expectsContinue && !this.#exchange!.answered && this.socket.bytesRead > 0 && !body.started) {
      this.socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
    }
    body.started = true;
    this.#deadlines.set(this.#host.coarseNow + this.#host.limits.bodyMs);
    this.socket.resume();
    if (this.#rest.length > 0) process.nextTick(() => this.#run());
  }

  /** @returns whether there may be more to use at once. */
  #readContent(): boolean {
    const content = this.#content!;
    if (content.body.waiting) {
      // The reader is slower than the client: leave the bytes, and the client, waiting.
      if (this.#rest.length > this.#host.limits.pipelinedBytesMax) this.socket.pause();
      return false;
    }
    this.#deadlines.set(this.#host.coarseNow + this.#host.limits.bodyMs);
    const taken = content.take(this.#rest, () => this.#state === "answering");
    if ("refused" in taken) return this.#refuse(taken.refused);
    if (this.#state !== "answering" && this.#state !== "idle") return false;
    this.#rest = taken.used === this.#rest.length ? empty : this.#rest.subarray(taken.used);
    // Nobody reads what comes after the answer: past a bound, closing is cheaper than dropping it.
    if (!content.complete && this.#exchange?.finished === true && content.body.receivedBytes > discardBytesMax) {
      this.#close();
      return false;
    }
    return true;
  }

  /** The exchange has sent its whole answer. */
  answerDone(keepAlive: boolean): void {
    if (this.#state !== "answering") return;
    const body = this.#content?.body;
    if (body !== undefined && !body.complete) {
      if (!keepAlive || !body.started || body.receivedBytes > discardBytesMax) {
        // Content that was never asked for may never come: the connection cannot be used again.
        this.#close();
        return;
      }
      body.discard(() => this.answerDone(keepAlive));
      this.socket.resume();
      if (this.#rest.length > 0) process.nextTick(() => this.#run());
      return;
    }
    this.#exchange = null;
    this.#content = null;
    this.#halfClose.end();
    if (!keepAlive || this.#host.draining) {
      this.#close();
      return;
    }
    this.#state = "idle";
    this.#waitForNext();
    if (this.socket.isPaused()) this.socket.resume();
    if (this.#rest.length > 0 && !this.#running) process.nextTick(() => this.#run());
    else if (!this.#running) this.#afterEnd();
  }

  /** Sets how long the next request is waited for, unless somebody else waits for it. */
  #waitForNext(): void {
    const isLent = this.#rest.length === 0 && !this.#ended && this.socket.rest?.() === true;
    this.#deadlines.set(isLent ? Infinity : this.#host.coarseNow + this.#host.limits.idleMs);
  }

  /**
   * The answer cannot be completed: the client must see that. Content that only the connection's end delimits needs a
   * reset, since an orderly end would make it look complete (RFC 9112 §8); a missing rest of a length or of chunks
   * shows by itself, and earlier answers still on their way out are not lost with it.
   */
  answerCut(delimitedByEnd: boolean): void {
    if (this.#state === "over" || this.#state === "closing") return;
    if (delimitedByEnd) this.#reset();
    else this.#close();
  }

  #reset(): void {
    // Answers before it are whole, and their client may have them.
    leaveNow(this.socket);
    const lost = this.socket.writableLength > 0 || this.#state === "answering";
    this.#state = "over";
    if (lost && !("encrypted" in this.socket)) this.socket.resetAndDestroy();
    else this.socket.destroy();
    // Before anybody takes the end of its content for a fault of somebody else's.
    this.#exchange?.askerLeft();
  }

  /** Stops reading and writing here: the socket belongs to a tunnel now. */
  release(): Buffer {
    this.#state = "over";
    const early = this.#rest;
    this.#rest = empty;
    this.#exchange = null;
    for (const event of ["data", "drain", "end", "error"]) this.socket.removeAllListeners(event);
    return early;
  }

  #refuse(refusal: Refusal): false {
    if (this.#state === "closing" || this.#state === "over") return false;
    const exchange = this.#exchange;
    const { head, content } = refusalText(refusal);
    const told = { ...refusal, bytes: content.length };
    this.#host.refused({ ...told, line: exchange === null ? lineOf(this.#rest) : null }, this.client);
    if (exchange !== null && exchange.answered) {
      // Its answer may have been sent, whole, while its content was still coming in.
      if (exchange.finished) this.#close();
      else exchange.abort();
      return false;
    }
    this.socket.write(head + content, "latin1");
    this.#close();
    exchange?.askerLeft(told);
    return false;
  }

  /**
   * Ends our side and drops what still arrives for a moment: closing at once would reset the answer away. RFC 9112
   * §9.6.
   */
  #close(): void {
    if (this.#state === "closing" || this.#state === "over") return;
    this.#state = "closing";
    this.#rest = empty;
    // While the answer is on its way out the rate check alone decides; lingering begins when it has left.
    this.#deadlines.set(Infinity);
    leaveNow(this.socket);
    this.socket.end(() => {
      this.#lingerEnd = this.#host.coarseNow + this.#host.limits.lingerMs;
      this.#lingerOn();
    });
    this.socket.resume();
  }

  /**
   * As long as the client goes on sending it has not read the answer yet; a moment of silence, or the end of our
   * patience, ends it.
   */
  #lingerOn(): void {
    this.#deadlines.set(Math.min(this.#lingerEnd, this.#host.coarseNow + this.#host.limits.lingerSilenceMs));
  }

  #clientEnded(): void {
    this.#ended = true;
    if (this.#state === "closing" && this.socket.writableLength === 0) this.socket.destroy();
    else this.#afterEnd();
  }

  #closed(): void {
    this.#state = "over";
    this.#content?.fail("the client left before its content ended");
    this.#exchange?.askerLeft();
    this.#exchange = null;
    this.#left();
  }
}
