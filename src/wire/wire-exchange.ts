/** A client's request and the writing of its answer: status line, framing, connection fields. RFC 9112 §4, §6, §7. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { fieldBlock, type FieldList } from "../http/fields.ts";
import { hasNoContent, reasonPhrase } from "../http/messages.ts";
import { preparedHead, type Client, type Exchange, type PreparedHead } from "./exchange.ts";
import type { RequestBody } from "./request-body.ts";
import type { ParsedHead } from "./request-head.ts";

/** What an exchange tells its connection. */
export interface AnswerSink {
  answerDone(keepAlive: boolean): void;
  answerCut(delimitedByEnd: boolean): void;
  release(): Buffer;
}

/**
 * Content up to this size goes out in one piece with its head; larger content is written by itself, uncopied. Half of
 * the buffer pool: above it every copy is an allocation outside the heap, which made a 16 KB hit twice as dear (measured).
 */
const joinedBytesMax = 3500;

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
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;
  readonly #socket: Socket;
  readonly #connection: AnswerSink;
  #keepAlive: boolean;
  #chunked = false;
  #silent = false;
  #delimitedByEnd = false;
  #left = Infinity;

  constructor(
    head: ParsedHead,
    client: Client,
    socket: Socket,
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

  answer(status: number, fields: FieldList, contentBytes: number | null): void {
    if (!this.#mayAnswer()) return;
    this.#begin(preparedHead(status, fieldBlock(fields), contentBytes), "");
  }

  answerPrepared(head: PreparedHead, changing: string, content: Buffer | null): void {
    if (!this.#mayAnswer()) return;
    const tail = `${changing}${this.#connectionLine()}\r\n`;
    const headBytes = head.bytes.length + tail.length;
    const contentBytes = content === null ? 0 : content.length;
    this.sentBytes = contentBytes;
    if (content !== null && contentBytes > joinedBytesMax) {
      this.#socket.cork();
      this.#socket.write(joined(head.bytes, tail, headBytes));
      this.#socket.write(content);
      this.#socket.uncork();
    } else {
      const whole = joined(head.bytes, tail, headBytes + contentBytes);
      if (content !== null) whole.set(content, headBytes);
      this.#socket.write(whole);
    }
    this.#finish();
  }

  beginPrepared(head: PreparedHead, changing: string): void {
    if (!this.#mayAnswer()) return;
    this.#begin(head, changing);
  }

  #begin(head: PreparedHead, changing: string): void {
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
    this.#socket.write(joined(head.bytes, tail, head.bytes.length + tail.length));
  }

  write(content: Buffer): boolean {
    if (this.closed || this.finished || this.#silent || content.length === 0) return true;
    this.sentBytes += content.length;
    if (this.#chunked) {
      this.#socket.cork();
      this.#socket.write(`${content.length.toString(16)}\r\n`, "latin1");
      this.#socket.write(content);
      this.#socket.write("\r\n", "latin1");
      this.#socket.uncork();
    } else {
      this.#left -= content.length;
      if (this.#left < 0) {
        this.abort();
        return true;
      }
      this.#socket.write(content);
    }
    return !this.#socket.writableNeedDrain;
  }

  end(trailers: FieldList = []): void {
    if (this.closed || this.finished) return;
    if (this.#chunked) this.#socket.write(`0\r\n${fieldBlock(trailers)}\r\n`, "latin1");
    else if (!this.#silent && this.#left !== Infinity && this.#left > 0) {
      this.abort();
      return;
    }
    this.#finish();
  }

  abort(): void {
    if (this.closed || this.finished) return;
    this.closed = true;
    this.#connection.answerCut(this.#delimitedByEnd);
  }

  takeOver(): { readonly socket: Duplex; readonly early: Buffer } | null {
    if (this.answered || this.closed) return null;
    this.answered = true;
    this.finished = true;
    return { socket: this.#socket, early: this.#connection.release() };
  }

  /** The client is gone, or its request was refused after it had begun. */
  askerLeft(): void {
    if (this.closed || this.finished) return;
    this.closed = true;
    this.onClose?.();
  }

  #mayAnswer(): boolean {
    if (this.closed || this.answered) return false;
    this.answered = true;
    // What the client has not been asked to send will never be read: the connection ends with this answer.
    if (this.body !== null && !this.body.complete && !this.body.started) this.#keepAlive = false;
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

function joined(head: Buffer, tail: string, bytes: number): Buffer {
  const whole = Buffer.allocUnsafe(bytes);
  whole.set(head, 0);
  whole.write(tail, head.length, "latin1");
  return whole;
}
