/** A request answered at the owner, or at whoever stands in for it: from the store, or by a fetch. RFC 9111 §4. */
import { requestDirectives } from "../../http/directives.ts";
import { freshSecondsLeft } from "../../http/freshness.ts";
import { doubtOf, reuse, type Reuse } from "../../http/reuse.ts";
import type { Lease, StoredResponse } from "../../store/port.ts";
import { allowShortcut } from "../answer/allow-shortcut.ts";
import { deliver } from "../answer/deliver.ts";
import { mayBeShown, refuseInside } from "../answer/inside.ts";
import { covers } from "../answer/parts.ts";
import { refuse } from "../answer/refuse.ts";
import { mayServeStale, serveStale } from "../answer/stale.ts";
import { isPersonal } from "../request/target.ts";
import type { Ticket } from "../request/ticket.ts";
import type { Flights } from "./flights.ts";
import type { FetchNeeds } from "./needs.ts";
import type { Again } from "./waiting.ts";

export interface HereNeeds extends Pick<FetchNeeds, "store" | "invalidations" | "current"> {
  readonly flights: Flights;
}

/** Answers the ticket's request; `alone` where it has waited for a flight in vain. */
export function answerHere(needs: HereNeeds, ticket: Ticket, hash: number, how: "joining" | "alone" = "joining"): void {
  const { store, flights } = needs;
  const { desk, exchange, target, selecting } = ticket;
  // The uncoded response, too, from which the answer to such a request is made.
  if (isPersonal(target, exchange.head.fields)) return flights.alone(ticket, hash, "bypass", null);
  if (!ticket.recalled && recall(store, ticket, () => answerHere(needs, ticket, hash, how))) return undefined;
  const now = desk.nowSeconds();
  const directives = requestDirectives(exchange.head.fields);
  const again: Again = (other, anew) => answerHere(needs, other, hash, anew === "alone" ? "alone" : "joining");
  // A whole answers everything; a part only what lies within it.
  const usable = ({ copyUntil }: StoredResponse): boolean => copyUntil === null || now < copyUntil;
  const lease =
    store.find(target.key, selecting, (stored) => stored.part === null && usable(stored)) ??
    store.find(target.key, selecting, (stored) => usable(stored) && covers(stored, exchange, now));
  if (lease !== null) return fromStored(lease);
  if (directives.has("only-if-cached")) {
    ticket.outcome = { hit: false };
    return refuse(ticket, 504, "only-if-cached, and nothing is stored");
  }
  const all = store.variants(target.key);
  const isSelected = ({ head }: StoredResponse): boolean => head.variant === selecting(head.varyNames);
  const why = all.length === 0 ? "uri-miss" : all.some(isSelected) ? "partial" : "vary-miss";
  ticket.reason = why;
  if (how === "alone") return flights.alone(ticket, hash, why, again);
  return flights.joinOrBegin(ticket, hash, why, all, again);

  function fromStored(found: Lease): void {
    const { stored } = found;
    // What does not vary by it is not coded, and is not to be.
    if (ticket.target.coding !== null && !stored.head.varyNames.includes("accept-encoding")) ticket.uncode();
    if (!mayBeShown(stored.inner, exchange)) {
      found.release();
      return refuseInside(ticket);
    }
    const { honourReload, graceSeconds } = target.caching;
    const decision = reuse(stored.head, directives, now, { honourReload, graceSeconds });
    const doubt = decision.kind === "validate" ? null : doubtOf(needs.invalidations.isInTouch(now), stored.outdated);
    ticket.reason = doubt ?? decision.reason;
    if (decision.kind !== "validate" && doubt === null) return hit(found, decision);
    if (directives.has("only-if-cached")) {
      found.release();
      return refuse(ticket, 504, "only-if-cached, and what is stored must be validated first");
    }
    // The circuit of a route whose origins all rest: what may be given stale is, without another wait for them.
    const isOpen = target.route?.origins.isOpen(performance.now()) ?? false;
    const failure = { kind: "unreachable", status: undefined } as const;
    if (isOpen && mayServeStale(ticket, stored, failure))
      return serveStale(ticket, stored, failure, { collapsed: false, left: () => found.release() });
    const reason = decision.reason.startsWith("request") ? "request" : "stale";
    return flights.validate(ticket, hash, found, { why: reason, company: how, again });
  }

  function hit(found: Lease, decision: Reuse): void {
    const { stored } = found;
    store.used(stored);
    exchange.inner = stored.inner;
    ticket.outcome = { hit: true, ttlSeconds: freshSecondsLeft(stored.head, now) };
    if (ticket.owner === desk.self && decision.reason === "fresh") allowShortcut(store, needs.current, ticket, stored);
    deliver(ticket, stored, now, () => found.release());
    if (decision.kind === "stale-while-revalidate") flights.validateInBackground(ticket, hash, stored);
  }
}

/** Brings back first what is stored and not in memory. @returns whether `then` is called later, if the asker stays. */
function recall(store: HereNeeds["store"], ticket: Ticket, then: () => void): boolean {
  ticket.recalled = true;
  return store.recall(ticket.target.key, () => {
    ticket.wasOnDisk = true;
    if (!ticket.exchange.closed) return then();
    ticket.end(false);
  });
}
