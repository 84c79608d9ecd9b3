/**
 * From a stored (or still arriving) response to the asker: whole, in ranges, as 304, as a head alone. RFC 9111 §4, RFC
 * 9110 §13–14.
 */
import { isNotModified, notModifiedHead, rangeApplies } from "../../http/conditional.ts";
import { fieldValue, withField, withoutFields } from "../../http/fields.ts";
import { currentAge } from "../../http/freshness.ts";
import { contentRangeText, selectedRanges } from "../../http/ranges.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import type { Body } from "../../store/body.ts";
import type { Part } from "../../store/port.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { Ticket } from "../request/ticket.ts";
import { sendMultipart } from "./multipart.ts";

/** What can be delivered: a stored response, or one whose content is still on its way. */
export interface Deliverable {
  readonly head: StoredHead;
  readonly answerHead: AnswerHead;
  /** Where it has been made already. */
  readonly notModifiedHead?: AnswerHead;
  readonly body: Body;
  /** The part of a whole that the content is, for a stored 206. */
  readonly part: Part | null;
  readonly tags: readonly string[];
}

const described: ReadonlySet<string> = new Set(["content-range"]);

/**
 * Answers the ticket's request. The outcome must have been set. `left` is called once, when nothing more is read from
 * the body.
 */
export function deliver(ticket: Ticket, what: Deliverable, now: number, left: () => void): void {
  const { exchange } = ticket;
  const { head } = what;
  ticket.tags = what.tags;
  ticket.shown = head;
  const lines = ticket.lines(currentAge(head, now));
  if (head.status === 200 && isNotModified(exchange.head.fields, head, now)) {
    ticket.status = 304;
    exchange.answer(what.notModifiedHead ?? AnswerHead.of(304, notModifiedHead(head.fields), null), lines, null);
    return end(ticket, left);
  }
  const range = exchange.head.method === "GET" ? fieldValue(exchange.head.fields, "range") : undefined;
  if (range !== undefined && deliverRange(ticket, what, range, lines, now, left)) return;
  ticket.status = head.status;
  if (exchange.head.method === "HEAD") {
    exchange.answer(what.answerHead, lines, null);
    return end(ticket, left);
  }
  const { body } = what;
  if (body.isAtHand) {
    const [segment = null] = body.segments;
    exchange.answer(what.answerHead, lines, segment, segment === null ? undefined : body.lend());
    return end(ticket, left);
  }
  exchange.begin(what.answerHead, lines);
  return send(ticket, body, 0, null, left);
}

/** Streams bytes [from, to) of a body to the asker; `left` is called once, also where the asker leaves. */
export function send(ticket: Ticket, body: Body, from: number, to: number | null, left: () => void): void {
  body.read(ticket.exchange, from, to, (complete) => {
    ticket.end(complete);
    left();
  });
}

function end(ticket: Ticket, left: () => void): void {
  ticket.end(true);
  left();
}

/** @returns false where the whole is to be sent instead. */
function deliverRange(
  ticket: Ticket,
  what: Deliverable,
  range: string,
  lines: string,
  now: number,
  left: () => void,
): boolean {
  const { exchange } = ticket;
  const { head, answerHead, body, part } = what;
  const whole = part?.total ?? answerHead.contentBytes;
  if ((head.status !== 200 && part === null) || whole === null) return false;
  if (!rangeApplies(exchange.head.fields, head.fields, head.dateSeconds, now)) return false;
  const selection = selectedRanges(range, whole);
  if (selection.kind === "ignore") return false;
  if (selection.kind === "unsatisfiable") {
    ticket.status = 416;
    exchange.answer(AnswerHead.of(416, ["content-range", `bytes */${whole}`], 0), lines, null);
    end(ticket, left);
    return true;
  }
  const fields = withoutFields(head.fields, described);
  ticket.status = 206;
  const offset = part?.first ?? 0;
  const [only, ...more] = selection.ranges;
  if (only !== undefined && more.length === 0) {
    const bytes = only.last - only.first + 1;
    const single = withField(fields, "content-range", contentRangeText(only, whole));
    exchange.begin(AnswerHead.of(206, single, bytes), lines);
    send(ticket, body, only.first - offset, only.last - offset + 1, left);
    return true;
  }
  sendMultipart(exchange, { body, offset, fields, ranges: selection.ranges, whole }, lines, (complete) => {
    ticket.end(complete);
    left();
  });
  return true;
}
