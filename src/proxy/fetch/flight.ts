/**
 * The one fetch for a key, alone or shared (flights.ts says which a request takes). A flight begins with the ticket
 * that needed it; others for the same key join it, before its head has come or while its content streams, and all are
 * served from its first byte. It stores what may be stored. Those it cannot serve (the response is not storable, or
 * another variant) start over at once.
 *
 *   waiting    no head yet
 *   judged     the head is known, but nobody may see it before every member has dropped what it invalidates
 *   streaming  the head is known and shown, content is arriving
 *   over       nothing more will come; who reads what has come goes on reading
 *
 * A flight outlives the client that began it as long as anybody waits.
 */
import { background } from "../../base/background.ts";
import { isNotModified } from "../../http/conditional.ts";
import { requestDirectives } from "../../http/directives.ts";
import type { FieldList } from "../../http/fields.ts";
import { currentAge, freshSecondsLeft, type ResponseTimes } from "../../http/freshness.ts";
import { isDoubt, isServerError, reuse } from "../../http/reuse.ts";
import type { Fetch, OriginHandler } from "../../origin/fetch.ts";
import type { OriginError } from "../../origin/origin-error.ts";
import type { Lease } from "../../store/port.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import { deliver, send } from "../answer/deliver.ts";
import { mayBeShown, refuseInside } from "../answer/inside.ts";
import { covers } from "../answer/parts.ts";
import { refuseFailed } from "../answer/refuse.ts";
import { mayServeStale, serveStale, type OriginFailure } from "../answer/stale.ts";
import { invalidatedBy } from "../invalidation/invalidated-by.ts";
import type { Ticket } from "../request/ticket.ts";
import { freshenByHead, freshenStored } from "./freshening.ts";
import { Intake } from "./intake.ts";
import { holdsForAll, judge, passedFields, supersedes, type Judgement } from "./judging.ts";
import { conclude, keepableBytes, notKept } from "./keeping.ts";
import type { FetchNeeds } from "./needs.ts";
import { fetchForFlight } from "./forms.ts";
import { uncoded } from "./coded-source.ts";
import { fetchFromPeer, peerGone, type PeerSource } from "./peer-source.ts";
import type { FlightInit } from "./flight-init.ts";
import { conditionsOf, isHit } from "./sharing.ts";
import { Waiting, type Again, type Waiter } from "./waiting.ts";

/**
 * A request to the origin that is no older may answer another one, while every answer has to come from there. Seconds.
 */
const youngSeconds = 0.1;

type State =
  | { readonly kind: "waiting" }
  | { readonly kind: "judged"; readonly judgement: Judgement; readonly intake: Intake; ended: boolean }
  | {
      readonly kind: "streaming";
      readonly judgement: Judgement;
      readonly intake: Intake;
      /** For the client that asked first, and for all others: some fields may be for the first alone. */
      readonly own: AnswerHead;
      readonly shared: AnswerHead;
    }
  | { readonly kind: "over" };

/** A fetch and all who wait for it. */
export class Flight {
  readonly #needs: FetchNeeds;
  readonly #init: FlightInit;
  readonly #validating: Lease | null;
  readonly #source: PeerSource | null;
  readonly #background: boolean;
  readonly #method: string;
  /** The store's position when it began: what it brings has heard of every invalidation up to that. */
  #position: number;
  /** Told by the member that it comes from. */
  #givenTags: readonly string[] | null = null;
  readonly #waiting = new Waiting(() => this.#cancelIfUnwanted());
  #state: State = { kind: "waiting" };
  #reading = 0;
  /** An asker was satisfied with less than the whole (a head, a 304, a range): the rest is for the next ones. */
  #filling = false;
  #fetch: Fetch | null = null;
  readonly #startedMs = performance.now();
  #requestSeconds: number;
  #attempt = 0;
  #inner = false;

  constructor(needs: FetchNeeds, init: FlightInit) {
    this.#needs = needs;
    this.#init = init;
    const { first, background: unwaited = false, validating, source } = init;
    this.#validating = validating ?? null;
    this.#source = source ?? null;
    this.#background = unwaited;
    this.#requestSeconds = first.desk.nowSeconds();
    this.#position = needs.store.position;
    const { method } = first.exchange.head;
    // A HEAD whose stored response must be validated asks with GET: a 200 then brings the new content, not just its
    // head.
    const whole = unwaited || source !== undefined || validating !== undefined;
    this.#method = method === "HEAD" && whole ? "GET" : method;
  }

