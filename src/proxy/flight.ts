/**
 * The one fetch for a key, alone or shared (flights.ts says which a request takes). A flight begins with the ticket that needed it; others for the same key join
 * it, before its head has come or while its content streams, and all are served from its first byte. It stores what may
 * be stored. Those it cannot serve (the response is not storable, or another variant) start over at once.
 *
 * States: waiting (no head yet) → streaming (head known, content arriving) → over. A flight outlives the client that
 * began it as long as anybody waits.
 */
import type { Outcome } from "../http/cache-status.ts";
import { requestDirectives } from "../http/directives.ts";
import { fieldBlock, type FieldList } from "../http/fields.ts";
import { currentAge, freshSecondsLeft } from "../http/freshness.ts";
import { groupsOf, invalidatedGroups } from "../http/groups.ts";
import { originText } from "../http/uri.ts";
import { invalidatedUris } from "../http/invalidation.ts";
import { isServerError, reuse } from "../http/reuse.ts";
import type { StoredHead } from "../http/stored-head.ts";
import { variantOf } from "../http/vary.ts";
import type { Fetch, OriginHandler } from "../origin/origin-client.ts";
import type { OriginError } from "../origin/origin-error.ts";
import { Body } from "../store/body.ts";
import { groupKey, StoredResponse } from "../store/stored-response.ts";
import { preparedHead, type PreparedHead } from "../wire/exchange.ts";
import { deliver, send } from "./deliver.ts";
import { servedStale } from "./stale.ts";
import { fetchFor } from "./fetch.ts";
import { invalidateEverywhere, invalidateGroupsEverywhere } from "./invalidate.ts";
import { combined } from "./parts.ts";
import type { Plane } from "./plane.ts";
import { refuse } from "./refuse.ts";
import { freshenByHead, freshenStored, judge, passedFields, type Judgement } from "./response-policy.ts";
import { isSelective, validationsOf } from "./flight-request.ts";
import { copySeconds } from "../ring/hot-keys.ts";
import { owner } from "../ring/ring.ts";
import { Reservation } from "../store/reservation.ts";
import { fetchFromPeer, type PeerSource } from "./peer-source.ts";
import type { Ticket } from "./ticket.ts";

/** Serves a ticket that a flight could not: `alone` without waiting for anybody, `anew` from the start. */
export type Again = (ticket: Ticket, how: "alone" | "anew") => void;

interface Waiter {
  readonly ticket: Ticket;
  readonly again: Again | null;
  /** Joined an existing flight. */
  readonly collapsed: boolean;
}

export type Why = NonNullable<Outcome["forward"]>;

/** What is not so of most flights. */
export interface Particulars {
  readonly background?: boolean;
  /** Another member is asked first; where it has nothing, all who wait start over. */
  readonly source?: PeerSource;
}

/** The part of the room for hot copies that one of them may take. */
const copyShareMax = 1 / 4;

/** Room asked of the store at a time for content of unknown length. */
const reserveStepBytes = 256 * 1024;

/** A fetch and all who wait for it. */
export class Flight {
  readonly #plane: Plane;
  readonly #first: Ticket;
  readonly #hash: number;
  readonly #why: Why;
  /** What the request was conditional on; empty where it was not. */
  readonly #validating: readonly StoredResponse[];
  readonly #flightKey: string | null;
  readonly #background: boolean;
  readonly #source: PeerSource | null;
  #waiters: Waiter[] = [];
  #reading = 0;
  #fetch: Fetch | null = null;
  #requestSeconds: number;
  #head: StoredHead | null = null;
  #judgement: Judgement | null = null;
  /** For the client that asked first, and for all others: some fields may be for the first alone. */
  #prepared: PreparedHead | null = null;
  #shared: PreparedHead | null = null;
  #method: string;
  #body: Body | null = null;
  #inner = false;
  readonly #room: Reservation;
  #storing = false;
  #over = false;
  /** The key was invalidated after the fetch had begun: what it brings may be old. */
  #invalidated = false;

