/** An origin's response, judged: what is stored of it, what is passed on, what it does to responses already stored. */
import { endToEndFields } from "../http/connection-fields.ts";
import { dateText } from "../http/dates.ts";
import { fieldLines, fieldValue, hasField, withoutFields, type FieldList } from "../http/fields.ts";
import { freshenedFields, headDescribes, selectedByNotModified } from "../http/freshen.ts";
import type { ResponseTimes } from "../http/freshness.ts";
import { hasNoContent } from "../http/messages.ts";
import { contentRange, storable, type NotStorable } from "../http/storable.ts";
import { storedHead, type StoredHead } from "../http/stored-head.ts";
import { StoredResponse } from "../store/stored-response.ts";
import type { CachingRules } from "./routes.ts";
import type { Ticket } from "./ticket.ts";

export interface Judgement {
  readonly store: boolean;
  /** Why not, where it is not stored. */
  readonly reason: NotStorable | null;
  readonly head: StoredHead;
  /** The fields for the client that asked: some may not be kept for others. */
  readonly passed: FieldList;
  /** Null where only the end will tell. */
  readonly contentBytes: number | null;
  readonly part: StoredResponse["part"];
}

const remade: ReadonlySet<string> = new Set(["content-length", "age"]);

/** Judges a response to the ticket's request (sent with `method`). */
export function judge(ticket: Ticket, method: string, status: number, fields: FieldList, times: ResponseTimes): Judgement {
  const { caching } = ticket.target;
  const request = { method, fields: ticket.exchange.head.fields };
  const head = headFor(caching, request.fields, status, fields, times);
  const length = fieldLines(fields, "content-length")[0];
  const contentBytes = length !== undefined && status !== 304 && status !== 204 ? Number(length) : hasNoContent("GET", status) ? 0 : null;
  const decision = storable(request, { status, fields }, {
    cookies: caching.cookies, forbidden: !caching.store, configuredLifetime: head.lifetime.source === "configured",
  });
  const range = status === 206 ? contentRange(fields) : null;
  const part = range === null || range.total === null ? null : { first: range.first, last: range.last, total: range.total };
  const passed = passedFields(fields);
  if (!hasField(passed, "date")) passed.push("date", dateText(times.responseSeconds));
  const judgement = { head, passed, contentBytes: method === "HEAD" && length === undefined ? null : contentBytes, part };
  if (!decision.store) return { ...judgement, store: false, reason: decision.reason };
  if (status === 206 && (part === null || contentBytes !== part.last - part.first + 1)) return { ...judgement, store: false, reason: "partial-content" };
  return { ...judgement, store: true, reason: null };
}

/** Fields that may go on to the client. */
export function passedFields(fields: FieldList): string[] {
  return withoutFields(endToEndFields(fields), remade);
}

/**
 * Updates what a 304 speaks of and returns what the request is to be answered with, or null where it speaks of none of
 * those that were asked about. RFC 9111 §4.3.4.
 */
export function freshenStored(
  ticket: Ticket, validating: readonly StoredResponse[], fields: FieldList, times: ResponseTimes, hash: number,
): StoredResponse | null {
  const { plane, target, exchange } = ticket;
  const selected = selectedByNotModified(validating.map((stored) => ({ stored, fields: stored.head.fields })), fields);
  const [first] = selected;
  if (first === undefined) return null;
  const requestFields = exchange.head.fields;
  for (const { stored } of selected) {
    plane.store.freshen(stored, () => {
      const head = headFor(target.caching, requestFields, stored.head.status, freshenedWith(stored.head, fields), times);
      const sameVary = head.varyNames.join() === stored.head.varyNames.join();
      stored.freshen(sameVary ? { ...head, variant: stored.head.variant } : head);
    });
    stored.ownedEpoch = plane.view.epoch;
  }
  const { stored } = first;
  const wanted = headFor(target.caching, requestFields, stored.head.status, freshenedWith(stored.head, fields), times);
  if (wanted.variant === stored.head.variant) return stored;
  // The origin says that another variant's content is right for this request too: it gets that content as its own.
  const variant = new StoredResponse({ key: target.key, hash, head: wanted, body: stored.body, inner: stored.inner, ownedEpoch: plane.view.epoch });
  plane.store.put(variant);
  return variant;
}

/** A 200 to HEAD freshens the stored GET responses that it describes and outdates the others. RFC 9111 §4.3.5. */
export function freshenByHead(ticket: Ticket, fields: FieldList, times: ResponseTimes): void {
  const { plane, target, exchange } = ticket;
  for (const stored of plane.store.selected(target.key, exchange.head.fields)) {
    if (stored.head.status !== 200 || stored.part !== null) continue;
    if (!headDescribes({ fields: stored.head.fields, bodyBytes: stored.body.bytes }, fields)) {
      stored.outdated = true;
      continue;
    }
    plane.store.freshen(stored, () => {
      const head = headFor(target.caching, exchange.head.fields, 200, freshenedWith(stored.head, fields), times);
      stored.freshen({ ...head, variant: stored.head.variant, varyNames: stored.head.varyNames });
    });
  }
}

function freshenedWith(stored: StoredHead, update: FieldList): string[] {
  const base = hasField(update, "date") ? stored.fields : withoutFields(stored.fields, new Set(["date"]));
  const age = fieldValue(update, "age");
  return [...freshenedFields(base, update), ...(age === undefined ? [] : ["age", age])];
}

function headFor(caching: CachingRules, requestFields: FieldList, status: number, fields: FieldList, times: ResponseTimes): StoredHead {
  const { freshness, negativeSeconds } = caching;
  const override = status >= 400 && negativeSeconds > 0 ? { ...freshness, defaultSeconds: negativeSeconds } : freshness;
  return storedHead(requestFields, status, fields, times, override);
}
