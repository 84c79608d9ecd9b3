/**
 * An exchange whose answer was begun by a member that died, continued by another: the new answer must be the same
 * representation, its head is not sent again and the bytes already delivered are dropped.
 */
import { fieldValue, type FieldList } from "../../http/fields.ts";
import { etagOf } from "../../http/validators.ts";
import { AnswerHead, type AnswerBytes } from "../../wire/answer-head.ts";
import type { Exchange } from "../../wire/exchange.ts";
import type { Hold, Holder } from "../../wire/holds.ts";

/** What must be the same for two answers to be one. */
export interface Begun {
  readonly status: number;
  readonly etag: string | null;
  readonly contentBytes: number | null;
  readonly contentRange: string | undefined;
}

/** Stands between a client and the members that answer it one after the other. */
export class Resumption implements Exchange {
  readonly #inner: Exchange;
  readonly #begun: Begun;
  inner = false;
  #delivered = 0;
  #skip = 0;
  #answered = false;

  constructor(inner: Exchange, begun: Begun) {
    this.#inner = inner;
    this.#begun = begun;
  }

  /** Whether what another member sends could be joined on: a strong entity tag and a known length. */
  get resumable(): boolean {
    const { etag, contentBytes, status, contentRange } = this.#begun;
    // Several ranges in one answer are framed by a boundary that the next member would choose anew.
    return etag !== null && contentBytes !== null && (status === 200 || (status === 206 && contentRange !== undefined));
  }

  /** Bytes have gone to the client without this object's help. */
  count(bytes: number): void {
    if (!this.#answered) this.#delivered += bytes;
  }

  /** Ready for the next member's answer. */
  again(): this {
    this.#answered = false;
    this.#skip = this.#delivered;
    return this;
  }

  get head(): Exchange["head"] {
    return this.#inner.head;
  }
  get client(): Exchange["client"] {
    return this.#inner.client;
  }
  get hop(): 0 | 1 {
    return this.#inner.hop;
  }
  get body(): null {
    return null;
  }
  get answered(): boolean {
    return this.#answered;
  }
  get closed(): boolean {
    return this.#inner.closed;
  }
  get sentBytes(): number {
    return this.#inner.sentBytes;
  }
  hold(holder: Holder): Hold {
    return this.#inner.hold(holder);
  }

  inform(): void {}

  answer(head: AnswerHead, changing: string, content: Buffer | null, taken?: () => void): void {
    this.begin(head, changing);
    if (content === null) taken?.();
    else this.write(content, taken);
    this.end();
  }

  answerBytes(answer: AnswerBytes, changing: string): void {
    const { memory, contentAt, contentEnd } = answer;
    this.answer(AnswerHead.ofBytes(answer), changing, memory.subarray(contentAt, contentEnd), answer.lend());
  }

  /** A head that is not the one begun (our own refusals among them) continues nothing: the answer is cut. */
  begin(head: AnswerHead, _changing: string): void {
    this.#answered = true;
    const now = identityOf(head);
    const same =
      now.status === this.#begun.status &&
      now.etag === this.#begun.etag &&
      now.contentBytes === this.#begun.contentBytes &&
      now.contentRange === this.#begun.contentRange;
    if (!same) this.#inner.abort();
  }

  write(content: Buffer, taken?: () => void): boolean {
    const skipped = Math.min(this.#skip, content.length);
    this.#skip -= skipped;
    if (skipped === content.length) {
      taken?.();
      return true;
    }
    this.#delivered += content.length - skipped;
    return this.#inner.write(skipped === 0 ? content : content.subarray(skipped), taken);
  }

  end(trailers?: FieldList): void {
    this.#inner.end(trailers);
  }

  abort(): void {
    this.#inner.abort();
  }

  decline(): false {
    return false;
  }

  takeOver(): null {
    return null;
  }
}

/** What identifies an answer. */
export function identityOf({ status, fields, contentBytes }: AnswerHead): Begun {
  const etag = etagOf(fields);
  return {
    status,
    etag: etag === null || etag.weak ? null : etag.opaque,
    contentBytes,
    contentRange: fieldValue(fields, "content-range"),
  };
}
