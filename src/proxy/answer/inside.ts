/**
 * Who may see what lies inside: content that the forward proxy fetched from a loopback or private address is for
 * clients that may go there themselves. Those of the machine may; what loopback means elsewhere is another matter, and
 * so another member's client counts as one only where that member stands at the same place (`local` of a forwarded
 * request).
 */
import type { Exchange } from "../../wire/exchange.ts";
import type { Ticket } from "../request/ticket.ts";
import { refuse } from "./refuse.ts";

/** Whether an asker may be answered with content that was, or was not, fetched from inside. */
export function mayBeShown(inner: boolean, { client }: Pick<Exchange, "client">): boolean {
  return !inner || client.local;
}

/** Refuses what lies inside; another member's request goes back to it, since its client may be local there. */
export function refuseInside(ticket: Ticket): void {
  const reason = "loopback and private addresses are open only to clients on this machine";
  if (ticket.exchange.decline(reason)) return ticket.end(true);
  return refuse(ticket, 403, reason);
}
