/**
 * A request for the uncoded response that nobody has sent: what is answered to it goes to whoever codes it. It is
 * answered like any other, from the store or by a fetch that others may share.
 */
import type { FieldList } from "../../http/fields.ts";
import { AnswerHead, type AnswerBytes } from "../../wire/answer-head.ts";
import type { Client, Exchange } from "../../wire/exchange.ts";
import { Holds, type Hold, type Holder } from "../../wire/holds.ts";

/** Where the answer goes. */
export interface IdentityListener {
  interim(status: number, fields: FieldList): void;
  /** `ageSeconds` null where it came just now. */
  head(head: AnswerHead, ageSeconds: number | null): void;
  /** @returns false where it is enough for now. */
  data(content: Buffer, taken: () => void): boolean;
  end(trailers: FieldList): void;
  aborted(): void;
}

/** See above. */
export class IdentityExchange implements Exchange {
  readonly head: Exchange["head"];
  readonly client: Client;
  readonly hop: 0 | 1;
  readonly body = null;
  inner = false;
  answered = false;
  closed = false;
  sentBytes = 0;
  readonly #listener: IdentityListener;
  readonly #holds = new Holds();

  /** For the same as `asked`, by another method perhaps, with other fields. */
  constructor(asked: Exchange, head: Pick<Exchange["head"], "method" | "fields">, listener: IdentityListener) {
    this.head = { ...asked.head, ...head, plain: false, conditional: false };
    this.client = asked.client;
    this.hop = asked.hop;
    this.#listener = listener;
  }

  hold(holder: Holder): Hold {
    return this.#holds.take(holder);
  }

  inform(status: number, fields: FieldList): void {
    if (!this.closed) this.#listener.interim(status, fields);
  }

  answer(head: AnswerHead, changing: string, content: Buffer | null, taken: () => void = () => {}): void {
    this.begin(head, changing);
    if (content === null || this.closed) taken();
    else this.write(content, taken);
    this.end();
  }

  answerBytes(answer: AnswerBytes, changing: string): void {
    const { memory, contentAt, contentEnd } = answer;
    this.answer(AnswerHead.ofBytes(answer), changing, memory.subarray(contentAt, contentEnd), answer.lend());
  }

  begin(head: AnswerHead, changing: string): void {
    if (this.closed || this.answered) return;
    this.answered = true;
    const age = /(?:^|\n)age: (\d+)\r/.exec(changing)?.[1];
    this.#listener.head(head, age === undefined ? null : Number(age));
  }

  write(content: Buffer, taken: () => void = () => {}): boolean {
    if (this.closed) {
      taken();
      return true;
    }
    this.sentBytes += content.length;
    return this.#listener.data(content, taken);
  }

  end(trailers: FieldList = []): void {
    if (this.closed) return;
    this.closed = true;
    this.#listener.end(trailers);
  }

  abort(): void {
    if (this.closed) return;
    this.closed = true;
    this.#listener.aborted();
    this.#holds.left();
  }

  decline(): boolean {
    return false;
  }

  takeOver(): null {
    return null;
  }

  /** Who codes it has room again. */
  drained(): void {
    if (!this.closed) this.#holds.drained();
  }

  /** Who codes it does not want it any more. */
  leave(): void {
    if (this.closed) return;
    this.closed = true;
    this.#holds.left();
  }
}
