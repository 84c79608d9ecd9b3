/** A client's request and the writing of its answer: status line, framing, connection fields. RFC 9112 §4, §6, §7. */
import type { Duplex } from "node:stream";
import type { ClientSocket } from "./client-socket.ts";
import { fieldBlock, type FieldList } from "../http/fields.ts";
import { hasNoContent, reasonPhrase } from "../http/messages.ts";
import type { AnswerBytes, AnswerHead } from "./answer-head.ts";
import type { Client, Exchange } from "./exchange.ts";
import { Holds, type Hold, type Holder } from "./holds.ts";
import type { RequestBody } from "./request-body.ts";
import type { ParsedHead } from "./request-head.ts";
import { uncorkTogether, writeTogether } from "./together.ts";
import type { Told } from "./unread.ts";

/** What an exchange tells its connection. */
export interface AnswerSink {
  /** Whether this answer is its last: looked at when it begins. */
  readonly isDraining: boolean;
  answerDone(keepAlive: boolean): void;
  answerCut(delimitedByEnd: boolean): void;
  release(): Buffer;
}

/**
 * Content up to this size goes out in one piece with its head; larger content is written by itself, uncopied. Half of
 * the buffer pool: above it every copy is an allocation outside the heap, which made a 16 KB hit twice as dear
 * (measured).
 */
const joinedBytesMax = 3500;
const nothing: Buffer = Buffer.alloc(0);
/** Leading zeros of one chunk size: recipients bound its digits. */
const probesMax = 8;

/** The exchange of a client's request. */
export class WireExchange implements Exchange {
  readonly head: ParsedHead;
  readonly client: Client;
  readonly hop = 0;
  readonly body: RequestBody | null;
  inner = false;
  answered = false;
  closed = false;
  finished = false;
  sentBytes = 0;
  refusal: Told | null = null;
  readonly #holds = new Holds();
  readonly #socket: ClientSocket;
  readonly #connection: AnswerSink;
  #keepAlive: boolean;
  #chunked = false;
  #silent = false;
  #delimitedByEnd = false;
  #left = Infinity;
  #probes = 0;
  /** A head that content may still join. */
  #heldHead: Buffer | null = null;

  constructor(
    head: ParsedHead,
    client: Client,
    socket: ClientSocket,
    body: RequestBody | null,
    keepAlive: boolean,
    connection: AnswerSink,
  ) {
    this.head = head;
    this.client = client;
    this.body = body;
    this.#socket = socket;
    this.#keepAlive = keepAlive;
    this.#connection = connection;
  }

  inform(status: number, fields: FieldList): void {
    // RFC 9110 §15.2: HTTP/1.0 knows no interim responses; 100 is sent when the content is first read.
    if (this.answered || this.closed || this.head.minor === 0 || status === 100 || status === 101) return;
    this.#socket.write(`HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n${fieldBlock(fields)}\r\n`, "latin1");
  }

  hold(holder: Holder): Hold {
    return this.#holds.take(holder);
  }

