/** A stale stored response as the answer where the origin fails. RFC 9111 §4.2.4, RFC 5861 §4. */
import { requestDirectives } from "../http/directives.ts";
import { freshSecondsLeft } from "../http/freshness.ts";
import { staleOnError } from "../http/reuse.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { deliver } from "./deliver.ts";
import type { Ticket } from "./ticket.ts";

/**
 * Answers a waiter with what is stored although it is stale, where that is allowed. RFC 9111 §4.2.4, RFC 5861 §4.
 * @returns whether it was.
 */
export function servedStale(
  { ticket, collapsed }: { readonly ticket: Ticket; readonly collapsed: boolean },
  stored: StoredResponse,
  failure: "unreachable" | "server-error",
  status: number | undefined,
): boolean {
  const now = ticket.plane.nowSeconds();
  if (!staleOnError(stored.head, requestDirectives(ticket.exchange.head.fields), now, failure)) return false;
  ticket.exchange.onClose = null;
  ticket.reason = failure;
  const ttlSeconds = freshSecondsLeft(stored.head, now);
  ticket.outcome = { hit: false, forward: "stale", forwardStatus: status, collapsed, ttlSeconds, detail: failure };
  ticket.exchange.inner = stored.inner;
  deliver(ticket, stored, now);
  return true;
}
