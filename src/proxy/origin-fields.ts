/** The fields that an origin gets: end-to-end only, Host made anew, marks against loops added. RFC 9110 §7.6. */
import { endToEndFields } from "../http/connection-fields.ts";
import { fieldValue, hasField, withoutFields } from "../http/fields.ts";
import { withForwarded } from "../http/forwarded.ts";
import { hostText, httpUri } from "../http/uri.ts";
import type { Ticket } from "./ticket.ts";

const madeAnew: ReadonlySet<string> = new Set(["host", "expect", "max-forwards"]);
const conditions: ReadonlySet<string> = new Set([
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "if-range",
  "range",
]);

/**
 * @param conditional the client's conditions and Range go along, or `replaced` by those of a validation (or by none).
 */
export function originFields(ticket: Ticket, origin: string, conditional: "kept" | readonly string[]): string[] {
  const { exchange, target, plane } = ticket;
  const { head, client } = exchange;
  let fields = withoutFields(endToEndFields(head.fields), madeAnew);
  if (conditional !== "kept") fields = [...withoutFields(fields, conditions), ...conditional];
  if (exchange.body === null || ticket.content !== null) fields = withoutFields(fields, new Set(["content-length"]));
  if (target.route !== null) {
    // At an owner, for the client that the entry member named.
    fields = withForwarded(fields, {
      client: client.address,
      host: head.host,
      scheme: client.scheme,
      trustsClient: plane.routing.trusts(client.address),
    });
  }
  const loop = fieldValue(fields, "cdn-loop");
  const via = fieldValue(fields, "via");
  fields = withoutFields(fields, new Set(["cdn-loop", "via"]));
  const own = `${head.minor === 1 ? "1.1" : "1.0"} ${plane.self}`;
  fields.push(
    "via",
    via === undefined ? own : `${via}, ${own}`,
    "cdn-loop",
    loop === undefined ? plane.cdnId : `${loop}, ${plane.cdnId}`,
  );
  const maxForwards = fieldValue(head.fields, "max-forwards");
  if (hasField(head.fields, "max-forwards") && /^\d{1,6}$/.test(maxForwards!) && Number(maxForwards) > 0) {
    fields.push("max-forwards", String(Number(maxForwards) - 1));
  }
  return ["host", originHost(ticket, origin), ...fields];
}

function originHost({ target, exchange }: Ticket, origin: string): string {
  if (target.route === null) return hostText(target.uri);
  const { hostField } = target.route;
  if (hostField === "preserve") return exchange.head.host === "" ? hostText(httpUri(origin)!) : exchange.head.host;
  return hostField === "origin" ? hostText(httpUri(origin)!) : hostField.name;
}
