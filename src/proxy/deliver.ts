/** From a stored (or still arriving) response to the asker: whole, in ranges, as 304, as a head alone. RFC 9111 §4, RFC 9110 §13–14. */
import { randomBytes } from "node:crypto";
import { isNotModified, notModifiedHead, rangeApplies } from "../http/conditional.ts";
import { fieldBlock, fieldValue, withField, withoutFields, type FieldList } from "../http/fields.ts";
import { currentAge } from "../http/freshness.ts";
import { contentRangeText, selectedRanges, type ByteRange } from "../http/ranges.ts";
import type { StoredHead } from "../http/stored-head.ts";
import type { Body, BodyReader, ContentSink } from "../store/body.ts";
import { preparedHead, type PreparedHead } from "../wire/exchange.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import type { Ticket } from "./ticket.ts";

/** What can be delivered: a stored response, or one whose content is still on its way. */
export interface Deliverable {
  readonly head: StoredHead;
  readonly prepared: PreparedHead;
  readonly body: Body;
  /** The part of a whole that the content is, for a stored 206. */
  readonly part: StoredResponse["part"];
}

/** Answers the ticket's request. The outcome must have been set. `left` is called once, when nothing more is read from the body. */
export function deliver(ticket: Ticket, what: Deliverable, now: number, left: () => void = () => {}): void {
  const { exchange } = ticket;
  const { head } = what;
  const lines = ticket.lines(currentAge(head, now));
  if (head.status === 200 && isNotModified(exchange.head.fields, head, now)) {
    ticket.status = 304;
    exchange.answerPrepared(preparedHead(304, fieldBlock(notModifiedHead(head.fields)), null), lines, null);
    ticket.end(true);
    left();
    return;
  }
  const range = exchange.head.method === "GET" ? fieldValue(exchange.head.fields, "range") : undefined;
  if (range !== undefined && deliverRange(ticket, what, range, lines, now, left)) return;
  ticket.status = head.status;
  if (exchange.head.method === "HEAD") {
    exchange.answerPrepared(what.prepared, lines, null);
    ticket.end(true);
    left();
    return;
  }
  const { body } = what;
  if (body.complete && body.segments.length <= 1) {
    exchange.answerPrepared(what.prepared, lines, body.segments[0] ?? null);
    ticket.end(true);
    left();
    return;
  }
  exchange.beginPrepared(what.prepared, lines);
  send(ticket, body, 0, null, left);
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
  const { head, prepared, body, part } = what;
  const whole = part?.total ?? prepared.contentBytes;
  if ((head.status !== 200 && part === null) || whole === null) return false;
  if (!rangeApplies(exchange.head.fields, head.fields, head.dateSeconds, now)) return false;
  const selection = selectedRanges(range, whole);
  if (selection.kind === "ignore") return false;
  const fields = withoutFields(head.fields, new Set(["content-range"]));
  if (selection.kind === "unsatisfiable") {
    ticket.status = 416;
    exchange.answerPrepared(preparedHead(416, fieldBlock(["content-range", `bytes */${whole}`]), 0), lines, null);
    ticket.end(true);
    left();
    return true;
  }
  ticket.status = 206;
  const offset = part?.first ?? 0;
  const [only, ...more] = selection.ranges;
  if (only !== undefined && more.length === 0) {
    const bytes = only.last - only.first + 1;
    const single = withField(fields, "content-range", contentRangeText(only, whole));
    exchange.beginPrepared(preparedHead(206, fieldBlock(single), bytes), lines);
    send(ticket, body, only.first - offset, only.last - offset + 1, left);
    return true;
  }
  sendMultipart(ticket, what, fields, selection.ranges, whole, lines, left);
  return true;
}

/** Several ranges as multipart/byteranges. RFC 9110 §14.6. */
function sendMultipart(
  ticket: Ticket,
  what: Deliverable,
  fields: FieldList,
  ranges: readonly ByteRange[],
  whole: number,
  lines: string,
  left: () => void,
): void {
  const { exchange } = ticket;
  const boundary = randomBytes(12).toString("hex");
  const type = fieldValue(fields, "content-type");
  const typeLine = type === undefined ? "" : `content-type: ${type}\r\n`;
  const heads = ranges.map((range, index) =>
    Buffer.from(
      `${index === 0 ? "" : "\r\n"}--${boundary}\r\n${typeLine}content-range: ${contentRangeText(range, whole)}\r\n\r\n`,
      "latin1",
    ),
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, "latin1");
  const bytes = ranges.reduce(
    (sum, { first, last }, index) => sum + last - first + 1 + heads[index]!.length,
    tail.length,
  );
  const head = withField(fields, "content-type", `multipart/byteranges; boundary=${boundary}`);
  exchange.beginPrepared(preparedHead(206, fieldBlock(head), bytes), lines);
  const offset = what.part?.first ?? 0;
  let next = 0;
  let reader: BodyReader | null = null;
  const over = (complete: boolean): void => {
    exchange.onClose = null;
    ticket.end(complete);
    left();
  };
  const part = (): void => {
    const range = ranges[next];
    if (range === undefined) {
      exchange.write(tail);
      exchange.end();
      over(true);
      return;
    }
    exchange.write(heads[next++]!);
    // Each part is read through a sink of its own, whose end is not the answer's.
    const sink: ContentSink = {
      get closed() {
        return exchange.closed;
      },
      onDrain: null,
      write: (content) => exchange.write(content),
      end: () => {},
      abort: () => exchange.abort(),
    };
    exchange.onDrain = () => sink.onDrain?.();
    reader = what.body.read(sink, range.first - offset, range.last - offset + 1, (complete) => {
      if (complete) part();
      else over(false);
    });
  };
  exchange.onClose = () => reader?.leave();
  part();
}

/** Streams bytes [from, to) of a body to the asker, and notices when the asker leaves. */
export function send(ticket: Ticket, body: Body, from: number, to: number | null, left?: () => void): void {
  const { exchange } = ticket;
  const reader = body.read(exchange, from, to, (complete) => {
    exchange.onClose = null;
    ticket.end(complete);
    left?.();
  });
  if (!exchange.closed) exchange.onClose = () => reader.leave();
}
