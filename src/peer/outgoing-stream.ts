/** A request's way out and its answer's way in: what the dialing side of a link keeps of each. */
import type { FieldList } from "../http/fields.ts";
import { flagEnd, flagInner, flagUnknownLength, FrameType, PayloadReader, type Frame } from "./frames.ts";
import { asksAlone, fieldsOfText, type Asking, type PeerResponseHandler, type PeerStream } from "./streams.ts";

/** The link's side of a stream. */
interface AskingLink {
  /** Requests that the other member was handling when it last said so. */
  load: number;
  credit(stream: number, bytes: number): void;
  cancel(stream: number): void;
  forget(stream: number): void;
}

/** Bytes consumed before the sender is told: fewer frames, still a moving window. */
const creditBytes = 64 * 1024;

/** The answer to one request, as it comes in. */
export class OutgoingStream implements PeerStream {
  readonly #stream: number;
  readonly #handler: PeerResponseHandler;
  readonly #link: AskingLink;
  #unacknowledged = 0;
  #held = false;
  readonly #asking: Asking;
  #begun = false;
  #over = false;

  constructor(stream: number, asking: Asking, handler: PeerResponseHandler, link: AskingLink) {
    this.#asking = asking;
    this.#stream = stream;
    this.#handler = handler;
    this.#link = link;
  }

  /**
   * Where it stands still, another is asked: not for what it alone has, nor once somebody has heard the beginning of
   * its answer.
   */
  get isImpatient(): boolean {
    return (!this.#begun || this.#handler.isUnheard?.() === true) && !asksAlone(this.#asking);
  }

  take(frame: Frame): void {
    if (this.#over) return;
    switch (frame.type) {
      case FrameType.response: {
        const reader = new PayloadReader(frame.payload);
        const status = reader.u16();
        this.#link.load = reader.u32();
        const contentBytes = reader.f64();
        const fields = reader.bytes(reader.u32());
        const content = reader.rest();
        if (reader.broken || status < 200 || status > 999) return this.#break("a broken response frame");
        if (this.#begun) return this.#break("a second response frame");
        this.#begun = true;
        const ended = (frame.flags & flagEnd) !== 0;
        if (ended) this.#finish();
        const head = {
          status,
          fields,
          contentBytes: (frame.flags & flagUnknownLength) !== 0 ? null : contentBytes,
          inner: (frame.flags & flagInner) !== 0,
        };
        this.#handler.head(head, ended ? content : null);
        if (!ended && content.length > 0) this.#data(content);
        break;
      }
      case FrameType.interim: {
        const reader = new PayloadReader(frame.payload);
        const status = reader.u16();
        if (!reader.broken && status >= 100 && status < 200)
          this.#handler.interim(status, fieldsOfText(reader.rest().toString("latin1")));
        break;
      }
      case FrameType.data:
        if (!this.#begun) return this.#break("content before its head");
        this.#data(frame.payload);
        break;
      case FrameType.end:
        if (!this.#begun) return this.#break("an end before its head");
        this.#finish();
        this.#handler.end(fieldsOfText(frame.payload.toString("latin1")) satisfies FieldList);
        break;
      case FrameType.reset:
        if (frame.payload.length > 0) this.#declined(new PayloadReader(frame.payload).rest().toString("latin1"));
        else this.failed("the member broke the answer off");
        break;
      default: // A type that only a newer member knows.
    }
  }

  failed(reason: string): void {
    if (this.#over) return;
    this.#finish();
    this.#handler.failed(reason, "gone");
  }

  #declined(reason: string): void {
    this.#finish();
    this.#handler.failed(reason, this.#begun ? "gone" : "declined");
  }

  pause(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    this.#acknowledge();
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#link.cancel(this.#stream);
  }

  #data(content: Buffer): void {
    this.#unacknowledged += content.length;
    this.#handler.data(content);
    this.#acknowledge();
  }

  #acknowledge(): void {
    if (this.#held || this.#over || this.#unacknowledged < creditBytes) return;
    this.#link.credit(this.#stream, this.#unacknowledged);
    this.#unacknowledged = 0;
  }

  #break(reason: string): void {
    this.#link.cancel(this.#stream);
    this.failed(reason);
  }

  #finish(): void {
    this.#over = true;
    this.#link.forget(this.#stream);
  }
}
