/** A request that another member has forwarded, answered over its link. Small answers are one frame. */
import type { FieldList } from "../http/fields.ts";
import { hasNoContent } from "../http/messages.ts";
import type { AnswerBytes, AnswerHead } from "../wire/answer-head.ts";
import type { Client, Exchange } from "../wire/exchange.ts";
import { Holds, type Hold, type Holder } from "../wire/holds.ts";
import {
  flagByKey,
  flagEnd,
  flagForward,
  flagInner,
  flagLocal,
  flagPeek,
  flagPlain,
  flagSecure,
  flagStandIn,
  flagUnknownLength,
  FrameType,
  keeping,
  tracing,
  PayloadReader,
  type Frame,
  type FrameWriter,
} from "./frames.ts";
import { fieldsOfText, type Asking } from "./streams.ts";

/** The link's side of an exchange. */
export interface AnswerLink {
  /** Of the member at the other end. */
  readonly name: string;
  readonly writer: FrameWriter;
  readonly congested: boolean;
  /** Requests that this member handles now. */
  readonly load: number;
  schedule(): void;
  finished(stream: number): void;
}

/** Content that may be under way on one stream before the other side has to grant more. */
export const streamWindowBytes: number = 256 * 1024;
/** Content up to this size goes out in the frame of its head. */
const joinedBytesMax = 256 * 1024;
const dataBytesMax = 256 * 1024;

/** The exchange of a forwarded request. */
export class PeerExchange implements Exchange {
  readonly head: Exchange["head"];
  readonly client: Client;
  readonly hop = 1;
  readonly body = null;
  readonly epoch: number;
  /** For the forward proxy, not for a route. */
  readonly forward: boolean;
  /** The request's content, where it belongs to the key. */
  readonly content: Buffer | null;
  readonly asking: Asking;
  /** Of the asking member's settings for this request; 0 where they do not matter. */
  readonly settings: number;
  /** How far the asking member has heard of invalidations, or of those told lately; and whether it keeps the answer. */
  readonly heard: string;
  readonly keeps: boolean;
  readonly traced: boolean;
  /** The member that asks. */
  readonly asker: string;
  inner = false;
  answered = false;
  closed = false;
  sentBytes = 0;
  readonly #holds = new Holds();
  readonly #link: AnswerLink;
  readonly #stream: number;
  #window = streamWindowBytes;
  #silent = false;
  #finished = false;
  #wantsRoom = false;

  private constructor(
    stream: number,
    link: AnswerLink,
    head: Exchange["head"],
    client: Client,
    epoch: number,
    forward: boolean,
    content: Buffer | null,
    asking: Asking,
    settings: number,
    heard: string,
    keeps: boolean,
    traced: boolean,
  ) {
    this.#stream = stream;
    this.#link = link;
    this.head = head;
    this.client = client;
    this.epoch = epoch;
    this.forward = forward;
    this.content = content;
    this.asking = asking;
    this.settings = settings;
    this.heard = heard;
    this.keeps = keeps;
    this.traced = traced;
    this.asker = link.name;
  }

  /** The exchange of a request frame, or null where it cannot be read. */
  static of(frame: Frame, link: AnswerLink): PeerExchange | null {
    const reader = new PayloadReader(frame.payload);
    const epoch = reader.f64();
    const hops = reader.u8();
    const settings = reader.u32();
    const method = reader.text();
    const target = reader.text();
    const address = reader.text();
    const text = reader.text();
    const traced = text.startsWith(tracing);
    const said = traced ? text.slice(tracing.length) : text;
    const keeps = said.startsWith(keeping);
    const heard = keeps ? said.slice(keeping.length) : said;
    const content = reader.bytes(reader.u32());
    const fields = fieldsOfText(reader.rest().toString("latin1"));
    const asking = askingOf(frame.flags);
    // Whoever stands in asks the owner, and that is the end: no loops, no deadlock.
    const allowed = hops === 1 || (hops === 2 && asking === "answer");
    if (reader.broken || !allowed || !target.startsWith("http")) return null;
    const start = target.indexOf("//") + 2;
    const host = target.slice(start, target.indexOf("/", start));
    const plain = (frame.flags & flagPlain) !== 0;
    const client: Client = {
      address,
      local: (frame.flags & flagLocal) !== 0,
      scheme: (frame.flags & flagSecure) !== 0 ? "https" : "http",
    };
    return new PeerExchange(
      frame.stream,
      link,
      { method, target, form: "absolute", minor: 1, fields, host, plain, conditional: false },
      client,
      epoch,
      (frame.flags & flagForward) !== 0,
      content.length === 0 ? null : Buffer.from(content),
      asking,
      settings,
      heard,
      keeps,
      traced,
    );
  }