  /** Whether what it brings may be older than an invalidation: then it is for nobody who has not asked before that. */
  get isOver(): boolean {
    const state = this.#state;
    const tags = state.kind === "judged" || state.kind === "streaming" ? state.judgement.tags : null;
    return this.#needs.store.isOver(this.#position, this.#init.first.target.key, tags);
  }

  // ---- joining ----------------------------------------------------------------------------------------------------

  /** Lets a ticket join, where it can be served with what this flight brings. @returns whether it was. */
  takes(ticket: Ticket, again: Again): boolean {
    const state = this.#state;
    const directives = requestDirectives(ticket.exchange.head.fields);
    // What another member has may not do for who wants more than what is stored. RFC 9111 §5.2.1.
    if (this.#source !== null && directives.size > 0) return false;
    const waiter = { ticket, again, collapsed: true };
    if (!this.#isYoungEnough(ticket)) return false;
    if (state.kind === "waiting") {
      this.#waiting.add(waiter);
      return true;
    }
    if (state.kind !== "streaming" || !state.intake.storing || !state.intake.body.whole) return false;
    const { head } = state.judgement;
    const now = ticket.desk.nowSeconds();
    if (reuse(head, directives, now, { honourReload: true, graceSeconds: 0 }).kind !== "hit") return false;
    if (head.variant !== ticket.selecting(head.varyNames)) return false;
    this.#serve(state, waiter, now);
    return true;
  }

  /**
   * While this member may not know what others have been told, every answer has to come from the origin: from a request
   * that is hardly older than the one to be answered.
   */
  #isYoungEnough({ desk }: Ticket): boolean {
    const now = desk.nowSeconds();
    if (this.#needs.invalidations.isInTouch(now)) return true;
    return this.#state.kind === "waiting" && now - this.#requestSeconds < youngSeconds;
  }

  /** Sends the request for the ticket that needed it. */
  begin(ticket: Ticket, again: Again | null): void {
    this.#waiting.add({ ticket, again, collapsed: false });
    if (this.#state.kind === "waiting") this.#send(this.#validating === null ? "plain" : "validate");
  }

  /** Sends a validation that nobody waits for. */
  beginAlone(): void {
    this.#send("validate");
  }

  #cancelIfUnwanted(): void {
    const state = this.#state;
    if (state.kind === "over" || this.#waiting.size > 0 || this.#reading > 0) return;
    const intake = state.kind === "waiting" ? null : state.intake;
    // All of it has come: nothing is left to cancel, and what can be kept is about to be.
    if (intake?.body.complete === true) return;
    const keeps = intake !== null && intake.storing && !this.isOver;
    if (this.#filling && keeps) return;
    // A background validation is waited for by nobody, until it turns out to bring nothing to store.
    if (this.#background && (intake === null || keeps)) return;
    // What is nearly there is worth having: the next client may want it.
    if (state.kind === "streaming" && keeps) {
      const { contentBytes } = state.judgement;
      if (contentBytes !== null && state.intake.body.bytes * 2 > contentBytes) return;
    }
    this.#finish();
    this.#fetch?.cancel();
    intake?.fail();
  }

  // ---- the fetch --------------------------------------------------------------------------------------------------

  /**
   * Whether the client's own conditions and Range go along: not where others share the fetch, or a stored response is
   * asked about.
   */
  get #keepsConditions(): boolean {
    return this.#init.unlist === null && this.#validating === null;
  }

  #send(how: "plain" | "validate"): void {
    const { first } = this.#init;
    this.#requestSeconds = first.desk.nowSeconds();
    // A second attempt may follow: what the first still brings is then nobody's.
    const attempt = ++this.#attempt;
    const current = (): boolean => attempt === this.#attempt;
    const handler: OriginHandler = {
      interim: (status, fields) => current() && this.#waiting.inform(status, passedFields(fields)),
      head: (status, fields, inner) => current() && this.#answered(status, fields, inner, how),
      data: (chunk) => current() && this.#received(chunk),
      end: (trailers) => current() && this.#ended(trailers),
      failed: (error) => current() && this.#failed(error),
    };
    if (this.#source !== null) {
      this.#fetch = fetchFromPeer(
        this.#needs,
        first,
        { ...this.#source, bytesMax: this.#bytesMax },
        handler,
        (tags) => void (this.#givenTags = tags),
      );
      if (this.#fetch === null) this.#startOver(peerGone);
      return;
    }
    const conditional =
      how === "validate" && this.#validating !== null
        ? conditionsOf(this.#validating.stored)
        : this.#keepsConditions
          ? "kept"
          : [];
    const tagged = (tags: readonly string[]): void => void (this.#givenTags = tags);
    this.#fetch = fetchForFlight(this.#needs, this.#init, { method: this.#method, conditional, tagged }, handler);
  }

  get #bytesMax(): number {
    return keepableBytes(this.#needs, this.#source);
  }

  #answered(status: number, fields: FieldList, inner: boolean, how: "plain" | "validate"): void {
    // A second head would be another answer: what it brings must not be added to the first one's content.
    if (this.#state.kind !== "waiting") return this.#fetch?.cancel();
    const { first } = this.#init;
    const times: ResponseTimes = {
      requestSeconds: this.#requestSeconds,
      responseSeconds: first.desk.nowSeconds(),
      wallLeadSeconds: first.desk.wallLeadSeconds(),
    };
    this.#inner = inner;
    if (how === "validate" && status === 304) return this.#notModified(fields, times);
    const fromOrigin = this.#source === null;
    if (fromOrigin && isServerError(status) && this.#standIn({ kind: "server-error", status })) return this.#stop();
    const method = this.#method;
    const validating = this.#validating?.stored ?? null;
    const judgement = judge(first, { method, status, fields, times, validating, tags: this.#givenTags });
    if (judgement.reason === "outlived" && this.#background && this.#waiting.size === 0) return this.#stop();
    const { store, invalidations, failed } = this.#needs;
    const isOver = store.isOver(this.#position, first.target.key, judgement.tags);
    if (method === "HEAD" && status === 200 && !isOver) freshenByHead(store, first, fields, times);
    const intake = new Intake(store, {
      store: judgement.store && !isOver,
      contentBytes: judgement.contentBytes,
      bytesMax: this.#bytesMax,
      as: this.#source?.kind === "copy" ? "copy" : "own",
      source: this.#fetch,
      passes: () => {
        this.#init.unlist?.();
        this.#cancelIfUnwanted();
      },
    });
    const named = invalidatedBy(first, status, fields);
    if (named.length === 0) return this.#show(judgement, intake);
    // The answer waits until every member has heard: whoever sees it must not then see the old response.
    this.#state = { kind: "judged", judgement, intake, ended: false };
    const told = invalidations.everywhere(named);
    // What has come with it is not older than what it has changed.
    if (!isOver) this.#position = store.position;
    background(
      told.then(() => this.#show(judgement, intake)),
      failed,
    );
  }

  /** The head may be seen: everybody who waits is served, or told to go on alone. */
  #show(judgement: Judgement, intake: Intake): void {
    const before = this.#state;
    if (before.kind === "over") return;
    const { first } = this.#init;
    const now = first.desk.nowSeconds();
    const { head, contentBytes, passed } = judgement;
    const own = AnswerHead.once(head.status, passed, contentBytes);
    const shared = intake.storing ? AnswerHead.once(head.status, head.fields, contentBytes) : own;
    const state = { kind: "streaming", judgement, intake, own, shared } as const;
    this.#state = state;
    const shareable = intake.storing && isHit(head, now);
    this.#remember(judgement, { shareable, storing: intake.storing }, now);
    const how = { isStored: intake.storing, isBackground: this.#background };
    if (this.#validating !== null && supersedes(head.status, how)) this.#needs.store.discard(this.#validating.stored);
    // One whose answer ends as soon as it begins must not end it for those still to be served.
    this.#reading++;
    const isRoomless = judgement.store && !intake.storing && !this.isOver;
    const reason = judgement.reason ?? (isRoomless ? "no-room" : null);
    // A part that nobody has asked for is its asker's to make something of.
    this.#waiting.settle({ head, shareable: shareable && head.status !== 206 }, (waiter) => {
      if (reason !== null) waiter.ticket.reason = reason;
      this.#serve(state, waiter, now);
    });
    this.#reading--;
    if (before.kind === "judged" && before.ended) return this.#conclude(state);
    return this.#cancelIfUnwanted();
  }

  /** Whether the next requests for this key have something to wait for. */
  #remember(
    { reason }: Judgement,
    { shareable, storing }: { readonly shareable: boolean; readonly storing: boolean },
    now: number,
  ): void {
    const { uncacheable, uncopied } = this.#needs;
    const { key } = this.#init.first.target;
    const known = this.#source?.kind === "copy" ? uncopied : uncacheable;
    if (shareable) known.delete(key);
    else if (holdsForAll(reason) && !this.isOver && (this.#init.unlist !== null || known.has(key, now))) {
      known.add(key, now, storing ? "never-fresh" : (reason ?? "no-room"));
      this.#init.unlist?.();
    }
  }

  #serve(state: State & { readonly kind: "streaming" }, { ticket, collapsed }: Waiter, now: number): void {
    const { exchange } = ticket;
    const { judgement, intake, own, shared } = state;
    const { head } = judgement;
    exchange.inner = this.#inner;
    ticket.tags = judgement.tags;
    const ownFetch = !collapsed && this.#source === null;
    if (!ownFetch && !mayBeShown(this.#inner, exchange)) return refuseInside(ticket);
    const ttlSeconds = intake.storing ? freshSecondsLeft(head, now) : undefined;
    ticket.outcome =
      this.#init.first.codedFrom?.outcome.hit === true
        ? { hit: true, ttlSeconds, detail: "compressed" }
        : {
            hit: false,
            forward: this.#init.why,
            forwardStatus: head.status,
            stored: intake.storing,
            collapsed,
            ttlSeconds,
            detail: this.#detail(ticket, intake),
          };
    this.#reading++;
    const left = (): void => {
      this.#reading--;
      if (!exchange.closed) this.#filling = true;
      this.#cancelIfUnwanted();
    };
    const answerHead = collapsed ? shared : own;
    // The conditions of a POST are its origin's to evaluate. RFC 9110 §13.2.1.
    const evaluates =
      exchange.head.method !== "POST" &&
      (intake.storing || (!this.#keepsConditions && isNotModified(exchange.head.fields, head, now)));
    if (head.status === 200 && evaluates)
      return deliver(ticket, { head, answerHead, body: intake.body, part: null, tags: judgement.tags }, now, left);
    ticket.status = head.status;
    ticket.shown = head;
    exchange.begin(answerHead, ticket.lines(currentAge(head, now)));
    return send(ticket, intake.body, 0, null, left);
  }

  #detail({ reason }: Ticket, { storing }: Intake): string | undefined {
    if (this.#source !== null) return `${this.#source.kind === "copy" ? "owner" : "peeked"}-${this.#source.member}`;
    if (storing && !isDoubt(reason)) return undefined;
    return reason === this.#init.why ? undefined : (reason ?? undefined);
  }

  #received(chunk: Buffer): void {
    const state = this.#state;
    if (state.kind === "waiting" || state.kind === "over") return;
    state.intake.received(chunk);
    if (this.#reading === 0 && this.#position !== this.#needs.store.position) this.#cancelIfUnwanted();
  }

  #ended(trailers: FieldList): void {
    const state = this.#state;
    if (state.kind === "waiting" || state.kind === "over") return;
    state.intake.finish(passedFields(trailers));
    if (state.kind === "judged") state.ended = true;
    else this.#conclude(state);
  }

  #conclude({ judgement, intake }: State & { readonly kind: "streaming" }): void {
    const { first, hash } = this.#init;
    const brought = { hash, judgement, inner: this.#inner, position: this.#position, source: this.#source };
    conclude(this.#needs, first, intake, brought);
    intake.abandon();
    this.#finish();
  }

  #failed(error: OriginError): void {
    const state = this.#state;
    if (state.kind === "over") return;
    if ((this.#source !== null || error.code === uncoded) && state.kind === "waiting")
      return this.#startOver(error.code);
    if (state.kind === "streaming") {
      this.#finish();
      notKept(this.#init.first, this.#source, state.judgement.reason ?? "incomplete");
      return state.intake.fail();
    }
    if (state.kind === "judged") state.intake.fail();
    else if (error.phase !== "refused" && this.#standIn({ kind: "unreachable", status: undefined }))
      return this.#finish();
    const validated = this.#validating !== null;
    const waiters = this.#waiting.take();
    this.#finish();
    const now = performance.now();
    for (const { ticket, again, collapsed } of waiters) {
      // Who has joined late has not had its own time: the origin is asked once more, for all of these.
      const isEarly = collapsed && again !== null && (now - ticket.startedMs) * 2 < now - this.#startedMs;
      if (error.code === "HEAD_TIMEOUT" && isEarly) {
        again(ticket, "anew");
        continue;
      }
      ticket.outcome = { hit: false, forward: this.#init.why, detail: error.code };
      // What is denied here may be open at the member that the client spoke to.
      if (error.phase === "refused" && ticket.exchange.decline(error.message)) ticket.end(true);
      // RFC 9111 §5.2.2.2: what must be validated, and cannot be, is answered with 504.
      else refuseFailed(ticket, error, validated && error.phase !== "refused" ? 504 : error.status);
    }
  }

  /** The other member had nothing, or is gone: everybody goes on as if it had not been asked. */
  #startOver(code: string): void {
    const waiters = this.#waiting.take();
    this.#finish();
    for (const { ticket, again } of waiters) {
      if (this.#source !== null) ticket.membersTried = [...ticket.membersTried, this.#source.member];
      if (code === peerGone && this.#source?.kind === "copy") ticket.ownerGone = true;
      if (code === uncoded) ticket.uncode();
      again?.(ticket, "anew");
    }
  }

  // ---- validation -------------------------------------------------------------------------------------------------

  #notModified(fields: FieldList, times: ResponseTimes): void {
    const { store, uncacheable } = this.#needs;
    const { first: asker, why } = this.#init;
    const lease = this.#validating!;
    const result = freshenStored(store, asker, fields, { lease, times, position: this.#position });
    // The 304 does not speak of what was asked about: only the whole response can help. RFC 9111 §4.3.4.
    if (result === null) return this.#send("plain");
    const { shared, first } = result;
    const now = asker.desk.nowSeconds();
    const fresh = shared?.stored ?? null;
    const head = fresh?.head ?? first.head;
    if (fresh !== null && isHit(head, now)) uncacheable.delete(asker.target.key);
    this.#init.unlist?.();
    this.#waiting.settle({ head, shareable: fresh !== null }, ({ ticket, again, collapsed }) => {
      const what = collapsed && fresh !== null ? fresh : first;
      const { exchange } = ticket;
      // The date that If-Range names may have changed with the validation.
      if (!covers(what, exchange, now)) return again?.(ticket, "alone");
      ticket.outcome = {
        hit: false,
        forward: why,
        forwardStatus: 304,
        collapsed,
        ttlSeconds: freshSecondsLeft(head, now),
        detail: isDoubt(ticket.reason) ? ticket.reason : undefined,
      };
      exchange.inner = lease.stored.inner;
      const reading = store.lease(fresh ?? lease.stored);
      return deliver(ticket, what, now, () => reading.release());
    });
    shared?.release();
    return this.#finish();
  }

  /** Answers those with the stale stored response who may have it. @returns whether nobody is left. */
  #standIn(failure: OriginFailure): boolean {
    if (this.#validating === null) return false;
    const { stored } = this.#validating;
    const { store } = this.#needs;
    const taken = this.#waiting.take(
      ({ ticket }) =>
        covers(stored, ticket.exchange, ticket.desk.nowSeconds()) && mayServeStale(ticket, stored, failure),
    );
    for (const { ticket, collapsed } of taken) {
      const lease = store.lease(stored);
      serveStale(ticket, stored, failure, { collapsed, left: () => lease.release() });
    }
    return this.#waiting.size === 0 && taken.length > 0;
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** What comes is of no use to anybody. */
  #stop(): void {
    this.#finish();
    this.#fetch?.cancel();
  }

  #finish(): void {
    const { kind } = this.#state;
    if (kind === "over") return;
    if (kind !== "waiting") this.#state.intake.over();
    this.#state = { kind: "over" };
    this.#init.unlist?.();
    this.#validating?.release();
  }
}
