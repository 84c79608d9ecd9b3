/**
 * Requests for keys of other members, at the member that the client spoke to: answered from a hot copy, by making one,
 * or by one hop; and at a successor that stands in for a busy owner.
 *
 *   copy        a hot copy that may be used              → answered here
 *   heat        asked for often lately (frequency sketch) → a copy is fetched from the owner, and kept for a while
 *   bearer      the owner, or a successor where the owner is above its bound → one hop
 *
 * A hot copy is never used beyond its own freshness, nor for longer than a few seconds; every invalidation reaches
 * every member, and a view that gives the key another owner drops it.
 */
import { requestDirectives } from "../../http/directives.ts";
import { freshSecondsLeft } from "../../http/freshness.ts";
import { reuse } from "../../http/reuse.ts";
import type { Peers } from "../../peer/peers.ts";
import { bearer, loadLimit, type LoadBound } from "../../ring/bounded-load.ts";
import type { FrequencySketch } from "../../ring/frequency-sketch.ts";
import { hotCount, renewHits } from "../../ring/hot-keys.ts";
import { owner, successors, type Ring } from "../../ring/ring.ts";
import type { View } from "../../ring/view.ts";
import type { Lease, Store, StoredResponse } from "../../store/port.ts";
import { allowShortcut } from "../answer/allow-shortcut.ts";
import { deliver } from "../answer/deliver.ts";
import { mayBeShown, refuseInside } from "../answer/inside.ts";
import type { Flights } from "../fetch/flights.ts";
import { isConditional, wantsPart } from "../fetch/sharing.ts";
import type { Uncacheable } from "../fetch/uncacheable.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import type { Routing } from "../request/routes.ts";
import type { Ticket } from "../request/ticket.ts";
import { hop, type Candidate } from "./hop.ts";

/** What asking other members needs of this one. */
export interface ForeignNeeds {
  readonly self: string;
  readonly current: { readonly view: View; readonly routing: Routing };
  readonly store: Store;
  readonly peers: Pick<Peers, "request" | "isUp" | "load">;
  readonly invalidations: Pick<Invalidations, "isInTouch" | "recentReachText">;
  readonly uncacheable: Uncacheable;
  /** Keys of other members whose last response could not be copied. */
  readonly uncopied: Uncacheable;
  readonly flights: Flights;
  /** How often other members' keys are asked for here. */
  readonly heat: FrequencySketch;
  /** Null where owners bear whatever load comes. */
  readonly loadBound: LoadBound | null;
  /** Requests that this member is working on itself. */
  readonly ownLoad: () => number;
}

/** Successors among whom a bearer is looked for. */
const bearersMax = 4;

/**
 * Answers a client's request for another member's key; `here` answers it as the owner would, where nobody else is left.
 */
export function answerForeign(needs: ForeignNeeds, ticket: Ticket, hash: number, here: () => void): void {
  const copy = copyFor(needs, ticket);
  if (copy !== null && mayUse(needs, ticket, copy.stored)) return answerWith(needs, ticket, copy);
  const used = copy?.stored.hits ?? 0;
  copy?.release();
  const worth = isHot(needs, hash, used) && mayCopy(needs, ticket);
  if (worth) return needs.flights.copyFrom(ticket, hash, ticket.owner, (other) => forward(needs, other, hash, here));
  return forward(needs, ticket, hash, here);
}

/**
 * Answers for an owner that is busy: from a copy, or with one made now, for which the owner is asked once whoever
 * waits. What cannot be copied is the owner's to answer all the same: each member that went to the origin with it would
 * be one more that asks.
 */
export function standIn(needs: ForeignNeeds, ticket: Ticket, hash: number, here: () => void): void {
  ticket.desk.recorder.stoodIn();
  const copy = copyFor(needs, ticket);
  if (copy !== null && mayUse(needs, ticket, copy.stored)) return answerWith(needs, ticket, copy);
  copy?.release();
  const byOwner = (other: Ticket): void =>
    other.ownerDeclined || other.ownerGone
      ? here()
      : hop(needs, other, [{ member: other.owner, asking: "answer" } as const].values(), {
          none: here,
          declined: here,
        });
  if (!mayCopy(needs, ticket)) return byOwner(ticket);
  return needs.flights.copyFrom(ticket, hash, ticket.owner, byOwner);
}

/** Drops the copies that a new view makes useless, and lets the others serve in it. `before`: the ring until now. */
export function keepCopies(
  { store, current: { view } }: Pick<ForeignNeeds, "store"> & { readonly current: { readonly view: View } },
  before: Ring,
  now: number,
): void {
  for (const copy of store.copies()) {
    const kept =
      now < copy.freshUntil &&
      (before === view.ring || owner(before, copy.hash).name === owner(view.ring, copy.hash).name);
    if (!kept) store.discard(copy);
  }
}

