/** Stored responses brought up to date by a 304, or by the answer to a HEAD. RFC 9111 §3.2, §4.3.4, §4.3.5. */
import { fieldValue, hasField, withoutFields, type FieldList } from "../../http/fields.ts";
import { freshenedFields, headDescribes, isSelectedByNotModified } from "../../http/freshen.ts";
import type { ResponseTimes } from "../../http/freshness.ts";
import { storable } from "../../http/storable.ts";
import { storedHead, type StoredHead } from "../../http/stored-head.ts";
import { tagsOf } from "../../http/tags.ts";
import type { Lease, Store, StoredResponse } from "../../store/port.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { Deliverable } from "../answer/deliver.ts";
import { isPersonal } from "../request/target.ts";
import type { Ticket } from "../request/ticket.ts";
import { passedFields, untagged } from "./judging.ts";

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
  /** The store's position when the origin was asked: what has been invalidated since counts. */
  readonly position: number;
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
  { lease, times, position }: Validation,
): Freshened | null {
  const { stored } = lease;
  if (!isSelectedByNotModified(stored.head.fields, fields)) return null;
  const tags = tagsAfter(ticket, stored, fields);
  const merged = freshenedWith(stored.head, untagged(fields, ticket.target.caching));
  const whole = headFor(ticket, stored.head, merged, times);
  const first: Deliverable = {
    head: whole,
    answerHead: AnswerHead.of(whole.status, passedFields(merged), stored.body.bytes),
    body: stored.body,
    part: stored.part,
    tags,
  };
  const kept = keepable(ticket, stored.head, merged);
  if (kept === "unfit") store.discard(stored);
  if (kept === "unfit" || kept === "of-this-request") return { shared: null, first };
  const shared = store.update(lease, headFor(ticket, stored.head, kept, times), { position, tags });
  return { shared, first };
}

/**
 * A 200 to HEAD freshens the stored GET response that it describes and outdates the others it selects. RFC 9111 §4.3.5.
 */
export function freshenByHead(store: Store, ticket: Ticket, fields: FieldList, times: ResponseTimes): void {
  const { target, selecting } = ticket;
  // What a user gets who is passed on says nothing of what others are given.
  if (isPersonal(target, ticket.exchange.head.fields)) return;
  // Each update may make room where another of them lies.
  const leases = store.variants(target.key).map((stored) => store.lease(stored));
  for (const lease of leases) {
    const { stored } = lease;
    if (stored.head.status !== 200 || stored.part !== null) continue;
    if (stored.head.variant !== selecting(stored.head.varyNames)) continue;
    const kept = keepable(ticket, stored.head, freshenedWith(stored.head, untagged(fields, target.caching)));
    if (kept === "unfit" || !headDescribes({ fields: stored.head.fields, bodyBytes: stored.body.bytes }, fields)) {
      store.outdate(stored);
      continue;
    }
    if (kept === "of-this-request") continue;
    const tags = tagsAfter(ticket, stored, fields);
    store.update(lease, headFor(ticket, stored.head, kept, times), { position: null, tags }).release();
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

/**
 * The fields of an updated response that may be kept. "unfit" where it may be shared no more; "of-this-request" where
 * only the request that was answered forbids it, by Authorization or no-store, which says nothing of what others are
 * given: else whoever sends these could take from everybody, again and again, what the origin has just confirmed.
 */
function keepable(
  { target, exchange }: Ticket,
  stored: StoredHead,
  fields: FieldList,
): FieldList | "unfit" | "of-this-request" {
  const { cookies, store } = target.caching;
  const decide = (request: FieldList, response: FieldList) =>
    storable(
      { method: "GET", fields: request },
      { status: stored.status, fields: response },
      {
        cookies,
        forbidden: !store,
      },
    );
  const mayBeKept = (decision: ReturnType<typeof decide>): boolean =>
    decision.store || decision.reason === "set-cookie";
  const { fields: request } = exchange.head;
  const decision = decide(request, fields);
  if (decision.store) return fields;
  if (decision.reason === "set-cookie") return withoutFields(fields, new Set(["set-cookie"]));
  // What could be shared in spite of Authorization before the update, and cannot now, has been withdrawn.
  const credentials = hasField(request, "authorization") ? ["authorization", ""] : [];
  const isWithdrawn = mayBeKept(decide(credentials, stored.fields)) && !mayBeKept(decide(credentials, fields));
  return mayBeKept(decide([], fields)) && !isWithdrawn ? "of-this-request" : "unfit";
}

/** Those that an update names take the place of those before; one that names none leaves them. */
function tagsAfter({ target }: Ticket, stored: StoredResponse, update: FieldList): readonly string[] {
  const { tagFields } = target.caching;
  return tagFields.some((name) => hasField(update, name)) ? tagsOf(update, tagFields) : stored.tags;
}

function freshenedWith(stored: StoredHead, update: FieldList): string[] {
  const base = hasField(update, "date") ? stored.fields : withoutFields(stored.fields, new Set(["date"]));
  const age = fieldValue(update, "age");
  return [...freshenedFields(base, update), ...(age === undefined ? [] : ["age", age])];
}
