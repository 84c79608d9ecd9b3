/** Stored responses as the data plane sees them, read from their records when somebody wants to know. */
import { notModifiedHead } from "../../http/conditional.ts";
import { responseDirectives } from "../../http/directives.ts";
import type { LifetimeSource } from "../../http/freshness.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import { varyNames } from "../../http/vary.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import { Body, type Pin } from "../body.ts";
import { freshUntilOf, type Keepsake, type Part, type StoredResponse } from "../port.ts";
import type { Behind } from "./behind.ts";
import type { PagePool } from "./page-pool.ts";
import {
  extentHeadBytes,
  flagCopy,
  flagElsewhere,
  flagInner,
  flagLasting,
  flagOutdated,
  float,
  sourceMask,
  sourceShift,
  word,
  type Extent,
  type Records,
} from "./records.ts";
import { unitBytes } from "./page-memory.ts";

/** Lifetime sources by their number in a record. */
export const lifetimeSources: readonly LifetimeSource[] = [
  "configured",
  "s-maxage",
  "max-age",
  "expires",
  "heuristic",
  "none",
  "ended",
];

/** The pages that a response lies in, held while somebody reads it. */
class PagePin implements Pin {
  readonly #pool: PagePool;
  readonly #pages: readonly number[];
  readonly #elsewhere: Pin | null;

  constructor(pool: PagePool, pages: readonly number[], elsewhere: Pin | null) {
    this.#pool = pool;
    this.#pages = pages;
    this.#elsewhere = elsewhere;
  }

