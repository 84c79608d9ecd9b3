/** What an answer makes untrustworthy, in the names by which the store knows it. RFC 9111 §4.4, RFC 9875 §3. */
import type { FieldList } from "../../http/fields.ts";
import { invalidatedGroups } from "../../http/groups.ts";
import { invalidatedUris } from "../../http/invalidation.ts";
import { httpUri, originText } from "../../http/uri.ts";
import { groupKey } from "../../store/port.ts";
import { keyedUri } from "../request/target.ts";
import type { Ticket } from "../request/ticket.ts";
import type { Named } from "./missed.ts";

/** What every member must drop before the answer to the ticket's request is seen, or null. */
export function invalidatedBy(
  { target, exchange }: Pick<Ticket, "target" | "exchange">,
  status: number,
  fields: FieldList,
): Named | null {
  const { method } = exchange.head;
  const uris = invalidatedUris(method, target.uri, status, fields);
  if (uris.length === 0) return null;
  const origin = originText(target.uri);
  return {
    uris: uris.map((uri) => keyedUri(uri, httpUri(uri)!, target.caching)),
    groups: invalidatedGroups(method, status, fields).map((group) => groupKey(origin, group)),
  };
}