  inform(status: number, fields: FieldList): void {
    if (this.closed || this.answered) return;
    const { writer } = this.#link;
    writer.begin(FrameType.interim, 0, this.#stream);
    writer.u16(status);
    writer.tail(fields.join("\n"));
    writer.end();
    this.#link.schedule();
  }

  hold(holder: Holder): Hold {
    return this.#holds.take(holder);
  }

  begin(head: AnswerHead, changing: string): void {
    if (this.closed || this.answered) return;
    this.answered = true;
    this.#silent = hasNoContent(this.head.method, head.status);
    this.#head(head, changing, 0);
    this.#link.writer.end();
    this.#link.schedule();
  }

  answer(head: AnswerHead, changing: string, content: Buffer | null, taken?: () => void): void {
    if (content !== null && content.length > joinedBytesMax) {
      this.begin(head, changing);
      this.write(content, taken);
      return this.end();
    }
    if (this.closed || this.answered) return taken?.();
    this.answered = true;
    this.sentBytes = content === null ? 0 : content.length;
    this.#head(head, changing, flagEnd);
    this.#link.writer.end(content, taken);
    return this.#finish();
  }

  answerBytes(answer: AnswerBytes, changing: string): void {
    if (this.closed || this.answered) return;
    this.answered = true;
    const { status, memory, fieldsAt, lengthAt, contentAt, contentEnd } = answer;
    const contentBytes = contentEnd - contentAt;
    this.sentBytes = contentBytes;
    const { writer } = this.#link;
    writer.begin(FrameType.response, flagEnd | (this.inner ? flagInner : 0), this.#stream);
    writer.u16(status);
    writer.u32(this.#link.load);
    writer.f64(contentBytes);
    writer.u32(lengthAt - fieldsAt + changing.length);
    writer.part(memory, fieldsAt, lengthAt);
    writer.tail(changing);
    writer.end(memory.subarray(contentAt, contentEnd), answer.lend());
    this.#finish();
  }

  write(content: Buffer, taken?: () => void): boolean {
    if (this.closed || this.#silent || content.length === 0) {
      taken?.();
      return true;
    }
    // A last piece that is small is copied, and so taken before the others: each tells for itself.
    let untaken = Math.ceil(content.length / dataBytesMax);
    const all = untaken === 1 ? taken : taken && (() => --untaken === 0 && taken());
    for (let at = 0; at < content.length; at += dataBytesMax) {
      const piece = content.subarray(at, at + dataBytesMax);
      this.#link.writer.begin(FrameType.data, 0, this.#stream);
      this.#link.writer.end(piece, all);
    }
    this.sentBytes += content.length;
    this.#window -= content.length;
    this.#link.schedule();
    this.#wantsRoom = this.#window <= 0 || this.#link.congested;
    return !this.#wantsRoom;
  }

  end(trailers: FieldList = []): void {
    if (this.closed || this.#finished) return;
    const { writer } = this.#link;
    writer.begin(FrameType.end, flagEnd, this.#stream);
    writer.tail(trailers.join("\n"));
    writer.end();
    this.#finish();
  }

  abort(): void {
    this.#reset("");
  }

  /** Nothing is wrong, but another member must answer: with other settings, or from another place. */
  decline(reason: string): boolean {
    if (this.answered) return false;
    this.#reset(reason);
    return true;
  }

  #reset(reason: string): void {
    if (this.closed || this.#finished) return;
    const { writer } = this.#link;
    writer.begin(FrameType.reset, 0, this.#stream);
    writer.tail(reason);
    writer.end();
    this.#finish();
    this.closed = true;
  }

  takeOver(): null {
    return null;
  }

  /** The other side has taken bytes and grants as many more. */
  grant(bytes: number): void {
    this.#window += bytes;
    this.room();
  }

  room(): void {
    if (!this.#wantsRoom || this.#window <= 0 || this.#link.congested) return;
    this.#wantsRoom = false;
    this.#holds.drained();
  }

  askerLeft(): void {
    if (this.closed || this.#finished) return;
    this.closed = true;
    this.#holds.left();
  }

  #head(head: AnswerHead, changing: string, flags: number): void {
    const { writer } = this.#link;
    const { block } = head;
    const known = (head.contentBytes === null ? flagUnknownLength : 0) | (this.inner ? flagInner : 0);
    writer.begin(FrameType.response, flags | known, this.#stream);
    writer.u16(head.status);
    writer.u32(this.#link.load);
    writer.f64(head.contentBytes ?? 0);
    writer.u32(block.length + changing.length);
    writer.bytes(block);
    writer.tail(changing);
  }

  #finish(): void {
    this.#finished = true;
    this.#link.finished(this.#stream);
    this.#link.schedule();
  }
}

function askingOf(flags: number): Asking {
  if ((flags & flagPeek) !== 0) return "peek";
  if ((flags & flagByKey) !== 0) return "by-key";
  return (flags & flagStandIn) !== 0 ? "stand-in" : "answer";
}
