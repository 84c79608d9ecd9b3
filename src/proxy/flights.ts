/** Which flight a request takes: one that is under way for the same key, or one that begins with it. */
import { background } from "../base/background.ts";
import { requestDirectives } from "../http/directives.ts";
import { fieldValue } from "../http/fields.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { flightKeyOf, isSelective } from "./flight-request.ts";
import { Flight, type Again, type Why } from "./flight.ts";
import type { Ticket } from "./ticket.ts";

/** How long a miss waits for the link to a previous owner that is being dialled. */
const diallingMsMax = 300;

/** A miss: joins the flight for the same key and variant, or begins one. */
export function joinOrBegin(
  ticket: Ticket,
  hash: number,
  why: Why,
  known: readonly StoredResponse[],
  again: Again,
): void {
  const { plane, exchange, target } = ticket;
  const { fields } = exchange.head;
  const flightKey = flightKeyOf(ticket, known);
  const flying = plane.flights.get(flightKey);
  if (flying !== undefined && flying.takes(ticket, again)) return;
  const previous = flying === undefined ? previousOwner(ticket, hash) : null;
  if (previous !== null && !plane.peers.isUp(previous)) {
    // A view has just changed, and the links that it asks for are being dialled: that takes a moment, an origin fetch more.
    exchange.onClose = () => ticket.end(false);
    background(
      plane.peers.whenUp(previous, diallingMsMax).then(() => {
        ticket.peerTried = !plane.peers.isUp(previous);
        if (exchange.closed) ticket.end(false);
        else again(ticket, "anew");
      }),
      plane.failed,
    );
    return;
  }
  if (previous !== null) {
    plane.recorder.counts.peeks++;
    const source = { member: previous, kind: "peek" } as const;
    new Flight(ticket, hash, why, [], flightKey, { source }).begin(ticket, again);
    return;
  }
  const joinable =
    flying === undefined &&
    exchange.head.method !== "HEAD" &&
    !isSelective(fields) &&
    !requestDirectives(fields).has("no-store") &&
    !plane.uncacheable.has(target.key, plane.nowSeconds());
  // Without a match, the variants' validators can still spare the content. RFC 9111 §4.3.1.
  const validating =
    why === "vary-miss" && joinable
      ? known.filter(
          ({ head, part, inner }) =>
            part === null && (!inner || exchange.client.local) && fieldValue(head.fields, "etag") !== undefined,
        )
      : [];
  new Flight(ticket, hash, why, validating, joinable ? flightKey : null).begin(ticket, again);
}

/** A hot copy of another member's key, from its owner; all who ask for the key meanwhile wait for it. */
export function copyFrom(ticket: Ticket, hash: number, from: string, again: (ticket: Ticket) => void): void {
  const flightKey = flightKeyOf(ticket, ticket.plane.store.variants(ticket.target.key));
  const flying = ticket.plane.flights.get(flightKey);
  if (flying !== undefined) {
    if (flying.takes(ticket, again)) return;
    again(ticket);
    return;
  }
  const source = { member: from, kind: "copy" } as const;
  new Flight(ticket, hash, "bypass", [], flightKey, { source }).begin(ticket, again);
}

/** A fetch that nobody joins. */
export function alone(ticket: Ticket, hash: number, why: Why, again: Again | null): void {
  new Flight(ticket, hash, why, [], null).begin(ticket, again);
}

/** Asks the origin whether a stored response is still right, and answers with it or with what came instead. */
export function validate(
  ticket: Ticket,
  hash: number,
  stored: StoredResponse,
  why: Why,
  company: "joining" | "alone",
  again: Again,
): void {
  const { plane, target, exchange } = ticket;
  const flightKey = flightKeyOf(ticket, plane.store.variants(target.key));
  const flying = plane.flights.get(flightKey);
  if (company === "joining" && flying !== undefined && flying.takes(ticket, again)) return;
  const joinable =
    company === "joining" &&
    flying === undefined &&
    exchange.head.method === "GET" &&
    !plane.uncacheable.has(target.key, plane.nowSeconds());
  new Flight(ticket, hash, why, [stored], joinable ? flightKey : null).begin(ticket, again);
}

/** The same in the background, once at a time. RFC 5861 §3. */
export function validateInBackground(ticket: Ticket, hash: number, stored: StoredResponse): void {
  const { plane, target } = ticket;
  const flightKey = flightKeyOf(ticket, plane.store.variants(target.key));
  if (plane.flights.has(flightKey)) return;
  new Flight(ticket, hash, "stale", [stored], flightKey, { background: true }).beginAlone();
}

/** A member that had the key before and may still have the response: worth asking before the origin is. */
function previousOwner(ticket: Ticket, hash: number): string | null {
  const { plane, target, content, peerTried } = ticket;
  const { method, fields } = ticket.exchange.head;
  if (peerTried || content !== null || (method !== "GET" && method !== "HEAD")) return null;
  const now = plane.nowSeconds();
  if (requestDirectives(fields).size > 0 || plane.uncacheable.has(target.key, now)) return null;
  if (plane.dropped.lately([target.key], now)) return null;
  const { ownership, peers } = plane;
  // Who stands in for the owner that its own view names (the asker's is newer, or goes round it) asks that one.
  const current = ticket.owner === plane.self ? [] : [ticket.owner];
  const names = [...current, ...ownership.previousOwners(hash, now)];
  return names.find((name) => peers.isUp(name)) ?? names.find((name) => peers.isDialling(name)) ?? null;
}
