/** An origin's response, judged: what is stored of it, what is passed on. */
import { isWorthCoding } from "../../http/codings.ts";
import { endToEndFields } from "../../http/connection-fields.ts";
import { dateText } from "../../http/dates.ts";
import { fieldLines, hasField, withoutFields, type FieldList } from "../../http/fields.ts";
import { receivedAt, type ResponseTimes } from "../../http/freshness.ts";
import { isLocatedAtTarget } from "../../http/invalidation.ts";
import { isServerError, outlivesError } from "../../http/reuse.ts";
import { contentRange, storable, type NotStorable } from "../../http/storable.ts";
import { tagsOf } from "../../http/tags.ts";
import { storedHead, unkept, type StoredHead } from "../../http/stored-head.ts";
import type { Part, StoredResponse } from "../../store/port.ts";
import type { CachingRules } from "../request/routes.ts";
import { isPersonal } from "../request/target.ts";
import { tagsField } from "../request/tags-line.ts";
import type { Ticket } from "../request/ticket.ts";

export interface Judgement {
  readonly store: boolean;
  /** Why not, where it is not stored. */
  readonly reason: NotStorable | null;
  readonly head: StoredHead;
  /** The fields for the client that asked: some may not be kept for others. */
  readonly passed: FieldList;
  /** Null where only the end will tell. */
  readonly contentBytes: number | null;
  readonly part: Part | null;
  readonly tags: readonly string[];
}

/** What came, in answer to what. */
export interface Answered {
  /** Sent to the origin, which may not be the client's. */
  readonly method: string;
  readonly status: number;
  readonly fields: FieldList;
  readonly times: ResponseTimes;
  /** What was being validated, or null. */
  readonly validating: StoredResponse | null;
  /** Told by the member that it comes from; else the fields say them. */
  readonly tags?: readonly string[] | null;
}

const remade: ReadonlySet<string> = new Set(["content-length", "age"]);

/** Judges the response to the ticket's request. */
export function judge(ticket: Ticket, answered: Answered): Judgement {
  const { method, status, times, validating } = answered;
  const { target, exchange, content, desk } = ticket;
  const { caching } = target;
  const tags = answered.tags ?? tagsOf(answered.fields, caching.tagFields);
  const fields = untagged(answered.fields, caching);
  const head = storedHead(ticket.selecting, status, fields, times, caching.freshness);
  const length = fieldLines(fields, "content-length")[0];
  // RFC 9110 §8.6: a 304 made from nothing stored must not claim a length.
  const contentBytes = status === 304 ? null : status === 204 ? 0 : length === undefined ? null : Number(length);
  const range = status === 206 ? contentRange(fields) : null;
  const part =
    range === null || range.total === null ? null : { first: range.first, last: range.last, total: range.total };
  const passed = passedOf(fields, head, times);
  const judgement = { head, passed, contentBytes, part, tags };
  const no = (reason: NotStorable): Judgement => ({ ...judgement, store: false, reason });
  if (isPersonal(target, exchange.head.fields)) return no("pass-cookies");
  const decision = storable(
    { method, fields: exchange.head.fields },
    { status, fields },
    {
      cookies: caching.cookies,
      forbidden: !caching.store || ticket.codedFrom?.isStale === true || (method === "QUERY" && content === null),
      configuredLifetime: head.lifetime.source === "configured",
      content: exchange.body !== null && content === null,
      locatedAtTarget: method === "POST" && isLocatedAtTarget(target.uri, fields),
    },
  );
  if (!decision.store) return no(decision.reason);
  if (status === 206 && (part === null || contentBytes !== part.last - part.first + 1)) return no("partial-content");
  // Parts grow together to what the origin has, coded or not: here the whole is stored uncoded, and coded by us.
  const rules = target.route?.compression ?? null;
  if (
    status === 206 &&
    rules !== null &&
    (hasField(fields, "content-encoding") || isWorthCoding(200, fields, null, rules))
  )
    return no("partial-content");
  const survives =
    validating !== null &&
    isServerError(status) &&
    outlivesError(validating.head, desk.nowSeconds(), caching.graceSeconds);
  return survives ? no("outlived") : { ...judgement, store: true, reason: null };
}

/** What is wrong with a request, its credentials or its pace, and says nothing of what it asks for. RFC 9110 §15.5. */
const ofAskers: ReadonlySet<number> = new Set([
  400, 401, 405, 406, 407, 408, 412, 413, 414, 415, 416, 417, 421, 425, 426, 428, 429, 431,
]);

/** Asked too slowly, too early or too often: whoever asked, the origin has not looked at what it was asked for. */
const ofPace: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * Whether what came instead of a 304 ends what was asked about, although it may not be stored itself. RFC 9111 §4.3.3.
 * What no client asked for (`isBackground`) is no client's fault.
 */
export function supersedes(
  status: number,
  how: { readonly isStored: boolean; readonly isBackground: boolean },
): boolean {
  return status < 500 && (how.isStored || !(how.isBackground ? ofPace : ofAskers).has(status));
}

/** The fields without those that name tags, where clients are not to see them. */
export function untagged(fields: FieldList, { stripTags, tagFields }: CachingRules): FieldList {
  // What members say to each other is nobody else's to say.
  const others = hasField(fields, tagsField) ? [tagsField] : [];
  return stripTags || others.length > 0
    ? withoutFields(fields, new Set<string>([...(stripTags ? tagFields : []), ...others]))
    : fields;
}

/** What the client that asked is given: what is kept, and what may not be kept for others. */
function passedOf(fields: FieldList, head: StoredHead, times: ResponseTimes): FieldList {
  if (unkept(head.directives).length === 0) return head.fields;
  const passed = passedFields(fields);
  if (!hasField(passed, "date")) passed.push("date", dateText(receivedAt(times)));
  return passed;
}

/** Fields that may go on to the client. */
export function passedFields(fields: FieldList): string[] {
  return withoutFields(endToEndFields(fields), remade);
}

/** Whether a reason is of the response: what answers a HEAD or a POST, or one user, says nothing of what others get. */
export function holdsForAll(reason: NotStorable | null): boolean {
  return reason !== "method" && reason !== "pass-cookies";
}
