/** What an answer makes untrustworthy. RFC 9111 §4.4, RFC 9875 §3. */
import type { FieldList } from "../../http/fields.ts";
import { invalidatedUris } from "../../http/invalidation.ts";
import { invalidatedGroups } from "../../http/tags.ts";
import { originText } from "../../http/uri.ts";
import type { Selector } from "../../invalidation/selector.ts";
import type { Ticket } from "../request/ticket.ts";

/** What every member must drop before the answer to the ticket's request is seen; empty for nothing. */
export function invalidatedBy(
  { target, exchange }: Pick<Ticket, "target" | "exchange">,
  status: number,
  fields: FieldList,
): readonly Selector[] {
  const { head } = exchange;
  const origin = originText(target.uri);
  return [
    ...invalidatedUris(head, target.uri, status, fields).map((uri): Selector => ({ kind: "uri", uri })),
    ...invalidatedGroups(head.method, status, fields).map((tag): Selector => ({ kind: "tag", tag, origin })),
  ];
}
