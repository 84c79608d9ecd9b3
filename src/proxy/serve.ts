/**
 * One request's way, from its head to its answer. The steps, in order:
 *
 *   shortcut    a plain GET for one fresh stored response that this member owns: answered at once   (shortcut.ts)
 *   content     that of a QUERY belongs to its key                                                  (request/query.ts)
 *   decide      head → target → tunnel | passed on | here | another member's | refused              (request/decide.ts)
 *   carry out   the decision, once:
 *     here        store → hit | validate | miss, and the one fetch for the key                      (fetch/here.ts)
 *     foreign     hot copy, or one hop to the owner                                        (members/foreign.ts)
 *     passed on   a fetch that nobody joins                                                         (fetch/flights.ts)
 *     tunnel      CONNECT and Upgrade leave HTTP                                                    (tunnel.ts)
 *     purge       the PURGE method, for those who may                                         (purge-method.ts)
 *     refused     an answer of our own                                                              (answer/refuse.ts)
 *     fixed       an answer that the route's configuration gives                                     (answer/fixed.ts)
 *
 * Nothing calls back up, but one: what a flight cannot share starts over in fetch/here.ts, alone.
 */
import { background } from "../base/background.ts";
import { keyHash } from "../ring/ring.ts";
import type { Asking } from "../peer/streams.ts";
import type { Exchange } from "../wire/exchange.ts";
import { answerFixed } from "./answer/fixed.ts";
import { leftEarly } from "./answer/early.ts";
import { refuseEarly } from "./answer/refuse.ts";
import { answerHere, type HereNeeds } from "./fetch/here.ts";
import type { Comparing } from "./invalidation/comparing.ts";
import type { Invalidations } from "./invalidation/invalidations.ts";
import { answerForeign, standIn, type ForeignNeeds } from "./members/foreign.ts";
import { give, peekHere, type ShowingNeeds } from "./members/showing.ts";
import { purgeByMethod, type PurgeMethodNeeds } from "./purge-method.ts";
import { decide, type Decision, type Forwarded } from "./request/decide.ts";
import { withContent } from "./request/query.ts";
import { Ticket } from "./request/ticket.ts";
import { serveShortcut, shortcutForm, shortcutKey, type ShortcutNeeds } from "./shortcut.ts";
import { connectTunnel, upgrade, type TunnelNeeds } from "./tunnel.ts";

/** How long somebody who has heard of more waits for this member to catch up. */
const catchUpMsMax = 200;

/** What the rooms need, together: the composition root builds it. */
export interface ServeNeeds
  extends HereNeeds, ForeignNeeds, ShowingNeeds, ShortcutNeeds, TunnelNeeds, PurgeMethodNeeds {
  readonly current: ShortcutNeeds["current"] & { readonly challenges: ReadonlyMap<string, string> };
  readonly invalidations: Invalidations;
  readonly comparing: Pick<Comparing, "with">;
}

/** A request as another member forwards it. */
export interface FromMember extends Omit<Forwarded, "asking"> {
  /** The content of a QUERY. */
  readonly content: Buffer | null;
  readonly asking: Asking;
  /** How far the asking member has heard, as JSON; empty where that does not matter. */
  readonly heard: string;
  /** It will keep the answer. */
  readonly keeps: boolean;
  /** The asking member's name. */
  readonly asker?: string;
}

/** Answers a client's request, or one that another member has forwarded. */
export function serve(needs: ServeNeeds, exchange: Exchange, from: FromMember | null = null): void {
  const form = shortcutForm(exchange, from?.forward ?? null);
  if (from !== null && from.heard !== "" && !needs.invalidations.covers(from.heard))
    return catchUp(needs, exchange, from);
  if (from?.asking === "peek") return peekHere(needs, exchange, from);
  if (from?.asking === "by-key") return give(needs, exchange);
  const { plain, conditional } = exchange.head;
  if (
    (plain || conditional) &&
    from?.asking !== "stand-in" &&
    serveShortcut(needs, exchange, form, from?.settings ?? 0)
  )
    return undefined;
  return serveWhole(needs, exchange, from);
}

