/** What a request means to the fetch that it needs: whom it can share it with, and what it asks on condition of. */
import { validationFields } from "../../http/conditional.ts";
import { hasField, type FieldList } from "../../http/fields.ts";
import { reuse } from "../../http/reuse.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import type { Part, StoredResponse } from "../../store/port.ts";
import type { Ticket } from "../request/ticket.ts";

/** Requests for a part: what they bring does not serve who wants the whole. */
export function wantsPart(fields: FieldList): boolean {
  return hasField(fields, "range");
}

/**
 * Requests that may be answered with 304: where they miss, the fetch asks without their conditions, and fills the
 * store.
 */
export function isConditional(fields: FieldList): boolean {
  return hasField(fields, "if-none-match") || hasField(fields, "if-modified-since");
}

/**
 * Requests of one flight key share a fetch. Those that select different variants, as far as is known, do not; and parts
 * never share one with the whole, nor with other parts: each would be answered with what it did not ask for.
 */
export function flightKeyOf(
  { target, exchange, selecting }: Ticket,
  known: readonly StoredResponse[],
  part: Part | null,
): string {
  const [newest] = known;
  // Clients elsewhere may not go where local ones may: neither must get the other's refusal, or its answer.
  const elsewhere = target.route === null && !exchange.client.local ? "\nelsewhere" : "";
  const variant =
    newest === undefined || newest.head.varyNames.length === 0 ? "" : `\n${selecting(newest.head.varyNames)}`;
  // A coded response is made of the uncoded one, which is asked for meanwhile.
  const coded = target.coding === null ? "" : `\n${target.coding}`;
  const piece = part === null ? "" : `\npart ${part.first}-${part.last}/${part.total}`;
  return `${target.key}${elsewhere}${variant}${coded}${piece}`;
}

/** The conditions of a validation. RFC 9111 §4.3.1. */
export function conditionsOf(stored: StoredResponse): string[] {
  return validationFields(stored.head.fields);
}

/** Whether a response may answer any plain request now. */
export function isHit(head: StoredHead, now: number): boolean {
  return reuse(head, new Map(), now, { honourReload: false, graceSeconds: 0 }).kind === "hit";
}
