/**
 * One request's way, from its head to its answer. The steps, in order:
 *
 *   fast        a plain GET for one fresh stored response that this member owns: answered here, at once
 *   target      head → URI, cache key, way out             (target.ts)
 *   tunnel      CONNECT and Upgrade leave HTTP              (tunnel.ts)
 *   owner       another member's key → hot copy, or one hop  (foreign.ts, hop.ts)
 *   store       key + head → stored response                (../store)
 *   reuse       hit | stale-while-revalidate | validate | miss   (../http/reuse.ts)
 *   flight      the one fetch for this key, alone or joined (flight.ts)
 *   deliver     content to the asker, with backpressure     (deliver.ts)
 *
 * Nothing calls back up, but one: what a flight cannot share starts over here, alone.
 */
import { cacheStatus } from "../http/cache-status.ts";
import { mustAskOrigin } from "../http/conditional.ts";
import { requestDirectives } from "../http/directives.ts";
import { fieldValue, hasField, type FieldList } from "../http/fields.ts";
import { currentAge, freshSecondsLeft } from "../http/freshness.ts";
import { listElements } from "../http/grammar.ts";
import { hasLooped } from "../http/loops.ts";
import { reuse } from "../http/reuse.ts";
import { keyHash, owner } from "../ring/ring.ts";
import type { Exchange } from "../wire/exchange.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { deliver } from "./deliver.ts";
import { alone as flyAlone, joinOrBegin, validate, validateInBackground } from "./flights.ts";
import { answerForeign, standIn } from "./foreign.ts";
import { give, peekHere } from "./hand-over.ts";
import { partFor } from "./parts.ts";
import type { Plane } from "./plane.ts";
import { refuse, refuseEarly } from "./refuse.ts";
import { targetOf } from "./target.ts";
import { withContent } from "./query.ts";
import type { Asking } from "../peer/streams.ts";
import { Ticket } from "./ticket.ts";
import { connectTunnel, upgrade } from "./tunnel.ts";

/** What another member adds to a request that it forwards. */
export interface Forwarded {
  /** For the forward proxy, not for a route. */
  readonly forward: boolean;
  /** The content of a QUERY. */
  readonly content: Buffer | null;
  readonly asking: Asking;
}

/** Answers a client's request, or one that another member has forwarded. */
export function serve(plane: Plane, exchange: Exchange, from: Forwarded | null = null): void {
  if (from?.asking === "peek") return peekHere(plane, exchange, from.forward);
  if (from?.asking === "by-key") return give(plane, exchange);
  if (exchange.head.plain && serveFresh(plane, exchange)) return;
  const { head } = exchange;
  if (head.method === "QUERY" && exchange.body !== null) {
    return withContent(exchange, (content) =>
      content === null
        ? refuseEarly(plane, exchange, 413, "the content of a QUERY is part of its cache key: 256 KB at most")
        : serveWhole(plane, exchange, null, content, "answer"),
    );
  }
  return serveWhole(plane, exchange, from?.forward ?? null, from?.content ?? null, from?.asking ?? "answer");
}

/** The way of a request whose head, and content where that matters, is at hand. */
function serveWhole(
  plane: Plane,
  exchange: Exchange,
  forward: boolean | null,
  content: Buffer | null,
  asking: Asking,
): void {
  const { head } = exchange;
  if (head.form === "authority") return connectTunnel(plane, exchange);
  if (head.form === "asterisk")
    return refuseEarly(plane, exchange, 405, "OPTIONS * asks the proxy itself; ask for a URL");
  if (hasLooped(head.fields, plane.cdnId))
    return refuseEarly(
      plane,
      exchange,
      508,
      "this cluster has handled this request before: it would go round for ever",
    );
  const target = targetOf(exchange, plane.routing, forward, content);
  if ("refused" in target) return refuseEarly(plane, exchange, target.refused, target.reason);
  const ticket = new Ticket(plane, exchange, target, content);
  if (asksForUpgrade(head.fields) && head.method === "GET" && exchange.hop === 0) return upgrade(ticket);
  if (!isCached(ticket)) return passOn(ticket, "method");
  const hash = keyHash(target.key);
  ticket.owner = owner(plane.view.ring, hash).name;
  if (ticket.owner === plane.self) return answerHere(ticket, hash);
  if (exchange.hop === 0) return answerForeign(ticket, hash, () => answerHere(ticket, hash));
  // The owner cannot be reached from where the request comes, or is busy.
  return asking === "stand-in" ? standIn(ticket, hash, () => answerHere(ticket, hash)) : answerHere(ticket, hash);
}

/**
 * The fast way of a hit. A key of the store is always in normal form, so a target that equals one is in normal form too,
 * and needs no parsing. What is anything but plain, fresh and ours returns false and takes the whole way.
 */
