/** Which flight a request takes: one that is under way for the same key, or one that begins with it. */
import { background } from "../../base/background.ts";
import { PassingMap } from "../../base/passing.ts";
import { requestDirectives } from "../../http/directives.ts";
import type { Lease, StoredResponse } from "../../store/port.ts";
import type { Ticket } from "../request/ticket.ts";
import { Flight } from "./flight.ts";
import type { FlightInit, Why } from "./flight-init.ts";
import type { FetchNeeds } from "./needs.ts";
import { flightKeyOf, wantsPart } from "./sharing.ts";
import type { Again } from "./waiting.ts";

/** How long a miss waits for the link to a previous owner that is being dialled. */
const diallingMsMax = 300;
/** Members asked, one after the other, for what they may have, before the origin is. */
const triesMax = 2;

/** The flights of one member that may be joined. */
export class Flights {
  readonly #needs: FetchNeeds;
  readonly #listed = new PassingMap<string, Flight>();

  constructor(needs: FetchNeeds) {
    this.#needs = needs;
  }

  /** A miss: joins the flight for the same key and variant, or begins one. */
  joinOrBegin(ticket: Ticket, hash: number, why: Why, known: readonly StoredResponse[], again: Again): void {
    const { uncacheable, peers, failed } = this.#needs;
    const { exchange, target, desk } = ticket;
    const { fields, method } = exchange.head;
    const flightKey = flightKeyOf(ticket, known, null);
    const flying = this.#flying(flightKey);
    if (flying !== undefined && flying.takes(ticket, again)) return undefined;
    const previous = flying === undefined ? this.#previousOwner(ticket, hash) : null;
    if (previous !== null && !peers.isUp(previous)) {
      // A view has just changed, and the links that it asks for are being dialled: that takes a moment, an origin fetch
      // more.
      const hold = exchange.hold({ left: () => ticket.end(false) });
      background(
        peers.whenUp(previous, diallingMsMax).then(() => {
          hold.release();
          if (!peers.isUp(previous)) ticket.membersTried = [...ticket.membersTried, previous];
          if (!exchange.closed) again(ticket, "anew");
        }),
        failed,
      );
      return undefined;
    }
    if (previous !== null) {
      desk.recorder.peeked();
      return this.#listedFlight(flightKey, {
        first: ticket,
        hash,
        why,
        source: { member: previous, kind: "peek" },
      }).begin(ticket, again);
    }
    const joinable =
      flying === undefined &&
      (method === "GET" || method === "QUERY") &&
      !wantsPart(fields) &&
      !requestDirectives(fields).has("no-store") &&
      !uncacheable.has(target.key, desk.nowSeconds());
    if (joinable) return this.#listedFlight(flightKey, { first: ticket, hash, why }).begin(ticket, again);
    return this.alone(ticket, hash, why, again);
  }

  /** A hot copy of another member's key, from its owner; all who ask for the key meanwhile wait for it. */
  copyFrom(ticket: Ticket, hash: number, from: string, again: (ticket: Ticket) => void): void {
    const flightKey = flightKeyOf(ticket, this.#needs.store.variants(ticket.target.key), null);
    // Apart from those of `joinOrBegin`: what another member asks for must not wait for what it is asked for itself.
    const copyKey = `${flightKey}\ncopy`;
    const flying = this.#flying(flightKey) ?? this.#flying(copyKey);
    if (flying === undefined) {
      const source = { member: from, kind: "copy" } as const;
      return this.#listedFlight(copyKey, { first: ticket, hash, why: "bypass", source }).begin(ticket, again);
    }
    return flying.takes(ticket, again) ? undefined : again(ticket);
  }

  /** A fetch that nobody joins. */
  alone(ticket: Ticket, hash: number, why: Why, again: Again | null): void {
    new Flight(this.#needs, { first: ticket, hash, why, unlist: null }).begin(ticket, again);
  }

  /** Asks the origin whether a stored response is still right, and answers with it or with what came instead. */
  validate(
    ticket: Ticket,
    hash: number,
    lease: Lease,
    how: { readonly why: Why; readonly company: "joining" | "alone"; readonly again: Again },
  ): void {
    const { uncacheable, store } = this.#needs;
    const { target, exchange, desk } = ticket;
    const { why, company, again } = how;
    const flightKey = flightKeyOf(ticket, store.variants(target.key), lease.stored.part);
    const flying = this.#flying(flightKey);
    if (company === "joining" && flying !== undefined && flying.takes(ticket, again)) return lease.release();
    const joinable =
      company === "joining" &&
      flying === undefined &&
      exchange.head.method === "GET" &&
      !uncacheable.has(target.key, desk.nowSeconds());
    const init = { first: ticket, hash, why, validating: lease };
    const flight = joinable ? this.#listedFlight(flightKey, init) : new Flight(this.#needs, { ...init, unlist: null });
    return flight.begin(ticket, again);
  }

  /** The same in the background, once at a time. RFC 5861 §3. */
  validateInBackground(ticket: Ticket, hash: number, stored: StoredResponse): void {
    const { store } = this.#needs;
    const flightKey = flightKeyOf(ticket, store.variants(ticket.target.key), stored.part);
    if (this.#flying(flightKey) !== undefined) return;
    const validating = store.lease(stored);
    this.#listedFlight(flightKey, { first: ticket, hash, why: "stale", validating, background: true }).beginAlone();
  }

  /** The flight that may be joined. One that an invalidation has overtaken makes way for another. */
  #flying(flightKey: string): Flight | undefined {
    const flight = this.#listed.get(flightKey);
    if (flight === undefined || !flight.isOver) return flight;
    this.#listed.delete(flightKey);
    return undefined;
  }

  #listedFlight(flightKey: string, init: Omit<FlightInit, "unlist">): Flight {
    const flight = new Flight(this.#needs, {
      ...init,
      unlist: () => {
        if (this.#listed.get(flightKey) === flight) this.#listed.delete(flightKey);
      },
    });
    this.#listed.set(flightKey, flight);
    return flight;
  }

  /** A member that had the key before and may still have the response: worth asking before the origin is. */
  #previousOwner(ticket: Ticket, hash: number): string | null {
    const { target, content, membersTried, desk } = ticket;
    const { method, fields } = ticket.exchange.head;
    const { uncacheable, ownership, peers } = this.#needs;
    if (membersTried.length >= triesMax || content !== null || (method !== "GET" && method !== "HEAD")) return null;
    const now = desk.nowSeconds();
    if (requestDirectives(fields).size > 0 || uncacheable.has(target.key, now)) return null;
    // Who stands in for the owner that its own view names (the asker's is newer, or goes round it) asks that one, and
    // then who had the key before it: an owner that has just come has nothing yet.
    const current = ticket.owner === desk.self ? [] : [ticket.owner];
    const known = [...current, ...ownership.previousOwners(hash, now)];
    const names = known.filter((name) => !membersTried.includes(name) && !(ticket.ownerGone && name === ticket.owner));
    return names.find((name) => peers.isUp(name)) ?? names.find((name) => peers.isDialling(name)) ?? null;
  }
}
