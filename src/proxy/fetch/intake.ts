/**
 * A flight's content on its way in: into room that the store has given, or passing through where nothing is to be kept,
 * or there is no room. Storing may turn into passing, never back.
 */
import type { FieldList } from "../../http/fields.ts";
import { Body, type ContentSource } from "../../store/body.ts";
import type { Keepsake, Store, Writer } from "../../store/port.ts";

export interface IntakeOptions {
  readonly store: boolean;
  /** Null where only the end will tell. */
  readonly contentBytes: number | null;
  /** The largest content that may be kept. */
  readonly bytesMax: number;
  /** As the owner's, or as a hot copy. */
  readonly as: "own" | "copy";
  readonly source: ContentSource | null;
  /** It passes from now on: nobody may join any more. */
  readonly passes: () => void;
}

/** The content of one flight. */
export class Intake {
  readonly body: Body;
  readonly #bytesMax: number;
  readonly #passes: () => void;
  #writer: Writer | null;
  readonly #room: Writer | null;

  constructor(room: Pick<Store, "begin">, { store, contentBytes, bytesMax, as, source, passes }: IntakeOptions) {
    this.#bytesMax = bytesMax;
    this.#passes = passes;
    const fits = contentBytes === null || contentBytes <= bytesMax;
    this.#room = store && fits ? room.begin(contentBytes, as) : null;
    this.#writer = this.#room;
    this.body = this.#writer?.body ?? new Body("passing", contentBytes);
    this.body.source = source;
  }

  get storing(): boolean {
    return this.#writer !== null;
  }

  received(chunk: Buffer): void {
    const writer = this.#writer;
    if (writer !== null && (this.body.bytes + chunk.length > this.#bytesMax || !writer.grow(chunk.length))) this.pass();
    this.body.append(chunk);
  }

  /** It will not be stored after all: what was kept is held for those who still have to read it. */
  pass(): void {
    if (this.#writer === null) return;
    this.abandon();
    this.body.pass();
    this.#passes();
  }

  /** All of it has come. */
  finish(trailers: FieldList): void {
    this.body.finish(trailers);
  }

  /** No more will come. */
  fail(): void {
    this.abandon();
    this.body.fail();
  }

  /** Keeps what has come. @returns whether there was room for it. */
  commit(kept: Keepsake): boolean {
    const writer = this.#writer;
    this.#writer = null;
    return writer?.commit(kept) ?? false;
  }

  /** Nobody will begin to read it any more. */
  over(): void {
    this.#room?.over();
  }

  abandon(): void {
    this.#writer?.abandon();
    this.#writer = null;
  }
}
