/**
 * The answers on one connection to an origin, cut out of its bytes however they are split: interim responses as they
 * come, one final head, content, trailers, and an end that is certain. Reads one answer at a time; never throws.
 */
import type { FieldList } from "../http/fields.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { responseHead, type ResponseFraming, type ResponseHead } from "./response-head.ts";

export interface ResponseLimits {
  readonly headBytesMax: number;
  readonly fieldsMax: number;
  /** Interim responses before the final one. */
  readonly interimMax: number;
}

export const responseLimits: ResponseLimits = { headBytesMax: 64 * 1024, fieldsMax: 500, interimMax: 32 };

/** What is heard of an answer. After `end` or `bad` nothing follows. */
export interface ResponseListener {
  interim(status: number, fields: FieldList): void;
  /** A final response, or 101 with what has come behind it: then nothing follows either. */
  head(head: ResponseHead): void;
  data(content: Buffer): void;
  end(trailers: FieldList): void;
  /** It makes no sense, or it has broken off. */
  bad(why: string, how: "not-http" | "broken-off"): void;
}

const empty: Buffer = Buffer.alloc(0);
type State = "idle" | "head" | "content" | "over";

/** Reads the answers of one connection. */
export class ResponseReader {
  readonly #limits: ResponseLimits;
  #listener: ResponseListener | null = null;
  #method = "";
  #state: State = "idle";
  #rest: Buffer = empty;
  /** Up to here no end of the head has been found. */
  #searched = 0;
  #interims = 0;
  #framing: ResponseFraming = { kind: "none" };
  #left = 0;
  #decoder: ChunkedDecoder | null = null;
  #keepAlive = false;
  #begun = false;
  #feeding = false;

  constructor(limits: ResponseLimits = responseLimits) {
    this.#limits = limits;
  }

  /** A request has been sent: its answer is the next. */
  expect(method: string, listener: ResponseListener): void {
    this.#method = method;
    this.#listener = listener;
    this.#state = "head";
    this.#interims = 0;
    this.#searched = 0;
    this.#begun = false;
  }

  /** Whether the last answer has ended so that another request may follow. */
  get reusable(): boolean {
    return this.#state === "idle" && this.#keepAlive && this.#rest.length === 0;
  }

  /** Whether anything of the answer has come. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Bytes that have come behind a 101. */
  takeRest(): Buffer {
    const rest = this.#rest;
    this.#rest = empty;
    return rest;
  }

  /** Takes bytes, which may change when this returns; so do those given to the listener when that returns. */
  feed(bytes: Buffer): void {
    this.#begun = true;
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (this.#feeding) return;
    this.#feeding = true;
    while (this.#rest.length > 0 && (this.#state === "head" || this.#state === "content"))
      if (!(this.#state === "head" ? this.#readHead() : this.#readContent())) break;
    this.#feeding = false;
    // What is left over lies in memory that will be read into again.
    if (this.#rest.length > 0) this.#rest = Buffer.from(this.#rest);
  }

  /** The connection has ended: in order (FIN), or by a reset. */
  ended(how: "in-order" | "reset"): void {
    if (this.#state === "content" && this.#framing.kind === "end" && how === "in-order") return this.#end([]);
    if (this.#state === "head" || this.#state === "content") this.#bad("the connection ended", "broken-off");
    return undefined;
  }

  /** Nobody listens any more. */
  stop(): void {
    this.#state = "over";
    this.#listener = null;
  }

  /** @returns whether there may be more to read at once. */
  #readHead(): boolean {
    const rest = this.#rest;
    const { headBytesMax, fieldsMax, interimMax } = this.#limits;
    const from = Math.max(0, this.#searched - 3);
    const end = rest.indexOf("\r\n\r\n", from);
    this.#searched = rest.length;
    if (end === -1 || end > headBytesMax) {
      // Nothing more would come, and the origin would be taken for a slow one.
      if (rest.indexOf("\n\n", from) !== -1) return this.#bad("a head whose lines do not end in CRLF");
      if (rest.length > headBytesMax) return this.#bad(`a head longer than ${headBytesMax} bytes`);
      // A server of HTTP/0.9, or none of HTTP at all, would go on for ever.
      if (!"HTTP/1.".startsWith(rest.toString("latin1", 0, 7))) return this.#bad("something that is no answer");
      return false;
    }
    const head = responseHead(rest.toString("latin1", 0, end + 2), this.#method, fieldsMax);
    if ("bad" in head) return this.#bad(head.bad);
    this.#rest = end + 4 === rest.length ? empty : rest.subarray(end + 4);
    this.#searched = 0;
    if (head.status < 200 && head.status !== 101) {
      if (head.minor === 0) return this.#bad("an interim answer in HTTP/1.0");
      if (++this.#interims > interimMax) return this.#bad(`more than ${interimMax} interim answers`);
      this.#listener!.interim(head.status, head.fields);
      return true;
    }
    return this.#begin(head);
  }

  #begin(head: ResponseHead): boolean {
    const { framing } = head;
    this.#framing = framing;
    this.#keepAlive = head.keepAlive;
    this.#state = head.status === 101 ? "over" : "content";
    this.#left = framing.kind === "length" ? framing.bytes : 0;
    this.#decoder = framing.kind === "chunked" ? new ChunkedDecoder("lenient") : null;
    this.#listener!.head(head);
    if (this.#state === "content" && (framing.kind === "none" || (framing.kind === "length" && this.#left === 0)))
      this.#end([]);
    return true;
  }

  #readContent(): boolean {
    const rest = this.#rest;
    const decoder = this.#decoder;
    if (decoder !== null) {
      this.#rest = empty;
      const used = decoder.feed(rest, 0, (content) => this.#listener?.data(content));
      if (this.#state !== "content") return false;
      if (used === -1) return this.#bad(decoder.failure);
      if (used < rest.length) this.#rest = rest.subarray(used);
      if (decoder.done) this.#end(decoder.trailers);
      return true;
    }
    const isAll = this.#framing.kind === "end" || rest.length <= this.#left;
    const content = isAll ? rest : rest.subarray(0, this.#left);
    this.#rest = isAll ? empty : rest.subarray(this.#left);
    if (this.#framing.kind === "length") this.#left -= content.length;
    this.#listener!.data(content);
    if (this.#state === "content" && this.#framing.kind === "length" && this.#left === 0) this.#end([]);
    return true;
  }

  #end(trailers: FieldList): void {
    const listener = this.#listener!;
    this.#listener = null;
    this.#state = "idle";
    listener.end(trailers);
  }

  #bad(why: string, how: "not-http" | "broken-off" = "not-http"): false {
    const listener = this.#listener;
    this.#state = "over";
    this.#listener = null;
    listener?.bad(why, how);
    return false;
  }
}
