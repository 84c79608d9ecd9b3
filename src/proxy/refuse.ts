/** Answers that Gyre makes itself: refusals and failures, with a sentence that helps and nothing of the inside. */
import { dateText } from "../http/dates.ts";
import { reasonPhrase } from "../http/messages.ts";
import type { FieldList } from "../http/fields.ts";
import type { Exchange } from "../wire/exchange.ts";
import type { Plane } from "./plane.ts";
import type { Ticket } from "./ticket.ts";
import { cacheStatus } from "../http/cache-status.ts";

/** Refuses a request that has no target yet. */
export function refuseEarly(plane: Plane, exchange: Exchange, status: number, reason: string): void {
  plane.recorder.counts.refused++;
  const startedMs = performance.now();
  answer(exchange, status, reason, [], plane, cacheStatus(plane.self, { hit: false, detail: "refused" }));
  plane.recorder.finished(
    {
      client: exchange.client.address,
      method: exchange.head.method,
      uri: exchange.head.target.slice(0, 2000),
      status,
      reason,
      owner: plane.self,
      hop: exchange.hop,
      bytes: exchange.sentBytes,
      durationMs: performance.now() - startedMs,
      complete: true,
    },
    { hit: false },
  );
}

/** Ends a ticket with an answer of our own. Where an answer had been begun, it is cut instead. */
export function refuse(ticket: Ticket, status: number, reason: string, fields: FieldList = []): void {
  const { exchange, plane } = ticket;
  ticket.status = status;
  ticket.reason = reason;
  if (exchange.answered) exchange.abort();
  else answer(exchange, status, reason, fields, plane, cacheStatus(plane.self, ticket.outcome));
  ticket.end(!exchange.closed);
}

function answer(
  exchange: Exchange,
  status: number,
  reason: string,
  fields: FieldList,
  plane: Plane,
  cache: string,
): void {
  const text = Buffer.from(`${status} ${reasonPhrase(status)}: ${reason}\n`, "utf8");
  exchange.answer(
    status,
    [
      "date",
      dateText(Math.floor(plane.nowSeconds())),
      "content-type",
      "text/plain; charset=utf-8",
      "cache-control",
      "no-store",
      ...fields,
      "age",
      "0",
      "cache-status",
      cache,
      "via",
      plane.viaLine.slice(5, -2),
    ],
    text.length,
  );
  if (exchange.head.method !== "HEAD") exchange.write(text);
  exchange.end();
}