/**
 * A member that has heard of more asks. What is kept or passed on there must not be older than what is known there:
 * what is lacking here is on its way, mostly, or the asker has it. Whoever does not get it in time does not answer.
 */
function catchUp(needs: ServeNeeds, exchange: Exchange, from: FromMember): void {
  const { invalidations, comparing, failed } = needs;
  if (from.asker !== undefined) comparing.with(from.asker);
  background(
    invalidations.whenCovers(from.heard, catchUpMsMax).then((covers) => {
      if (exchange.closed) return undefined;
      const { forward, settings, content, asking, keeps } = from;
      if (covers) return serve(needs, exchange, { forward, settings, content, asking, keeps, heard: "" });
      if (asking === "answer" || asking === "stand-in")
        return void exchange.decline("this member has heard of less than the asking one");
      return exchange.abort();
    }),
    failed,
  );
}

/** The same by the whole way: what the shortcut must agree with. */
export function serveWhole(needs: ServeNeeds, exchange: Exchange, from: FromMember | null): void {
  const asking = from?.asking === "stand-in" ? "stand-in" : "answer";
  const forwarded = from === null ? null : ({ ...from, asking } as const);
  if (exchange.head.method !== "QUERY" || exchange.body === null)
    return carryOut(needs, exchange, forwarded, from?.content ?? null);
  const startedMs = performance.now();
  const hold = exchange.hold({ left: () => leftEarly(needs.desk, exchange, { startedMs }) });
  return withContent(exchange, (content) => {
    hold.release();
    if (content !== null) return carryOut(needs, exchange, forwarded, content);
    const reason = "the content of a QUERY is part of its cache key: 256 KB at most";
    return refuseEarly(needs.desk, exchange, { status: 413, reason }, startedMs);
  });
}

function carryOut(
  needs: ServeNeeds,
  exchange: Exchange,
  from: (Forwarded & Pick<FromMember, "keeps">) | null,
  content: Buffer | null,
): void {
  const { desk, current, flights } = needs;
  const { self, cdnId } = desk;
  const { view, routing, joined, challenges } = current;
  const decision = decide({ self, cdnId, view, routing, joined, challenges }, exchange, from, content);
  switch (decision.kind) {
    case "refused":
      return refuseEarly(desk, exchange, decision);
    case "declined":
      // Only another member's request can be sent back: a client's is never declined.
      return void exchange.decline(decision.reason);
    case "tunnel":
      return connectTunnel(needs, exchange);
    case "purge":
      return purgeByMethod(needs, exchange, decision.uri);
    case "fixed":
      return answerFixed(ticketFor(decision), decision.route, decision.fixed);
    case "upgrade":
      return upgrade(needs, ticketFor(decision));
    case "passed-on": {
      const ticket = ticketFor(decision);
      ticket.reason = decision.why;
      return flights.alone(ticket, keyHash(decision.target.key), decision.why, null);
    }
    case "here":
      return answerHere(needs, ticketFor(decision), decision.hash);
    case "foreign": {
      const ticket = ticketFor(decision);
      return answerForeign(needs, ticket, decision.hash, () => answerHere(needs, ticket, decision.hash));
    }
    case "stand-in": {
      const ticket = ticketFor(decision);
      return standIn(needs, ticket, decision.hash, () => answerHere(needs, ticket, decision.hash));
    }
  }

  function ticketFor({
    target,
    ...place
  }: Exclude<Decision, { kind: "refused" | "declined" | "tunnel" | "purge" }>): Ticket {
    const trusted = routing.trusts(exchange.client.address);
    const { plain, conditional } = exchange.head;
    const isSimple = (plain || conditional) && content === null && shortcutKey(exchange) === target.key;
    const shortcut = isSimple ? shortcutForm(exchange, from?.forward ?? null) : 0;
    const isForKeeping = from?.keeps === true;
    const ticket = new Ticket(desk, { exchange, target, content, trusted, shortcut, isForKeeping });
    if ("owner" in place) ticket.owner = place.owner;
    return ticket;
  }
}