  answer(head: AnswerHead, changing: string, content: Buffer | null, taken?: () => void): void {
    if (!this.#mayAnswer()) return taken?.();
    const tail = `${changing}${this.#connectionLine()}\r\n`;
    const { http1 } = head;
    const headBytes = http1.length + tail.length;
    const contentBytes = content === null ? 0 : content.length;
    this.sentBytes = contentBytes;
    if (content !== null && contentBytes > joinedBytesMax) {
      this.#writeBoth(joined(http1, tail, headBytes), content, taken);
    } else {
      const whole = joined(http1, tail, headBytes + contentBytes);
      if (content !== null) whole.set(content, headBytes);
      writeTogether(this.#socket, whole);
      taken?.();
    }
    return this.#finish();
  }

  answerBytes(answer: AnswerBytes, changing: string): void {
    if (!this.#mayAnswer()) return;
    const { memory, headAt, headEnd, contentAt, contentEnd } = answer;
    const tail = this.#keepAlive && this.head.minor === 1 ? changing : `${changing}${this.#connectionLine()}`;
    const contentBytes = contentEnd - contentAt;
    this.sentBytes = contentBytes;
    // Head, the lines that change, the empty line, content.
    const tailAt = headEnd - headAt;
    const headBytes = tailAt + tail.length + 2;
    const isJoined = contentBytes <= joinedBytesMax;
    const whole = Buffer.allocUnsafe(isJoined ? headBytes + contentBytes : headBytes);
    memory.copy(whole, 0, headAt, headEnd);
    whole.write(tail, tailAt, tail.length, "latin1");
    whole[headBytes - 2] = 0x0d;
    whole[headBytes - 1] = 0x0a;
    if (isJoined) {
      memory.copy(whole, headBytes, contentAt, contentEnd);
      writeTogether(this.#socket, whole);
    } else this.#writeBoth(whole, memory.subarray(contentAt, contentEnd), answer.lend());
    this.#finish();
  }

  begin(head: AnswerHead, changing: string): void {
    if (!this.#mayAnswer()) return;
    this.#silent = hasNoContent(this.head.method, head.status);
    let framing = "";
    if (head.contentBytes !== null) this.#left = head.contentBytes;
    else if (!this.#silent) {
      if (this.head.minor === 1) {
        this.#chunked = true;
        framing = "transfer-encoding: chunked\r\n";
      } else {
        this.#keepAlive = false;
        this.#delimitedByEnd = true;
      }
    }
    const tail = `${changing}${framing}${this.#connectionLine()}\r\n`;
    // Content that has come with the head leaves with it: one system call less, the dearest part of a miss.
    this.#heldHead = joined(head.http1, tail, head.http1.length + tail.length);
    process.nextTick(letGo, this);
  }

  /** A head that has waited for content goes without. */
  letHeadGo(): void {
    if (this.#heldHead === null) return;
    const head = this.#heldHead;
    this.#heldHead = null;
    if (!this.closed) this.#socket.write(head);
  }

  write(content: Buffer, taken?: () => void): boolean {
    if (this.closed || this.finished || this.#silent || content.length === 0) {
      taken?.();
      return true;
    }
    this.sentBytes += content.length;
    if (this.#chunked) {
      this.#socket.cork();
      this.letHeadGo();
      this.#probes = 0;
      this.#socket.write(`${content.length.toString(16)}\r\n`, "latin1");
      this.#socket.write(content);
      this.#socket.write("\r\n", "latin1");
      if (content.length > joinedBytesMax || taken !== undefined) this.#socket.uncork();
      else uncorkTogether(this.#socket);
    } else {
      this.#left -= content.length;
      if (this.#left < 0) {
        taken?.();
        this.abort();
        return true;
      }
      if (this.#joinsHead(content)) {
        taken?.();
        return true;
      }
      this.#writeContent(content);
    }
    if (taken !== undefined) this.#whenTaken(taken);
    return !this.#socket.writableNeedDrain;
  }

  end(trailers: FieldList = []): void {
    if (this.closed || this.finished) return;
    const isHeld = this.#heldHead !== null;
    if (isHeld) this.#socket.cork();
    this.letHeadGo();
    if (this.#chunked) this.#socket.write(`0\r\n${fieldBlock(trailers)}\r\n`, "latin1");
    if (isHeld) this.#socket.uncork();
    if (!this.#chunked && !this.#silent && this.#left !== Infinity && this.#left > 0) {
      this.abort();
      return;
    }
    this.#finish();
  }

  abort(): void {
    if (this.closed || this.finished) return;
    this.letHeadGo();
    this.closed = true;
    this.#connection.answerCut(this.#delimitedByEnd);
  }

  decline(): false {
    return false;
  }

  takeOver(): { readonly socket: Duplex; readonly early: Buffer } | null {
    if (this.answered || this.closed) return null;
    this.answered = true;
    this.finished = true;
    return { socket: this.#socket, early: this.#connection.release() };
  }

  /** The client has room again. */
  drained(): void {
    this.#holds.drained();
  }

  /** The client is gone, or its request was refused after it had begun: `told` so. */
  askerLeft(told: Told | null = null): void {
    if (this.closed || this.finished) return;
    this.closed = true;
    this.refusal = told;
    if (told !== null) this.sentBytes = told.bytes;
    this.#holds.left();
  }

  /**
   * The client has ended its side: is it still there? Only bytes can tell, since one that has gone answers them with a
   * reset. They must mean nothing to one that has not: an interim response before the answer (RFC 9110 §15.2: clients
   * must take them unasked), a leading zero of the next chunk's size within one (RFC 9112 §7.1: `1*HEXDIG`).
   * @returns whether bytes could be sent.
   */
  probe(): boolean {
    if (this.closed || this.finished) return true;
    if (!this.answered) {
      if (this.head.minor === 0) return false;
      this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
      return true;
    }
    if (!this.#chunked || this.#probes++ >= probesMax) return false;
    this.letHeadGo();
    this.#socket.write("0", "latin1");
    return true;
  }

  /** @returns whether the content, copied, has gone with the head that waited for it. */
  #joinsHead(content: Buffer): boolean {
    const head = this.#heldHead;
    if (head === null || content.length > joinedBytesMax) return false;
    this.#heldHead = null;
    const whole = Buffer.allocUnsafe(head.length + content.length);
    whole.set(head, 0);
    whole.set(content, head.length);
    writeTogether(this.#socket, whole);
    return true;
  }

  #writeContent(content: Buffer): void {
    const head = this.#heldHead;
    this.#heldHead = null;
    if (head === null) this.#socket.write(content);
    else this.#writeBoth(head, content, undefined);
  }

  #writeBoth(head: Buffer, content: Buffer, taken: (() => void) | undefined): void {
    this.#socket.cork();
    this.#socket.write(head);
    this.#socket.write(content);
    this.#socket.uncork();
    if (taken !== undefined) this.#whenTaken(taken);
  }

  /**
   * What the kernel has taken at once (nearly always all of it) is done with; else a write behind it tells, also where
   * the connection breaks.
   */
  #whenTaken(taken: () => void): void {
    if (this.#socket.writableLength === 0) taken();
    else this.#socket.write(nothing, () => taken());
  }

  #mayAnswer(): boolean {
    if (this.closed || this.answered) return false;
    this.answered = true;
    // What the client has not been asked to send will never be read: the connection ends with this answer.
    const isUnread = this.body !== null && !this.body.complete && !this.body.started;
    // And a client that is not told so before the connection ends sends its next request into nothing.
    if (isUnread || this.#connection.isDraining) this.#keepAlive = false;
    return true;
  }

  #finish(): void {
    this.finished = true;
    this.#connection.answerDone(this.#keepAlive);
  }

  #connectionLine(): string {
    if (!this.#keepAlive) return "connection: close\r\n";
    return this.head.minor === 0 ? "connection: keep-alive\r\n" : "";
  }
}

function letGo(exchange: WireExchange): void {
  exchange.letHeadGo();
}

function joined(head: Buffer, tail: string, bytes: number): Buffer {
  const whole = Buffer.allocUnsafe(bytes);
  whole.set(head, 0);
  whole.write(tail, head.length, "latin1");
  return whole;
}
