/** Stored responses brought up to date by a 304, or by the answer to a HEAD. RFC 9111 §3.2, §4.3.4, §4.3.5. */
import { fieldValue, hasField, withoutFields, type FieldList } from "../../http/fields.ts";
import { freshenedFields, headDescribes, isSelectedByNotModified } from "../../http/freshen.ts";
import type { ResponseTimes } from "../../http/freshness.ts";
import { storable } from "../../http/storable.ts";
import { storedHead, type StoredHead } from "../../http/stored-head.ts";
import type { Lease, Store } from "../../store/port.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { Deliverable } from "../answer/deliver.ts";
import type { Ticket } from "../request/ticket.ts";
import { passedFields } from "./judging.ts";

/** What a 304 left of the stored response. */
export interface Freshened {
  /** For everybody; null where nobody else may be answered with it. The receiver releases it. */
  readonly shared: Lease | null;
  /** For the one whose request was validated: the 304 may have had fields for it alone. */
  readonly first: Deliverable;
}

/** What a validation was asked with, and what it is worth. */
export interface Validation {
  readonly lease: Lease;
  readonly times: ResponseTimes;
  /** The epoch through which its result has heard of every invalidation: that in which it began. */
  readonly trustedEpoch: number;
  /** What was asked about has been invalidated meanwhile: the answer may be from before. */
  readonly suspected: boolean;
}

/**
 * Updates what a 304 speaks of and says what the request is to be answered with, or null where it does not speak of
 * what was asked about. What the update makes unfit for a shared cache is dropped; a cookie for one client never gets
 * into what others are given; and a response that the update says is another variant's stays what it was: its content
 * was chosen for other fields.
 */
export function freshenStored(
  store: Store,
  ticket: Ticket,
  fields: FieldList,
  { lease, times, trustedEpoch, suspected }: Validation,
): Freshened | null {
  const { stored } = lease;
  if (!isSelectedByNotModified(stored.head.fields, fields)) return null;
  const merged = freshenedWith(stored.head, fields);
  const whole = headFor(ticket, stored.head, merged, times);
  const first: Deliverable = {
    head: whole,
    answerHead: AnswerHead.of(whole.status, passedFields(merged), stored.body.bytes),
    body: stored.body,
    part: stored.part,
  };
  const kept = keepable(ticket, stored.head.status, merged);
  if (kept === null) {
    store.discard(stored);
    return { shared: null, first };
  }
  const shared = store.update(lease, headFor(ticket, stored.head, kept, times), trustedEpoch);
  if (suspected) store.outdate(shared.stored);
  return { shared, first };
}

/**
 * A 200 to HEAD freshens the stored GET response that it describes and outdates the others it selects. RFC 9111 §4.3.5.
 */
export function freshenByHead(store: Store, ticket: Ticket, fields: FieldList, times: ResponseTimes): void {
  const { target, selecting } = ticket;
  // Each update may make room where another of them lies.
  const leases = store.variants(target.key).map((stored) => store.lease(stored));
  for (const lease of leases) {
    const { stored } = lease;
    if (stored.head.status !== 200 || stored.part !== null) continue;
    if (stored.head.variant !== selecting(stored.head.varyNames)) continue;
    const kept = keepable(ticket, 200, freshenedWith(stored.head, fields));
    if (kept === null || !headDescribes({ fields: stored.head.fields, bodyBytes: stored.body.bytes }, fields)) {
      store.outdate(stored);
      continue;
    }
    store.update(lease, headFor(ticket, stored.head, kept, times), null).release();
  }
  for (const lease of leases) lease.release();
}

/**
 * The head of a stored response after an update. What it is selected by stays, unless the update brings another Vary:
 * then it is what the request that was answered says in those fields, since it is this request that the origin found
 * the content right for.
 */
function headFor(ticket: Ticket, stored: StoredHead, fields: FieldList, times: ResponseTimes): StoredHead {
  const head = storedHead(ticket.selecting, stored.status, fields, times, ticket.target.caching.freshness);
  return head.varyNames.join() === stored.varyNames.join() ? { ...head, variant: stored.variant } : head;
}

/** The fields of an updated response that may be kept, or null where all of it may not. */
function keepable({ target, exchange }: Ticket, status: number, fields: FieldList): FieldList | null {
  const { cookies, store } = target.caching;
  const decision = storable(
    { method: "GET", fields: exchange.head.fields },
    { status, fields },
    { cookies, forbidden: !store },
  );
  if (decision.store) return fields;
  if (decision.reason !== "set-cookie") return null;
  return withoutFields(fields, new Set(["set-cookie"]));
}

function freshenedWith(stored: StoredHead, update: FieldList): string[] {
  const base = hasField(update, "date") ? stored.fields : withoutFields(stored.fields, new Set(["date"]));
  const age = fieldValue(update, "age");
  return [...freshenedFields(base, update), ...(age === undefined ? [] : ["age", age])];
}
