/** Word left with a stored response that the whole way has answered with it (shortcut.ts). */
import { orderNumber } from "../../http/codings.ts";
import { formCoded, type Store, type StoredResponse } from "../../store/port.ts";
import type { View } from "../../ring/view.ts";
import type { Routing } from "../request/routes.ts";
import { formAtRoute, formWithoutCookies } from "../request/kept-forms.ts";
import { noRoute } from "../request/route-counts.ts";
import { codingsOffered, selectsByItself } from "../request/selecting.ts";
import type { Ticket } from "../request/ticket.ts";

/**
 * Under these settings, requests of this form for this very key get what is stored: the shortcut need not find that
 * out again.
 */
export function allowShortcut(
  store: Pick<Store, "allow">,
  { routing, view }: { readonly routing: Routing; readonly view: View },
  { shortcut, target, exchange }: Ticket,
  stored: StoredResponse,
): void {
  const { varyNames } = stored.head;
  // Whether a client may claim https depends on its connection, and on whom this proxy trusts.
  const isClaimed = exchange.hop === 0 && exchange.head.form === "absolute" && target.uri.scheme === "https";
  if (shortcut === 0 || (isClaimed && target.route !== null)) return;
  if (!selectsByItself(exchange, target, varyNames)) return;
  const coded = formCoded(shortcut, orderNumber(codingsOffered(target, varyNames)));
  const atRoute = formAtRoute(coded, target.route?.number ?? noRoute);
  const form = target.caching.passCookies.length === 0 ? atRoute : formWithoutCookies(atRoute);
  store.allow(stored, { settings: routing.number, epoch: view.epoch, way: target.settings, form });
}
