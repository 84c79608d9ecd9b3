/** Answers that Gyre makes itself: refusals and failures, with a sentence that helps and nothing of the inside. */
import { cacheStatus, type Outcome } from "../../http/cache-status.ts";
import { dateText } from "../../http/dates.ts";
import { hasField, type FieldList } from "../../http/fields.ts";
import { hasNoContent, reasonPhrase } from "../../http/messages.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { OriginError } from "../../origin/origin-error.ts";
import type { Exchange } from "../../wire/exchange.ts";
import type { Desk } from "../request/desk.ts";
import type { Ticket } from "../request/ticket.ts";
import { endedEarly } from "./early.ts";

/** Why a request without a target, or before its ticket, is answered by Gyre itself. */
export interface Refused {
  readonly status: number;
  readonly reason: string;
  readonly fields?: FieldList;
  /** In the place of a sentence. */
  readonly content?: string;
}

/** Refuses a request that has no ticket. `startedMs`: when it had come, monotonic. */
export function refuseEarly(
  desk: Desk,
  exchange: Exchange,
  refused: Refused,
  startedMs: number = performance.now(),
): void {
  const { status, reason } = refused;
  // What is sent on to https, or asks about the proxy itself, has its answer.
  if (status >= 400) desk.recorder.refused();
  answer(desk, exchange, refused, { hit: false, detail: "refused" });
  endedEarly(desk, exchange, { status, reason, startedMs });
}

/**
 * Ends a ticket whose origin could not be asked, or failed. Where a site's origins are is its operator's affair: that
 * is told in the log, and to who asks on this machine and for nobody else.
 */
export function refuseFailed(
  ticket: Ticket,
  { message, status: own, fields }: Pick<OriginError, "message" | "status" | "fields">,
  status: number = own,
): void {
  const { exchange, target } = ticket;
  const isOperator = exchange.client.local && !passedOn.some((name) => hasField(exchange.head.fields, name));
  const shown = target.route === null || isOperator ? message : (vague.get(own) ?? message);
  refuse(ticket, status, message, fields, shown);
}

const passedOn = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
const vague = new Map([
  [502, "the origin cannot be reached, or broke off its answer"],
  [503, "the origin is busy: try again in a moment"],
  [504, "the origin did not answer, or not in time"],
]);

/**
 * Ends a ticket with an answer of our own; `shown` is what the client is told. Where an answer had been begun, it is
 * cut instead.
 */
export function refuse(
  ticket: Ticket,
  status: number,
  reason: string,
  fields: FieldList = [],
  shown: string = reason,
): void {
  const { exchange, desk } = ticket;
  ticket.status = status;
  ticket.reason = reason;
  if (exchange.answered) exchange.abort();
  else if (ticket.madeFor !== null) ticket.madeFor.refused({ status, reason, fields });
  else answer(desk, exchange, { status, reason: shown, fields }, ticket.outcome);
  ticket.end(!exchange.closed);
}

function answer(
  desk: Desk,
  exchange: Exchange,
  { status, reason, fields = [], content: given }: Refused,
  outcome: Outcome,
): void {
  const silent = hasNoContent("GET", status);
  const text = Buffer.from(silent ? "" : (given ?? `${status} ${reasonPhrase(status)}: ${reason}\n`), "utf8");
  const all = [
    "date",
    dateText(Math.floor(desk.nowSeconds() + desk.wallLeadSeconds())),
    ...(silent ? [] : ["content-type", "text/plain; charset=utf-8"]),
    "cache-control",
    "no-store",
    ...fields,
    "age",
    "0",
    "cache-status",
    cacheStatus(desk.self, outcome),
  ];
  const content = exchange.head.method === "HEAD" || silent ? null : text;
  exchange.answer(AnswerHead.of(status, all, text.length), desk.viaLine, content);
}