function serveFresh(plane: Plane, exchange: Exchange): boolean {
  const { head } = exchange;
  let key: string;
  if (head.form === "absolute") {
    if (plane.routing.forward === null && exchange.hop === 0) return false;
    key = head.target;
  } else {
    if (plane.routing.routes.length === 0) return false;
    key = `${exchange.client.scheme}://${head.host}${head.target}`;
  }
  const stored = plane.store.single(key);
  if (stored === undefined || stored.outdated || stored.part !== null || stored.head.varyNames.length > 0) return false;
  const now = plane.nowSeconds();
  if (now >= stored.freshUntil || (stored.inner && !exchange.client.local)) return false;
  if (stored.trustedEpoch !== plane.view.epoch) return false;
  const { body } = stored;
  if (body.segments.length > 1 || plane.recorder.logsNext) return false;
  const content = body.segments[0] ?? null;
  exchange.inner = stored.inner;
  exchange.answerPrepared(stored.prepared, hitLines(plane, stored, now), content);
  plane.store.used(stored);
  if (stored.copyUntil !== null) plane.recorder.counts.copyHits++;
  plane.recorder.hit(body.bytes);
  return true;
}

/** Age and Cache-Status change once a second; so long the lines are kept. */
function hitLines(plane: Plane, stored: StoredResponse, now: number): string {
  const age = Math.floor(currentAge(stored.head, now));
  if (stored.changingAge === age) return stored.changing;
  stored.changingAge = age;
  const ttlSeconds = stored.head.lifetime.seconds - age;
  const detail = stored.copyUntil === null ? undefined : "hot-copy";
  stored.changing = `age: ${age}\r\ncache-status: ${cacheStatus(plane.self, { hit: true, ttlSeconds, detail })}\r\n${plane.viaLine}`;
  return stored.changing;
}

/** An offer of HTTP/2 (h2c) comes with ordinary requests and is declined by answering in HTTP/1.1. RFC 9110 §7.8. */
function asksForUpgrade(fields: FieldList): boolean {
  const protocols = fieldValue(fields, "upgrade");
  return protocols !== undefined && listElements(protocols).some((protocol) => protocol.toLowerCase() !== "h2c");
}

/** Whether a cache has anything to say to the request: everything else passes through. */
function isCached({ exchange: { head, body }, content }: Ticket): boolean {
  if (mustAskOrigin(head.fields)) return false;
  if (head.method === "QUERY") return content !== null;
  return (head.method === "GET" || head.method === "HEAD") && body === null;
}

/** Answers at the owner (or at whoever stands in for it): from the store, or by a fetch. */
function answerHere(ticket: Ticket, hash: number, alone = false): void {
  const { plane, exchange, target } = ticket;
  const { head } = exchange;
  const now = plane.nowSeconds();
  const directives = requestDirectives(head.fields);
  const all = plane.store.variants(target.key);
  const selected = plane.store.selected(target.key, head.fields);
  const stored = selected.find(({ part }) => part === null) ?? partFor(selected, exchange, now);
  const policy = { honourReload: target.caching.honourReload, graceSeconds: target.caching.graceSeconds };

  if (stored !== undefined) {
    if (stored.inner && !exchange.client.local && !mayReachInside(ticket)) {
      return refuse(ticket, 403, "loopback and private addresses are open only to clients on this machine");
    }
    const decision = reuse(stored.head, directives, now, policy);
    ticket.reason = decision.reason;
    const trusted = !stored.outdated && plane.ownership.trusts(stored);
    if (decision.kind !== "validate" && trusted) {
      stored.trustedEpoch = plane.ownership.trustedEpoch;
      exchange.inner = stored.inner;
      plane.store.used(stored);
      ticket.outcome = { hit: true, ttlSeconds: freshSecondsLeft(stored.head, now) };
      deliver(ticket, stored, now);
      if (decision.kind === "stale-while-revalidate") validateInBackground(ticket, hash, stored);
      return;
    }
    if (directives.has("only-if-cached"))
      return refuse(ticket, 504, "only-if-cached, and what is stored must be validated first");
    return validate(
      ticket,
      hash,
      stored,
      decision.reason.startsWith("request") ? "request" : "stale",
      alone ? "alone" : "joining",
      again,
    );
  }
  if (directives.has("only-if-cached")) {
    ticket.outcome = { hit: false };
    return refuse(ticket, 504, "only-if-cached, and nothing is stored");
  }
  const why = all.length === 0 ? "uri-miss" : selected.length > 0 ? "partial" : "vary-miss";
  ticket.reason = why;
  if (alone) return flyAlone(ticket, hash, why, again);
  return joinOrBegin(ticket, hash, why, all, again);

  /** For those whom a flight turned out not to serve. */
  function again(other: Ticket, how: "alone" | "anew"): void {
    answerHere(other, hash, how === "alone");
  }
}

/** Sends a request on to the origin, whoever owns its key: its answer is not from a cache, and its content takes one hop less. */
function passOn(ticket: Ticket, why: "method"): void {
  const { exchange } = ticket;
  if (exchange.head.method === "CONNECT") return refuse(ticket, 400, "CONNECT needs host:port");
  const hops = exchange.head.fields[exchange.head.fields.indexOf("max-forwards") + 1];
  if (
    hasField(exchange.head.fields, "max-forwards") &&
    hops === "0" &&
    (exchange.head.method === "OPTIONS" || exchange.head.method === "TRACE")
  ) {
    return refuse(ticket, exchange.head.method === "OPTIONS" ? 200 : 405, "Max-Forwards ends here");
  }
  ticket.reason = why;
  return flyAlone(ticket, keyHash(ticket.target.key), mustAskOrigin(exchange.head.fields) ? "request" : "method", null);
}

function mayReachInside({ target }: Ticket): boolean {
  return target.route !== null;
}
