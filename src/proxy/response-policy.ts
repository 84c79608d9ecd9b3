/** An origin's response, judged: what is stored of it, what is passed on, what it does to responses already stored. */
import { endToEndFields } from "../http/connection-fields.ts";
import { dateText } from "../http/dates.ts";
import { fieldBlock, fieldLines, fieldValue, hasField, withoutFields, type FieldList } from "../http/fields.ts";
import { freshenedFields, headDescribes, selectedByNotModified } from "../http/freshen.ts";
import type { ResponseTimes } from "../http/freshness.ts";
import { contentRange, storable, type NotStorable, type Storable } from "../http/storable.ts";
import { storedHead, type StoredHead } from "../http/stored-head.ts";
import { StoredResponse } from "../store/stored-response.ts";
import { preparedHead } from "../wire/exchange.ts";
import type { Deliverable } from "./deliver.ts";
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
export function judge(
  ticket: Ticket,
  method: string,
  status: number,
  fields: FieldList,
  times: ResponseTimes,
): Judgement {
  const { caching } = ticket.target;
  const request = { method, fields: ticket.exchange.head.fields };
  const head = headFor(caching, request.fields, status, fields, times);
  const length = fieldLines(fields, "content-length")[0];
  // RFC 9110 §8.6: a 304 made from nothing stored must not claim a length.
  const contentBytes = status === 304 ? null : status === 204 ? 0 : length === undefined ? null : Number(length);
  const decision = storable(
    request,
    { status, fields },
    {
      cookies: caching.cookies,
      forbidden: !caching.store || (method === "QUERY" && ticket.content === null),
      configuredLifetime: head.lifetime.source === "configured",
    },
  );
  const range = status === 206 ? contentRange(fields) : null;
  const part =
    range === null || range.total === null ? null : { first: range.first, last: range.last, total: range.total };
  const passed = passedFields(fields);
  if (!hasField(passed, "date")) passed.push("date", dateText(times.responseSeconds));
  const judgement = { head, passed, contentBytes, part };
  if (!decision.store) return { ...judgement, store: false, reason: decision.reason };
  if (status === 206 && (part === null || contentBytes !== part.last - part.first + 1))
    return { ...judgement, store: false, reason: "partial-content" };
  return { ...judgement, store: true, reason: null };
}

/** Fields that may go on to the client. */
export function passedFields(fields: FieldList): string[] {
  return withoutFields(endToEndFields(fields), remade);
}

/** What a 304 left of the stored response. */
export interface Freshened {
  /** For everybody. */
  readonly shared: StoredResponse;
  /** For the one whose request was validated: the 304 may have had fields for it alone. */
  readonly first: Deliverable;
  /** Whether anybody else may be answered with it. */
  readonly shareable: boolean;
}

/**
 * Updates what a 304 speaks of and says what the request is to be answered with, or null where it speaks of none of those
 * that were asked about. RFC 9111 §4.3.4. What the update makes unfit for a shared cache is dropped; a cookie for one
 * client never gets into what others are given.
 */
export function freshenStored(
  ticket: Ticket,
  validating: readonly StoredResponse[],
  fields: FieldList,
  times: ResponseTimes,
  hash: number,
): Freshened | null {
  const { plane, target, exchange } = ticket;
  const selected = selectedByNotModified(
    validating.map((stored) => ({ stored, fields: stored.head.fields })),
    fields,
  );
  const [chosen] = selected;
  if (chosen === undefined) return null;
  const requestFields = exchange.head.fields;
  const { stored } = chosen;
  const merged = freshenedWith(stored.head, fields);
  const whole = headFor(target.caching, requestFields, stored.head.status, merged, times);
  const first = {
    head: whole,
    prepared: preparedHead(whole.status, fieldBlock(passedFields(merged)), stored.body.bytes),
    body: stored.body,
    part: null,
  };
  const shareable = keepable(ticket, stored.head.status, merged);
  if (shareable === null) {
    for (const one of selected) plane.store.discard(one.stored);
    return { shared: stored, first, shareable: false };
  }
  for (const one of selected) {
    plane.store.freshen(one.stored, () => {
      const head = headFor(
        target.caching,
        requestFields,
        one.stored.head.status,
        keepable(ticket, one.stored.head.status, freshenedWith(one.stored.head, fields)) ?? one.stored.head.fields,
        times,
      );
      const sameVary = head.varyNames.join() === one.stored.head.varyNames.join();
      one.stored.freshen(sameVary ? { ...head, variant: one.stored.head.variant } : head);
    });
    one.stored.trustedEpoch = plane.ownership.trustedEpoch;
  }
  const wanted = headFor(target.caching, requestFields, stored.head.status, shareable, times);
  if (wanted.variant === stored.head.variant) return { shared: stored, first, shareable: true };
  // The origin says that another variant's content is right for this request too: it gets that content as its own.
  const variant = new StoredResponse({
    key: target.key,
    hash,
    head: wanted,
    body: stored.body,
    inner: stored.inner,
    trustedEpoch: plane.ownership.trustedEpoch,
  });
  plane.store.put(variant);
  return { shared: variant, first, shareable: true };
}

/** The fields of an updated response that may be kept, or null where all of it may not. */
function keepable(ticket: Ticket, status: number, fields: FieldList): FieldList | null {
  const decision = stillStorable(ticket, status, fields);
  if (decision.store) return fields;
  if (decision.reason !== "set-cookie") return null;
  return withoutFields(fields, new Set(["set-cookie"]));
}

function stillStorable({ target, exchange }: Ticket, status: number, fields: FieldList): Storable {
  const { cookies, store } = target.caching;
  return storable({ method: "GET", fields: exchange.head.fields }, { status, fields }, { cookies, forbidden: !store });
}

/** A 200 to HEAD freshens the stored GET responses that it describes and outdates the others. RFC 9111 §4.3.5. */
export function freshenByHead(ticket: Ticket, fields: FieldList, times: ResponseTimes): void {
  const { plane, target, exchange } = ticket;
  for (const stored of plane.store.selected(target.key, exchange.head.fields)) {
    if (stored.head.status !== 200 || stored.part !== null) continue;
    const kept = keepable(ticket, 200, freshenedWith(stored.head, fields));
    if (kept === null || !headDescribes({ fields: stored.head.fields, bodyBytes: stored.body.bytes }, fields)) {
      stored.outdated = true;
      continue;
    }
    plane.store.freshen(stored, () => {
      const head = headFor(target.caching, exchange.head.fields, 200, kept, times);
      stored.freshen({ ...head, variant: stored.head.variant, varyNames: stored.head.varyNames });
    });
  }
}

function freshenedWith(stored: StoredHead, update: FieldList): string[] {
  const base = hasField(update, "date") ? stored.fields : withoutFields(stored.fields, new Set(["date"]));
  const age = fieldValue(update, "age");
  return [...freshenedFields(base, update), ...(age === undefined ? [] : ["age", age])];
}

function headFor(
  caching: CachingRules,
  requestFields: FieldList,
  status: number,
  fields: FieldList,
  times: ResponseTimes,
): StoredHead {
  const { freshness, negativeSeconds } = caching;
  const override = status >= 400 && negativeSeconds > 0 ? { ...freshness, defaultSeconds: negativeSeconds } : freshness;
  return storedHead(requestFields, status, fields, times, override);
}
