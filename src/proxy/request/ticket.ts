/**
 * A request that has left the fast way: its exchange, where it goes, how it ended. Ends exactly once, whoever ends it.
 */
import { randomBytes } from "node:crypto";
import { cacheStatus, type Outcome } from "../../http/cache-status.ts";
import type { FieldList } from "../../http/fields.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import { protocolOf, type Exchange } from "../../wire/exchange.ts";
import type { Desk } from "./desk.ts";
import { requestIdOf } from "./request-id.ts";
import { selectingOf } from "./selecting.ts";
import { tagsLine } from "./tags-line.ts";
import type { Target } from "./target.ts";
import { traceOf, type Trace } from "./trace.ts";

const random = {
  chance: Math.random,
  hex: (digits: number): string => randomBytes(digits / 2).toString("hex"),
} as const;

/** What is known of a request when it leaves the fast way. */
export interface TicketInit {
  readonly exchange: Exchange;
  readonly target: Target;
  /** The request's content where it belongs to the key (QUERY), else null. */
  readonly content: Buffer | null;
  readonly trusted: boolean;
  /** The form in which later requests like this one may take the shortcut of a hit; 0 for none. */
  readonly shortcut: number;
  /** Another member will keep the answer: it has to be told how that is tagged. */
  readonly isForKeeping: boolean;
  /**
   * Nobody has sent it: it is made for another, neither counted nor logged, and told here instead of being refused.
   */
  readonly madeFor?: { readonly ticket: Ticket; readonly refused: (refusal: Refusal) => void };
}

/** How an origin failed; `status` is that of its answer, where it gave one. */
export interface OriginFailure {
  readonly kind: "unreachable" | "server-error";
  readonly status: number | undefined;
}

/** An answer of this proxy's own. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly fields: FieldList;
}

/** One request under way. */
export class Ticket {
  readonly desk: Desk;
  /** Replaced where the answer of a member that died is resumed. */
  exchange: Exchange;
  target: Target;
  readonly content: Buffer | null;
  readonly trusted: boolean;
  readonly shortcut: number;
  readonly isForKeeping: boolean;
  /** The tags of what it is answered with. */
  tags: readonly string[] = [];
  /** What the request says in the fields that Vary names. */
  readonly selecting: (varyNames: readonly string[]) => string;
  readonly startedMs: number = performance.now();
  outcome: Outcome = { hit: false };
  reason: string | null = null;
  status = 0;
  /** The member that owns the key, and what it says of its part, where it was asked. */
  owner: string;
  owned: string | null = null;
  /** The origin that was asked for it, where one was. */
  origin: string | null = null;
  /** Members that have been asked for a copy, or for what they had as previous owners, in vain. */
  membersTried: readonly string[] = [];
  /** What is stored and was not in memory has been brought back, as far as it could be. */
  recalled = false;
  /** Something has been brought back for it. */
  wasOnDisk = false;
  /** The owner has sent the request back: another must answer it. */
  ownerDeclined = false;
  /** The member that owns its key has been asked in vain: it is gone, or stands still. */
  ownerGone = false;
  /** Where it is answered with a coding that was made for it: how what that was made of was come by. */
  codedFrom: { readonly outcome: Outcome; readonly shown: StoredHead | null; readonly isStale: boolean } | null = null;
  /** Why it is answered with what is stale and must not be, else. */
  staleBy: OriginFailure | null = null;
  /** What it is answered with, where that is (or is about to be) stored. */
  shown: StoredHead | null = null;
  /** Where it is made for another. */
  readonly madeFor: NonNullable<TicketInit["madeFor"]> | null;
  #ended = false;
  #switched = false;
  #requestId: string | null = null;
  #firstByteMs: number | null = null;
  #trace: Trace | null = null;

