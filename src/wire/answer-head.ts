/**
 * The head of an answer, made once and sent many times: status, fields, length of the content. Fields come first; how
 * they look on a wire is that wire's affair, and what it has made of them is kept here with them, so that a stored
 * response is encoded once per kind of wire.
 */
import { fieldBlock, fieldsOfBlock, type FieldList } from "../http/fields.ts";
import { reasonPhrase } from "../http/messages.ts";

/** HTTP/1.1's encoding: status line, field lines, Content-Length where the length is known; without the empty line. */
export interface Http1Bytes {
  readonly bytes: Buffer;
  readonly fieldsAt: number;
  readonly lengthAt: number;
}

/** A whole answer as bytes in one buffer: HTTP/1.1's beginning as `Http1Bytes`, then content. */
export interface AnswerBytes {
  readonly status: number;
  readonly memory: Buffer;
  readonly headAt: number;
  /** Where the field lines begin, and where Content-Length, or what follows it, does. */
  readonly fieldsAt: number;
  readonly lengthAt: number;
  readonly headEnd: number;
  readonly contentAt: number;
  readonly contentEnd: number;
  /** Keeps the bytes as they are until what is returned is called, once. */
  lend(): () => void;
}

/** An answer's status and end-to-end fields, without framing. */
export class AnswerHead {
  readonly status: number;
  /** Bytes of content, or null where only its end will tell. */
  readonly contentBytes: number | null;
  #fields: FieldList | null;
  #block: Buffer | null;
  #http1: Http1Bytes | null = null;
  #isKept = true;

  private constructor(status: number, contentBytes: number | null, fields: FieldList | null, block: Buffer | null) {
    this.status = status;
    this.contentBytes = contentBytes;
    this.#fields = fields;
    this.#block = block;
  }

  static of(status: number, fields: FieldList, contentBytes: number | null): AnswerHead {
    return new AnswerHead(status, contentBytes, fields, null);
  }

  /** The same for one that is not kept: it may lie in memory that it shares with much else. */
  static once(status: number, fields: FieldList, contentBytes: number | null): AnswerHead {
    const head = new AnswerHead(status, contentBytes, fields, null);
    head.#isKept = false;
    return head;
  }

  /** From field lines as they came over a link: what is only passed on is never taken apart. */
  static ofBlock(status: number, block: Buffer, contentBytes: number | null): AnswerHead {
    return new AnswerHead(status, contentBytes, null, block);
  }

  /** From HTTP/1.1's encoding, made by another of these. `bytes` may be used again once this is no longer needed. */
  static ofHttp1(
    status: number,
    bytes: Buffer,
    fieldsAt: number,
    lengthAt: number,
    contentBytes: number | null,
  ): AnswerHead {
    const head = new AnswerHead(status, contentBytes, null, null);
    head.#http1 = { bytes, fieldsAt, lengthAt };
    return head;
  }

  static ofBytes({
    status,
    memory,
    headAt,
    fieldsAt,
    lengthAt,
    headEnd,
    contentAt,
    contentEnd,
  }: AnswerBytes): AnswerHead {
    const bytes = memory.subarray(headAt, headEnd);
    return AnswerHead.ofHttp1(status, bytes, fieldsAt - headAt, lengthAt - headAt, contentEnd - contentAt);
  }

  get fields(): FieldList {
    return (this.#fields ??= fieldsOfBlock(this.block.toString("latin1")));
  }

  /** The field lines, each with its CRLF: what links carry. */
  get block(): Buffer {
    if (this.#http1 !== null) return this.#http1.bytes.subarray(this.#http1.fieldsAt, this.#http1.lengthAt);
    return (this.#block ??= Buffer.from(fieldBlock(this.#fields!), "latin1"));
  }

  /** The bytes that HTTP/1.1 begins with. */
  get http1(): Buffer {
    return this.encoded.bytes;
  }

  /** The same, with where its parts lie. */
  get encoded(): Http1Bytes {
    return (this.#http1 ??= this.#encoded());
  }

  #encoded(): Http1Bytes {
    const { status, contentBytes } = this;
    const line = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
    const length = contentBytes === null || status === 204 || status < 200 ? "" : `content-length: ${contentBytes}\r\n`;
    const block = this.#block ?? fieldBlock(this.#fields!);
    const size = line.length + block.length + length.length;
    // What comes over a link is sent once too.
    const isKept = this.#isKept && this.#block === null;
    const bytes = isKept ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size);
    bytes.write(line, 0, "latin1");
    if (typeof block === "string") bytes.write(block, line.length, "latin1");
    else bytes.set(block, line.length);
    const lengthAt = line.length + block.length;
    bytes.write(length, lengthAt, "latin1");
    this.#block = null;
    return { bytes, fieldsAt: line.length, lengthAt };
  }
}
