/**
 * Requests for keys of other members, at the member that the client spoke to: answered from a hot copy, by making one, or by one
 * hop; and at a successor that stands in for a busy owner.
 *
 *   copy        a hot copy that may be used              → answered here
 *   heat        asked for often lately (frequency sketch) → a copy is fetched from the owner, and kept for a while
 *   bearer      the owner, or a successor where the owner is above its bound → one hop
 *
 * A hot copy is never used beyond its own freshness, nor for longer than a few seconds; every invalidation reaches every member,
 * and a view that gives the key another owner drops it.
 */
import { requestDirectives } from "../http/directives.ts";
import { freshSecondsLeft } from "../http/freshness.ts";
import { reuse } from "../http/reuse.ts";
import { bearer, loadLimit } from "../ring/bounded-load.ts";
import { hotCount, renewHits } from "../ring/hot-keys.ts";
import { owner, successors, type Ring } from "../ring/ring.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { deliver } from "./deliver.ts";
import { copyFrom } from "./flights.ts";
import { isSelective } from "./flight-request.ts";
import { hop, type Candidate } from "./hop.ts";
import type { Plane } from "./plane.ts";
import { refuse } from "./refuse.ts";
import type { Ticket } from "./ticket.ts";

/** Successors among whom a bearer is looked for. */
const bearersMax = 4;

/** Answers a client's request for another member's key; `here` answers it as the owner would, where nobody else is left. */
export function answerForeign(ticket: Ticket, hash: number, here: () => void): void {
  const copy = copyFor(ticket);
  if (copy !== undefined && mayUse(ticket, copy)) return answerWith(ticket, copy);
  const worth = isHot(ticket, hash, copy) && mayCopy(ticket);
  if (worth) return copyFrom(ticket, hash, ticket.owner, (other) => forward(other, hash, here));
  return forward(ticket, hash, here);
}

/** Answers for an owner that is busy: from a copy, or with one made now, for which the owner is asked once whoever waits. */
export function standIn(ticket: Ticket, hash: number, here: () => void): void {
  ticket.plane.recorder.counts.stoodIn++;
  const copy = copyFor(ticket);
  if (copy !== undefined && mayUse(ticket, copy)) return answerWith(ticket, copy);
  if (!mayCopy(ticket)) return here();
  return copyFrom(ticket, hash, ticket.owner, here);
}

/** Drops the copies that a new view makes useless, and lets the others serve in it. */
export function keepCopies({ store, view, ownership, nowSeconds }: Plane, before: Ring): void {
  const now = nowSeconds();
  for (const copy of store.copies) {
    const kept =
      ownership.trusts(copy) &&
      now < copy.freshUntil &&
      (before === view.ring || owner(before, copy.hash).name === owner(view.ring, copy.hash).name);
    if (kept) copy.trustedEpoch = view.epoch;
    else store.discard(copy);
  }
}

function forward(ticket: Ticket, hash: number, here: () => void): void {
  hop(ticket, candidates(ticket, hash), () => {
    const { plane } = ticket;
    // This member may be the successor that a busy owner's keys go to.
    const busy = plane.loadBound !== null && plane.peers.isUp(ticket.owner);
    return busy && ticket.owner !== plane.self ? standIn(ticket, hash, here) : here();
  });
}

/** Whom to ask, in order: the bearer of the load, then the owner and its successors. */
function* candidates(ticket: Ticket, hash: number): Generator<Candidate> {
  const passed = bearerOf(ticket, hash);
  if (passed !== null) yield { member: passed, asking: "stand-in" };
  yield { member: ticket.owner, asking: "answer" };
  for (const { name } of successors(ticket.plane.view.ring, hash))
    if (name !== ticket.owner && name !== passed) yield { member: name, asking: "answer" };
}

/** The successor that stands in for a busy owner, or null where the owner bears its load. */
function bearerOf(ticket: Ticket, hash: number): string | null {
  const { plane } = ticket;
  const bound = plane.loadBound;
  // What a stand-in could not keep, it would have to ask the origin for.
  if (bound === null || load(plane, ticket.owner) < bound.floor || !mayCopy(ticket)) return null;
  const { ring } = plane.view;
  const names: string[] = [];
  for (const { name } of successors(ring, hash)) {
    if (names.length === bearersMax) break;
    if (name === ticket.owner || name === plane.self || plane.peers.isUp(name)) names.push(name);
  }
  const total = ring.members.reduce((sum, { name }) => sum + load(plane, name), 0);
  const chosen = bearer(
    names.map((name) => load(plane, name)),
    loadLimit(total, ring.members.length, bound),
  );
  return chosen === 0 ? null : names[chosen]!;
}

function load({ self, peers, recorder }: Plane, name: string): number {
  return name === self ? recorder.load : peers.load(name);
}

/** The hot copy that the request selects. */
function copyFor({ plane, target, exchange }: Ticket): StoredResponse | undefined {
  if (plane.store.copies.size === 0) return undefined;
  return plane.store
    .selected(target.key, exchange.head.fields)
    .find(({ copyUntil, part }) => copyUntil !== null && part === null);
}

function mayUse({ plane, exchange, target }: Ticket, copy: StoredResponse): boolean {
  const now = plane.nowSeconds();
  if (now >= copy.copyUntil! || copy.outdated || copy.trustedEpoch !== plane.view.epoch) return false;
  const { honourReload } = target.caching;
  return (
    reuse(copy.head, requestDirectives(exchange.head.fields), now, { honourReload, graceSeconds: 0 }).kind === "hit"
  );
}

function answerWith(ticket: Ticket, copy: StoredResponse): void {
  const { plane, exchange, target } = ticket;
  if (copy.inner && !exchange.client.local && target.route === null)
    return refuse(ticket, 403, "loopback and private addresses are open only to clients on this machine");
  const now = plane.nowSeconds();
  plane.store.used(copy);
  plane.recorder.counts.copyHits++;
  ticket.outcome = { hit: true, ttlSeconds: freshSecondsLeft(copy.head, now), detail: "hot-copy" };
  exchange.inner = copy.inner;
  return deliver(ticket, copy, now);
}

function isHot({ plane }: Ticket, hash: number, copy: StoredResponse | undefined): boolean {
  if (plane.store.copiesBytesMax === 0) return false;
  const count = plane.heat.add(hash);
  return count >= hotCount || (copy !== undefined && copy.hits >= renewHits);
}

/** Whether the answer to this request could be kept for others. */
function mayCopy({ plane, exchange: { head }, target, content, peerTried }: Ticket): boolean {
  return (
    plane.store.copiesBytesMax > 0 &&
    !peerTried &&
    head.method === "GET" &&
    content === null &&
    !isSelective(head.fields) &&
    requestDirectives(head.fields).size === 0 &&
    !plane.uncacheable.has(target.key, plane.nowSeconds())
  );
}