  constructor(desk: Desk, { exchange, target, content, trusted, shortcut, isForKeeping, madeFor }: TicketInit) {
    this.desk = desk;
    this.exchange = exchange;
    this.target = target;
    this.content = content;
    this.trusted = trusted;
    this.shortcut = shortcut;
    this.isForKeeping = isForKeeping;
    this.owner = desk.self;
    this.selecting = selectingOf(this);
    this.madeFor = madeFor ?? null;
    if (madeFor === undefined) desk.recorder.began();
    else {
      this.#requestId = madeFor.ticket.requestId;
      this.#trace = madeFor.ticket.trace;
    }
  }

  /** What it is called where it goes; null where its route gives no names. */
  get requestId(): string | null {
    if (this.target.route?.namesRequests !== true) return null;
    return (this.#requestId ??= requestIdOf(this.exchange, this.trusted));
  }

  /**
   * Its part of a trace, for what goes on; null where none is followed, or begins. What goes on when it has ended (a
   * validation behind a stale answer) belongs to the part that was told then: one that began now would be nobody's.
   */
  get trace(): Trace | null {
    return (this.#trace ??= this.#ended ? null : this.#traceOf(true));
  }

  #traceOf(mayBegin: boolean): Trace | null {
    const { tracing } = this.desk;
    if (tracing === null) return null;
    const { head, hop, traced } = this.exchange;
    // Where a client came in is where its trace is judged, and where one begins.
    const believed = hop === 1 ? traced === true : this.trusted;
    const sample = mayBegin && hop === 0 ? tracing.sample : 0;
    return traceOf(head.fields, { exports: tracing.exports, sample }, believed, random);
  }

  /** The lines that this member adds to an answer: Age where it is known, Cache-Status, Via; for members also tags. */
  lines(ageSeconds: number | null): string {
    this.#firstByteMs ??= performance.now() - this.startedMs;
    const tags = this.isForKeeping ? tagsLine(this.target.caching, this.tags) : "";
    const age = ageSeconds === null ? "" : `age: ${Math.max(0, Math.floor(ageSeconds))}\r\n`;
    // A key that is just the URI says nothing new.
    const { key, text } = this.target;
    const outcome = key === text ? this.outcome : { ...this.outcome, key: key.replaceAll("\n", " ") };
    return `${tags}${age}cache-status: ${cacheStatus(this.desk.self, outcome)}\r\n${this.desk.viaLine}`;
  }

  /** What it asks for is not to be coded: it goes on as if it took no coding. */
  uncode(): void {
    this.target = { ...this.target, coding: null };
    this.codedFrom = null;
  }

  /** From now on it is a tunnel: it stays in flight, but is no work. */
  switched(): void {
    if (this.#ended || this.#switched) return;
    this.#switched = true;
    this.desk.recorder.switched();
  }

  /** `tunnelled`: bytes that a tunnel has brought its client. */
  end(complete: boolean, tunnelled = 0): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.madeFor !== null) return;
    const { exchange, target, desk } = this;
    const { refusal = null } = exchange;
    desk.recorder.ended(this.#switched ? "tunnel" : "request");
    desk.recorder.finished(
      {
        client: exchange.client.address,
        serverName: exchange.client.serverName ?? null,
        protocol: protocolOf(exchange.head, exchange.client),
        method: exchange.head.method,
        uri: target.text,
        status: refusal?.status ?? this.status,
        tier: this.outcome.hit
          ? this.wasOnDisk
            ? "disk"
            : this.outcome.detail === "hot-copy"
              ? "copy"
              : "memory"
          : null,
        tags: this.tags,
        reason: refusal?.reason ?? this.reason,
        owner: this.owner,
        owned: this.owned,
        origin: this.origin,
        requestId: this.#requestId,
        // What has not gone on begins none.
        trace: (this.#trace ??= this.#traceOf(false)),
        route: target.route?.name ?? null,
        firstByteMs: this.#firstByteMs,
        target: exchange.head.target,
        fields: exchange.head.fields,
        hop: exchange.hop,
        bytes: exchange.sentBytes + tunnelled,
        durationMs: performance.now() - this.startedMs,
        // What it was told instead of an answer was whole.
        complete: complete || refusal !== null,
      },
      this.outcome,
    );
  }
}