  constructor(
    first: Ticket,
    hash: number,
    why: Why,
    validating: readonly StoredResponse[],
    flightKey: string | null,
    { background = false, source }: Particulars = {},
  ) {
    this.#plane = first.plane;
    this.#first = first;
    this.#hash = hash;
    this.#why = why;
    this.#validating = validating;
    this.#flightKey = flightKey;
    this.#background = background;
    this.#source = source ?? null;
    this.#requestSeconds = this.#plane.nowSeconds();
    this.#room = new Reservation(this.#plane.store);
    // A HEAD whose stored response must be validated asks with GET: a 200 then brings the new content, not just its head.
    this.#method =
      background || source !== undefined || (validating.length > 0 && first.exchange.head.method === "HEAD")
        ? "GET"
        : first.exchange.head.method;
    if (flightKey !== null) this.#plane.flights.set(flightKey, this);
    const { fetching } = this.#plane;
    const others = fetching.get(first.target.key);
    if (others === undefined) fetching.set(first.target.key, new Set([this]));
    else others.add(this);
  }

  /** What this flight brings must not be stored: the key was invalidated. */
  invalidate(): void {
    this.#invalidated = true;
    this.#unlist();
  }

  // ---- joining ----------------------------------------------------------------------------------------------------

  /** Lets a ticket join, where it can be served with what this flight brings. @returns whether it was. */
  takes(ticket: Ticket, again: Again): boolean {
    if (this.#over || this.#invalidated) return false;
    const { exchange } = ticket;
    // What another member has may not do for who wants more than what is stored. RFC 9111 §5.2.1.
    if (this.#source !== null && requestDirectives(exchange.head.fields).size > 0) return false;
    if (this.#head === null) {
      this.#await({ ticket, again, collapsed: true });
      return true;
    }
    const now = this.#plane.nowSeconds();
    const body = this.#body;
    if (body === null || !body.whole || !this.#storing) return false;
    const decision = reuse(this.#head, requestDirectives(exchange.head.fields), now, {
      honourReload: true,
      graceSeconds: 0,
    });
    if (decision.kind !== "hit" || this.#head.variant !== variantOf(this.#head.varyNames, exchange.head.fields))
      return false;
    this.#serve({ ticket, again, collapsed: true }, now);
    return true;
  }

  /** Sends the request for the ticket that needed it. */
  begin(ticket: Ticket, again: Again | null): void {
    this.#await({ ticket, again, collapsed: false });
    this.#send(this.#validating.length > 0 ? "validate" : "plain");
  }

  /** Sends a validation that nobody waits for. */
  beginAlone(): void {
    this.#send("validate");
  }

  #await(waiter: Waiter): void {
    this.#waiters.push(waiter);
    const { exchange } = waiter.ticket;
    exchange.onClose = () => {
      waiter.ticket.end(false);
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      this.#cancelIfUnwanted();
    };
    if (exchange.closed) exchange.onClose();
  }

  #cancelIfUnwanted(): void {
    if (this.#over || this.#waiters.length > 0 || this.#reading > 0) return;
    // A background validation is waited for by nobody, until it turns out to bring nothing to store.
    if (this.#background && (this.#head === null || this.#storing)) return;
    // What is nearly there is worth having: the next client may want it.
    if (this.#storing && this.#prepared?.contentBytes != null && this.#body!.bytes * 2 > this.#prepared.contentBytes)
      return;
    this.#finish();
    this.#fetch?.cancel();
    this.#body?.fail();
  }

  // ---- the fetch --------------------------------------------------------------------------------------------------

  #send(how: "plain" | "validate"): void {
    const keepConditions = this.#flightKey === null && this.#validating.length === 0;
    const conditions = how === "validate" ? validationsOf(this.#validating) : keepConditions ? ("kept" as const) : [];
    this.#requestSeconds = this.#plane.nowSeconds();
    const handler: OriginHandler = {
      interim: (status, fields) => {
        // To the one whose request it answers: others might be told of what is not theirs.
        for (const { ticket, collapsed } of this.#waiters)
          if (!collapsed) ticket.exchange.inform(status, passedFields(fields));
      },
      head: (status, fields, inner) => this.#answered(status, fields, inner, how),
      data: (chunk) => this.#received(chunk),
      end: (trailers) => this.#ended(trailers),
      failed: (error) => this.#failed(error),
    };
    if (this.#source === null) {
      this.#plane.recorder.counts.originFetches++;
      this.#fetch = fetchFor(this.#first, this.#method, conditions, handler);
      return;
    }
    this.#fetch = fetchFromPeer(this.#first, this.#source, this.#bytesMax, handler);
    if (this.#fetch === null) this.#startOver();
  }

  /** The largest content that this flight may store. */
  get #bytesMax(): number {
    const { objectBytesMax, store } = this.#plane;
    return this.#source?.kind === "copy"
      ? Math.min(objectBytesMax, store.copiesBytesMax * copyShareMax)
      : objectBytesMax;
  }

  #answered(status: number, fields: FieldList, inner: boolean, how: "plain" | "validate"): void {
    if (this.#over) return;
    const plane = this.#plane;
    const times = { requestSeconds: this.#requestSeconds, responseSeconds: plane.nowSeconds() };
    this.#inner = inner;
    if (how === "validate" && status === 304) return this.#notModified(fields, times);
    if (this.#source === null && isServerError(status) && this.#serveStale("server-error", status)) {
      this.#finish();
      this.#fetch?.cancel();
      return;
    }
    const judgement = judge(this.#first, this.#method, status, fields, times);
    const { head } = this.#first.exchange;
    if (this.#method === "HEAD" && status === 200) freshenByHead(this.#first, fields, times);
    const invalid = invalidatedUris(head.method, this.#first.target.uri, status, fields);
    const groups = invalidatedGroups(head.method, status, fields);
    if (invalid.length === 0) return this.#streamed(judgement, status);
    // The answer waits until every owner has heard: whoever sees it must not then see the old response.
    const origin = originText(this.#first.target.uri);
    Promise.all([
      invalidateEverywhere(plane, invalid, this.#first),
      groups.length === 0 ? null : invalidateGroupsEverywhere(plane, origin, groups),
    ]).then(() => this.#streamed(judgement, status), plane.failed);
    this.#body = this.#newBody(judgement);
  }

  /** The head is judged: everybody who waits is served, or told to go on alone. */
  #streamed(judgement: Judgement, status: number): void {
    if (this.#over && this.#body?.complete !== true) return;
    const plane = this.#plane;
    const now = plane.nowSeconds();
    this.#head = judgement.head;
    this.#body ??= this.#newBody(judgement);
    this.#judgement = judgement;
    this.#prepared = preparedHead(status, fieldBlock(judgement.passed), judgement.contentBytes);
    this.#shared = this.#storing
      ? preparedHead(status, fieldBlock(judgement.head.fields), judgement.contentBytes)
      : this.#prepared;
    if (judgement.store && (this.#source === null || this.#storing)) {
      plane.uncacheable.delete(this.#first.target.key);
    } else if (this.#flightKey !== null && !this.#invalidated) {
      plane.uncacheable.add(this.#first.target.key, now, judgement.reason);
      this.#unlist();
    }
    // What came instead of a 304 supersedes what was asked about, whether it may be stored or not.
    if (status < 500 && this.#why !== "vary-miss") for (const stored of this.#validating) plane.store.discard(stored);
    const waiters = this.#waiters;
    this.#waiters = [];
    const shareable =
      this.#storing && reuse(judgement.head, new Map(), now, { honourReload: false, graceSeconds: 0 }).kind === "hit";
    for (const waiter of waiters) {
      const { ticket, again, collapsed } = waiter;
      // Who began the flight may have left: it is having joined, not the place in the queue, that makes the answer another's.
      if (collapsed && !shareable) again!(ticket, "alone");
      else if (collapsed && judgement.head.variant !== variantOf(judgement.head.varyNames, ticket.exchange.head.fields))
        again!(ticket, "anew");
      else {
        ticket.reason = judgement.store ? ticket.reason : judgement.reason;
        this.#serve(waiter, now);
      }
    }
    this.#cancelIfUnwanted();
  }

  #newBody(judgement: Judgement): Body {
    const { contentBytes } = judgement;
    const fits = contentBytes === null || contentBytes <= this.#bytesMax;
    this.#storing = judgement.store && !this.#invalidated && fits && this.#room.take(contentBytes ?? reserveStepBytes);
    const body = new Body(this.#storing ? "keeping" : "passing", contentBytes);
    body.source = this.#fetch;
    return body;
  }

  #serve({ ticket, collapsed }: Waiter, now: number): void {
    const { exchange } = ticket;
    const head = this.#head!;
    exchange.onClose = null;
    exchange.inner = this.#inner;
    const ownFetch = !collapsed && this.#source === null;
    if (this.#inner && !exchange.client.local && ticket.target.route === null && !ownFetch) {
      return refuse(ticket, 403, "loopback and private addresses are open only to clients on this machine");
    }
    ticket.outcome = {
      hit: false,
      forward: this.#why,
      forwardStatus: head.status,
      stored: this.#storing,
      collapsed,
      ttlSeconds: this.#storing ? freshSecondsLeft(head, now) : undefined,
      detail: this.#detail(ticket),
    };
    this.#reading++;
    const left = (): void => {
      this.#reading--;
      this.#cancelIfUnwanted();
    };
    const prepared = collapsed ? this.#shared! : this.#prepared!;
    const { contentBytes } = prepared;
    const selective =
      this.#storing && (isSelective(exchange.head.fields) || exchange.head.method === "HEAD") && contentBytes !== null;
    if (selective && head.status === 200) {
      return deliver(ticket, { head, prepared, body: this.#body!, part: null }, now, left);
    }
    ticket.status = head.status;
    exchange.beginPrepared(prepared, ticket.lines(currentAge(head, now)));
    send(ticket, this.#body!, 0, null, left);
  }

  #detail({ reason }: Ticket): string | undefined {
    if (this.#source !== null) return `${this.#source.kind === "copy" ? "owner" : "peeked"}-${this.#source.member}`;
    return this.#storing || reason === this.#why ? undefined : (reason ?? undefined);
  }

  #received(chunk: Buffer): void {
    const body = this.#body;
    if (body === null || this.#over) return;
    if (this.#source === null) this.#plane.recorder.counts.originBytes += chunk.length;
    if (this.#storing) {
      const after = body.bytes + chunk.length;
      if (after > this.#bytesMax || (after > this.#room.bytes && !this.#room.take(reserveStepBytes)))
        this.#giveUpStoring();
    }
    body.append(chunk);
  }

  #ended(trailers: FieldList): void {
    if (this.#over) return;
    const body = this.#body!;
    body.finish(passedFields(trailers));
    const stored = this.#storing && !this.#invalidated && this.#head !== null;
    this.#finish();
    if (!stored) return;
    const { plane, target } = this.#first;
    // Its group may have been invalidated since the origin was asked.
    const groups = groupsOf(this.#head!.fields).map((group) => groupKey(originText(target.uri), group));
    if (groups.length > 0 && plane.dropped.since(groups, this.#requestSeconds)) return;
    const copies = this.#source?.kind === "copy";
    if (copies && owner(plane.view.ring, this.#hash).name !== this.#source!.member) return;
    if (copies) plane.recorder.counts.copiesMade++;
    else if (this.#source !== null) plane.recorder.counts.peeksFound++;
    const response = new StoredResponse({
      key: target.key,
      hash: this.#hash,
      head: this.#head!,
      body,
      inner: this.#inner,
      trustedEpoch: plane.ownership.trustedEpoch,
      copyUntil: copies ? plane.nowSeconds() + copySeconds : null,
      part: this.#judgement!.part,
    });
    const earlier =
      response.part === null
        ? undefined
        : plane.store.selected(target.key, this.#first.exchange.head.fields).find(({ part }) => part !== null);
    plane.store.put((earlier === undefined ? null : combined(response, earlier, plane.objectBytesMax)) ?? response);
  }

  #failed(error: OriginError): void {
    if (this.#over) return;
    if (this.#source !== null && this.#head === null) return this.#startOver();
    this.#plane.recorder.counts.originErrors++;
    const body = this.#body;
    if (this.#head !== null) {
      this.#finish();
      body?.fail();
      return;
    }
    if (body === null && error.phase !== "refused" && this.#serveStale("unreachable", undefined)) return this.#finish();
    this.#finish();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { ticket } of waiters) {
      ticket.exchange.onClose = null;
      ticket.outcome = { hit: false, forward: this.#why, detail: error.code };
      // RFC 9111 §5.2.2.2: what must be validated, and cannot be, is answered with 504.
      refuse(ticket, this.#validating.length > 0 && error.phase !== "refused" ? 504 : error.status, error.message);
    }
  }

  /** The other member had nothing, or is gone: everybody goes on as if it had not been asked. */
  #startOver(): void {
    this.#finish();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { ticket, again } of waiters) {
      ticket.exchange.onClose = null;
      ticket.peerTried = true;
      again!(ticket, "anew");
    }
  }

  // ---- validation -------------------------------------------------------------------------------------------------

  #notModified(fields: FieldList, times: { requestSeconds: number; responseSeconds: number }): void {
    const plane = this.#plane;
    const result = freshenStored(this.#first, this.#validating, fields, times, this.#hash);
    if (result === null) {
      // The 304 speaks of none that was asked about: only the whole response can help. RFC 9111 §4.3.4.
      this.#send("plain");
      return;
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#finish();
    const now = plane.nowSeconds();
    const { shared: freshened, first, shareable } = result;
    for (const { ticket, again, collapsed } of waiters) {
      const { exchange } = ticket;
      exchange.onClose = null;
      if (collapsed && !shareable) {
        again!(ticket, "alone");
        continue;
      }
      if (collapsed && freshened.head.variant !== variantOf(freshened.head.varyNames, exchange.head.fields)) {
        again!(ticket, "anew");
        continue;
      }
      ticket.outcome = {
        hit: false,
        forward: this.#why,
        forwardStatus: 304,
        collapsed,
        ttlSeconds: freshSecondsLeft(freshened.head, now),
      };
      exchange.inner = this.#inner || freshened.inner;
      deliver(ticket, collapsed ? freshened : first, now);
    }
  }

  /** Answers those with the stale stored response who may have it. @returns whether nobody is left. */
  #serveStale(failure: "unreachable" | "server-error", status: number | undefined): boolean {
    const [stored] = this.#validating;
    if (stored === undefined || this.#why === "vary-miss" || (failure === "server-error" && this.#background))
      return false;
    const before = this.#waiters.length;
    this.#waiters = this.#waiters.filter((waiter) => !servedStale(waiter, stored, failure, status));
    return this.#waiters.length === 0 && (before > 0 || this.#background);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  #giveUpStoring(): void {
    this.#storing = false;
    this.#room.release();
    this.#unlist();
    this.#body!.pass();
    this.#cancelIfUnwanted();
  }

  #unlist(): void {
    if (this.#flightKey !== null && this.#plane.flights.get(this.#flightKey) === this)
      this.#plane.flights.delete(this.#flightKey);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#room.release();
    this.#unlist();
    const { fetching } = this.#plane;
    const { key } = this.#first.target;
    const others = fetching.get(key);
    others?.delete(this);
    if (others?.size === 0) fetching.delete(key);
  }
}