  take(): void {
    for (const page of this.#pages) this.#pool.pin(page);
    this.#elsewhere?.take();
  }

  release(): void {
    for (const page of this.#pages) this.#pool.unpin(page);
    this.#elsewhere?.release();
  }
}

/** A response in its record: to be used in this turn, or for as long as it is pinned. */
export class PageResponse implements StoredResponse {
  readonly location: number;
  readonly pin: Pin;
  /** Of the key. */
  readonly keyHash: number;
  /** What stands behind knew it by this when it was leased last; 0 where it did not. */
  knownAs = 0;
  readonly #records: Records;
  readonly #pool: PagePool;
  readonly #generation: number;
  readonly #flags: number;
  /** Where its content lay when it was looked up, and where it stays as long as it is pinned. */
  readonly #extents: readonly Extent[] = [];
  #key: string | null = null;
  #head: StoredHead | null = null;
  #answerHead: AnswerHead | null = null;
  #notModifiedHead: AnswerHead | null = null;
  #body: Body | null = null;
  #tags: readonly string[] | null = null;

  constructor(records: Records, pool: PagePool, behind: Behind | null, location: number) {
    this.#records = records;
    this.#pool = pool;
    this.location = location;
    this.#flags = records.word(location, word.flags);
    this.keyHash = records.word(location, word.hash);
    const { memory } = records;
    const pages = [memory.pageOf(location)];
    const extents = records.word(location, word.extents);
    if (extents > 0) this.#extents = records.extents(location);
    for (const extent of this.#extents) {
      const page = memory.pageOf(extent.location);
      if (!pages.includes(page)) pages.push(page);
    }
    this.#generation = pool.generation(pages[0]!);
    let elsewhere: Pin | null = null;
    if ((this.#flags & flagElsewhere) !== 0) {
      const id = records.float(location, float.behind);
      const content = behind!.content(id, records.word(location, word.hash), this.contentBytes);
      this.#body = content.body;
      elsewhere = content.pin;
    }
    this.pin = new PagePin(pool, pages, elsewhere);
  }

  /** Whether its memory has not been used for something else. */
  get isThere(): boolean {
    return this.#pool.generation(this.#records.memory.pageOf(this.location)) === this.#generation;
  }

  get key(): string {
    return (this.#key ??= this.#records.key(this.location));
  }

  get hash(): number {
    return this.#records.word(this.location, word.ringHash);
  }

  get head(): StoredHead {
    return (this.#head ??= this.#read());
  }

  get answerHead(): AnswerHead {
    if (this.#answerHead === null) {
      const [records, at] = [this.#records, this.location];
      this.#answerHead = AnswerHead.ofHttp1(
        records.word(at, word.status),
        records.view(at, records.sections(at).headAt, records.word(at, word.headBytes)),
        records.word(at, word.fieldsAt),
        records.word(at, word.lengthAt),
        this.contentBytes,
      );
    }
    return this.#answerHead;
  }

  get notModifiedHead(): AnswerHead {
    return (this.#notModifiedHead ??= AnswerHead.of(304, notModifiedHead(this.head.fields), null));
  }

  get body(): Body {
    return (this.#body ??= Body.of(this.#segments(), this.pin));
  }

  get contentBytes(): number {
    return this.#records.float(this.location, float.contentBytes);
  }

  get tags(): readonly string[] {
    if (this.#tags === null) {
      const [records, at] = [this.#records, this.location];
      const text = records.text(at, records.sections(at).tagsAt, records.word(at, word.tags) & 0xffff);
      this.#tags = text === "" ? [] : text.split("\n");
    }
    return this.#tags;
  }

  get inner(): boolean {
    return (this.#flags & flagInner) !== 0;
  }

  get lasting(): boolean {
    return (this.#flags & flagLasting) !== 0;
  }

  get part(): Part | null {
    return this.#records.part(this.location);
  }

  get copyUntil(): number | null {
    return (this.#flags & flagCopy) === 0 ? null : this.#records.float(this.location, float.copyUntil);
  }

  get freshUntil(): number {
    return this.#records.float(this.location, float.freshUntil);
  }

  get bytes(): number {
    const [records, at] = [this.#records, this.location];
    return this.#extents.reduce(
      (sum, extent) => sum + extent.bytes + extentHeadBytes,
      records.word(at, word.units) * unitBytes,
    );
  }

  get position(): number {
    return this.#records.float(this.location, float.heard);
  }

  get outdated(): boolean {
    return this.#records.has(this.location, flagOutdated);
  }

  get hits(): number {
    return this.#records.word(this.location, word.hits);
  }

  #read(): StoredHead {
    const [records, at] = [this.#records, this.location];
    const { fields } = this.answerHead;
    const names = varyNames(fields);
    const wallLeadSeconds = records.float(at, float.wallLead);
    return {
      status: records.word(at, word.status),
      fields,
      directives: responseDirectives(fields),
      born: records.float(at, float.born),
      dateSeconds: records.float(at, float.date),
      lifetime: {
        seconds: records.float(at, float.lifetime),
        source: lifetimeSources[(this.#flags >>> sourceShift) & sourceMask]!,
      },
      varyNames: names === "*" ? [] : names,
      variant: records.text(at, records.sections(at).variantAt, records.word(at, word.variantBytes)),
      requestSeconds: records.float(at, float.requestSeconds),
      responseSeconds: records.float(at, float.responseSeconds),
      wallLeadSeconds,
    };
  }

  #segments(): Buffer[] {
    const [records, at] = [this.#records, this.location];
    const inline = records.word(at, word.inlineBytes);
    if (inline > 0) return [records.view(at, records.sections(at).contentAt, inline)];
    return this.#extents.map(({ location, bytes }) => records.view(location, extentHeadBytes, bytes));
  }
}

/** What has been freshened after it had been dropped: of use to who waited for it, and to nobody else. */
export class DetachedResponse implements StoredResponse {
  readonly key: string;
  readonly hash: number;
  readonly head: StoredHead;
  readonly answerHead: AnswerHead;
  readonly notModifiedHead: AnswerHead;
  readonly body: Body;
  readonly tags: readonly string[];
  readonly inner: boolean;
  readonly lasting: boolean;
  readonly part: Part | null;
  readonly copyUntil: number | null;
  readonly freshUntil: number;
  readonly bytes = 0;
  readonly position: number;
  readonly outdated = false;
  readonly hits = 0;
  readonly pin: Pin;

  constructor(
    before: PageResponse | DetachedResponse,
    head: StoredHead,
    { position, tags }: { readonly position: number; readonly tags: readonly string[] },
  ) {
    this.key = before.key;
    this.hash = before.hash;
    this.head = head;
    this.body = before.body;
    this.answerHead = AnswerHead.of(head.status, head.fields, before.body.bytes);
    this.notModifiedHead = AnswerHead.of(304, notModifiedHead(head.fields), null);
    this.tags = tags;
    this.inner = before.inner;
    this.lasting = before.lasting;
    this.part = before.part;
    this.copyUntil = before.copyUntil;
    this.freshUntil = freshUntilOf(head, before.copyUntil);
    this.position = position;
    this.pin = before.pin;
  }
}

/** A stored response of this store. */
export type Kept = PageResponse | DetachedResponse;

/** What is kept of a response, without its content. */
export function keepsakeOf(kept: Kept): Keepsake {
  const { key, hash, head, inner, tags, position, copyUntil, part, outdated, lasting } = kept;
  return { key, hash, head, inner, tags, position, copyUntil, part, outdated, lasting };
}
