/** One fetch from the right origin: chosen, counted, its health noted. */
import { hasField, withoutFields, type FieldList } from "../../http/fields.ts";
import { claimsOfPlace } from "../../http/forwarded.ts";
import { withVary } from "../../http/vary.ts";
import { changed, movedPath, ownPlacesAsPaths, turnedBack, type FieldChanges } from "../../http/field-changes.ts";
import { keepsMethod } from "../../http/messages.ts";
import { hostText, originText, routedPath } from "../../http/uri.ts";
import type { Fetch, OriginHandler, OriginRequest } from "../../origin/fetch.ts";
import { OriginError } from "../../origin/origin-error.ts";
import { askInTurn } from "../../origin/turns.ts";
import { keyHash } from "../../ring/ring.ts";
import { gathered, isGathered } from "./gathered.ts";
import { hostOfOrigin } from "../../origin/place.ts";
import { originFields } from "../request/origin-fields.ts";
import type { Route, Routing } from "../request/routes.ts";
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
  const { route, uri, key } = target;
  if (content === null && upgrade === undefined && exchange.body !== null && isGathered(exchange))
    return gathered(
      exchange.body,
      (whole) => begin(whole),
      (error) => handler.failed(error),
    );
  return begin(content ?? exchange.body);

  function begin(body: OriginRequest["body"]): Fetch | null {
    const requestFor = (origin: string): OriginRequest => {
      ticket.origin = origin;
      return {
        origin,
        method,
        path:
          route === null || route.rewrite === null
            ? uri.path
            : movedPath(uri.path, routedPath(uri.path), route.path, route.rewrite),
        fields: originFields(ticket, origin, conditional),
        body,
        expectsContinue: exchange.head.minor === 1 && hasField(exchange.head.fields, "expect"),
        ...(upgrade === undefined ? {} : { upgrade }),
      };
    };
    if (route !== null) {
      const { origins, client, turns } = route;
      return askInTurn(
        { choice: origins, client, rules: turns },
        requestFor,
        origins.balance === "hash" ? keyHash(key) : 0,
        {
          ...handler,
          // Where a route leads is the operator's affair: what lies inside is meant for whoever asks.
          head: (status, fields) => {
            const seen = changed(asClientsSee(status, fields, ticket, route), route.response, uri.scheme);
            handler.head(status, asClaimed(status, seen, ticket), false);
          },
          interim: (status, fields) => handler.interim(status, without(fields, route.response)),
          end: (trailers) => handler.end(without(trailers, route.response)),
        },
      );
    }
    const client = exchange.client.local ? forward?.local : forward?.remote;
    if (client !== undefined) return client.fetch(requestFor(originText(uri)), handler);
    handler.failed(new OriginError("refused", "NO_FORWARD_PROXY", "this member is not a forward proxy", 403, false));
    return null;
  }
}

/** The fields with the places that they name as clients know them. */
function asClientsSee(
  status: number,
  fields: FieldList,
  { target: { uri }, origin, exchange }: Ticket,
  { path, rewrite, hostField }: Route,
): FieldList {
  const told = typeof hostField === "string" ? [] : [hostField.name.toLowerCase()];
  const places = { client: hostText(uri), origin: [...told, ...(origin === null ? [] : [hostOfOrigin(origin)])] };
  if (rewrite !== null) return turnedBack(fields, { from: path, to: rewrite }, places);
  const scheme = origin?.startsWith("https:") === true ? "https" : "http";
  return ownPlacesAsPaths(fields, scheme, places, keepsMethod(exchange.head.method, status) ? uri.path : null);
}

/**
 * What a trusted proxy says of the place that a client asked, the origin gets, and its answer may be for that place
 * alone: a redirect to https, say. A 304 says it only where it says by what the response varies at all.
 */
function asClaimed(status: number, fields: FieldList, { trusted, exchange }: Ticket): FieldList {
  const names = trusted ? claimsOfPlace(exchange.head.fields) : [];
  return names.length === 0 || (status === 304 && !hasField(fields, "vary")) ? fields : withVary(fields, names);
}

/** Interim answers and trailers have nothing set, and nothing that is removed. */
function without(fields: FieldList, changes: FieldChanges | null): FieldList {
  return changes === null || changes.remove.size === 0 ? fields : withoutFields(fields, changes.remove);
}