function forward(needs: ForeignNeeds, ticket: Ticket, hash: number, here: () => void): void {
  // It has heard of less than this member: what it has is not to be passed on either.
  if (ticket.ownerDeclined) return here();
  const passed = bearerOf(needs, ticket, hash);
  // This member is the successor that a busy owner's keys go to. Not where the owner has been asked in vain: who is
  // gone, or stands still, would be waited for once more.
  if (passed === needs.self) return standIn(needs, ticket, hash, here);
  return hop(needs, ticket, candidates(needs, ticket, hash, passed), { none: here, declined: here });
}

/** Whom to ask, in order: the bearer of the load, then the owner and its successors. */
function* candidates(
  { current }: ForeignNeeds,
  { owner: own, ownerGone }: Ticket,
  hash: number,
  passed: string | null,
): Generator<Candidate> {
  if (passed !== null) yield { member: passed, asking: "stand-in" };
  if (!ownerGone) yield { member: own, asking: "answer" };
  for (const { name } of successors(current.view.ring, hash))
    if (name !== own && name !== passed) yield { member: name, asking: "answer" };
}

/** The successor that stands in for a busy owner, or null where the owner bears its load. */
function bearerOf(needs: ForeignNeeds, ticket: Ticket, hash: number): string | null {
  const { loadBound: bound, current, self, peers } = needs;
  // What a stand-in could not keep, it would have to ask the origin for.
  if (bound === null || load(needs, ticket.owner) < bound.floor || !mayCopy(needs, ticket)) return null;
  const { ring } = current.view;
  const names: string[] = [];
  for (const { name } of successors(ring, hash)) {
    if (names.length === bearersMax) break;
    if (name === ticket.owner || name === self || peers.isUp(name)) names.push(name);
  }
  const total = ring.members.reduce((sum, { name }) => sum + load(needs, name), 0);
  const chosen = bearer(
    names.map((name) => load(needs, name)),
    loadLimit(total, ring.members.length, bound),
  );
  return chosen === 0 ? null : names[chosen]!;
}

function load({ self, peers, ownLoad }: ForeignNeeds, name: string): number {
  return name === self ? ownLoad() : peers.load(name);
}

/** The hot copy that the request selects. */
function copyFor({ store }: ForeignNeeds, { target, selecting }: Ticket): Lease | null {
  if (store.copyCount === 0) return null;
  return store.find(target.key, selecting, ({ copyUntil, part }) => copyUntil !== null && part === null);
}

function mayUse({ invalidations }: ForeignNeeds, { desk, exchange, target }: Ticket, copy: StoredResponse): boolean {
  const now = desk.nowSeconds();
  if (now >= copy.copyUntil! || copy.outdated || !invalidations.isInTouch(now)) return false;
  const { honourReload } = target.caching;
  return (
    reuse(copy.head, requestDirectives(exchange.head.fields), now, { honourReload, graceSeconds: 0 }).kind === "hit"
  );
}

function answerWith({ store, current }: ForeignNeeds, ticket: Ticket, copy: Lease): void {
  const { desk, exchange } = ticket;
  const { stored } = copy;
  if (!mayBeShown(stored.inner, exchange)) {
    copy.release();
    return refuseInside(ticket);
  }
  const now = desk.nowSeconds();
  store.used(stored);
  desk.recorder.copyUsed();
  allowShortcut(store, current, ticket, stored);
  ticket.outcome = { hit: true, ttlSeconds: freshSecondsLeft(stored.head, now), detail: "hot-copy" };
  exchange.inner = stored.inner;
  return deliver(ticket, stored, now, () => copy.release());
}

function isHot({ store, heat }: ForeignNeeds, hash: number, copyHits: number): boolean {
  if (store.copiesBytesMax === 0) return false;
  const count = heat.add(hash);
  return count >= hotCount || copyHits >= renewHits;
}

/** Whether the answer to this request could be kept for others. */
function mayCopy({ store, uncacheable, uncopied }: ForeignNeeds, ticket: Ticket): boolean {
  const {
    exchange: { head },
    target,
    content,
    membersTried,
    desk,
  } = ticket;
  return (
    store.copiesBytesMax > 0 &&
    membersTried.length === 0 &&
    head.method === "GET" &&
    content === null &&
    !wantsPart(head.fields) &&
    !isConditional(head.fields) &&
    requestDirectives(head.fields).size === 0 &&
    !uncacheable.has(target.key, desk.nowSeconds()) &&
    !uncopied.has(target.key, desk.nowSeconds())
  );
}
