/** A stale stored response as the answer where the origin fails. RFC 9111 §4.2.4, RFC 5861 §4. */
import { requestDirectives } from "../../http/directives.ts";
import { freshSecondsLeft } from "../../http/freshness.ts";
import { staleOnError } from "../../http/reuse.ts";
import type { StoredResponse } from "../../store/port.ts";
import type { OriginFailure, Ticket } from "../request/ticket.ts";
import { deliver } from "./deliver.ts";
import { mayBeShown } from "./inside.ts";

export type { OriginFailure };

/** Whether a request may be answered with what is stored although it is stale and the origin has failed. */
export function mayServeStale({ desk, exchange }: Ticket, stored: StoredResponse, failure: OriginFailure): boolean {
  return (
    mayBeShown(stored.inner, exchange) &&
    staleOnError(stored.head, requestDirectives(exchange.head.fields), desk.nowSeconds(), failure.kind)
  );
}

/** Answers with what is stored although it is stale. `left` is called once, when nothing more is read from it. */
export function serveStale(
  ticket: Ticket,
  stored: StoredResponse,
  { kind, status }: OriginFailure,
  how: { readonly collapsed: boolean; readonly left: () => void },
): void {
  const now = ticket.desk.nowSeconds();
  const ttlSeconds = freshSecondsLeft(stored.head, now);
  const { collapsed, left } = how;
  ticket.reason = kind;
  ticket.staleBy = { kind, status };
  ticket.outcome = { hit: false, forward: "stale", forwardStatus: status, collapsed, ttlSeconds, detail: kind };
  ticket.exchange.inner = stored.inner;
  deliver(ticket, stored, now, left);
}
