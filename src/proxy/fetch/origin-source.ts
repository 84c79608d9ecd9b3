/** One fetch from the right origin: chosen, counted, its health noted. */
import { hasField } from "../../http/fields.ts";
import { originText } from "../../http/uri.ts";
import type { Fetch, OriginHandler } from "../../origin/fetch.ts";
import { OriginError } from "../../origin/origin-error.ts";
import { originFields } from "../request/origin-fields.ts";
import type { Routing } from "../request/routes.ts";
import type { Ticket } from "../request/ticket.ts";

/** What is asked of an origin for a ticket. */
export interface OriginAsking {
  readonly method: string;
  readonly conditional: "kept" | readonly string[];
  /** Ask for a protocol switch, by name. */
  readonly upgrade?: string;
}

/**
 * Starts a fetch for the ticket's request; the handler hears of it later, never within this call unless it fails at
 * once.
 */
export function fetchFor(
  ticket: Ticket,
  { forward }: Pick<Routing, "forward">,
  { method, conditional, upgrade }: OriginAsking,
  handler: OriginHandler,
): Fetch | null {
  const { exchange, target, content } = ticket;
  const { route } = target;
  const state = route?.origins.choose(performance.now()) ?? null;
  const client = route?.client ?? (exchange.client.local ? forward?.local : forward?.remote);
  if (client === undefined || (route !== null && state === null)) {
    handler.failed(
      route === null
        ? new OriginError("refused", "NO_FORWARD_PROXY", "this member is not a forward proxy", 403, false)
        : new OriginError(
            "connect",
            "ORIGINS_RESTING",
            "every origin of this route has failed repeatedly and is left alone for a moment",
            503,
            true,
          ),
    );
    return null;
  }
  const origin = state?.origin ?? originText(target.uri);
  return client.fetch(
    {
      origin,
      method,
      path: target.uri.path,
      fields: originFields(ticket, origin, conditional),
      body: content ?? exchange.body,
      expectsContinue: exchange.head.minor === 1 && hasField(exchange.head.fields, "expect"),
      ...(upgrade === undefined ? {} : { upgrade }),
    },
    {
      ...handler,
      head: (status, fields, inner) => {
        if (state !== null) route!.origins.succeeded(state);
        // Where a route leads is the operator's affair: what lies inside is meant for whoever asks.
        handler.head(status, fields, inner && route === null);
      },
      failed: (error) => {
        if (state !== null && (error.phase === "connect" || error.phase === "resolve" || error.phase === "tls"))
          route!.origins.failed(state, performance.now());
        handler.failed(error);
      },
    },
  );
}
