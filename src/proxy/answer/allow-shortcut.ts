/** Word left with a stored response that the whole way has answered with it (shortcut.ts). */
import type { StoredResponse } from "../../store/port.ts";
import type { Routing } from "../request/routes.ts";
import type { Ticket } from "../request/ticket.ts";

/**
 * Under these settings, requests of this form for this very key get what is stored: the shortcut need not find that
 * out again.
 */
export function allowShortcut(routing: Routing, { shortcut, target }: Ticket, { memo }: StoredResponse): void {
  if (shortcut === 0) return;
  memo.forms = memo.settings === routing && memo.way === target.settings ? memo.forms | shortcut : shortcut;
  memo.settings = routing;
  memo.way = target.settings;
}
