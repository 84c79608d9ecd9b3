/** Answers that a route's configuration gives: to go elsewhere, or a text. */
import { changed, movedPath } from "../../http/field-changes.ts";
import { dateText } from "../../http/dates.ts";
import { hasNoContent } from "../../http/messages.ts";
import { routedPath } from "../../http/uri.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { FixedAnswer, Route } from "../request/routes.ts";
import type { Target } from "../request/target.ts";
import type { Ticket } from "../request/ticket.ts";

/** Gives it. */
export function answerFixed(ticket: Ticket, route: Route, fixed: FixedAnswer): void {
  const { desk, exchange, target } = ticket;
  const { status } = fixed;
  const silent = hasNoContent("GET", status);
  const content = Buffer.from(fixed.kind === "text" && !silent ? fixed.text : "", "utf8");
  const fields = [
    "date",
    dateText(Math.floor(desk.nowSeconds() + desk.wallLeadSeconds())),
    ...(fixed.kind === "redirect" ? ["location", locationOf(target, route, fixed)] : []),
    ...(content.length > 0 && fixed.kind === "text" ? ["content-type", fixed.type] : []),
  ];
  ticket.outcome = { hit: false, detail: "configured" };
  ticket.reason = "configured";
  ticket.status = status;
  const head = AnswerHead.of(status, changed(fields, route.response, target.uri.scheme), content.length);
  exchange.answer(head, ticket.lines(null), exchange.head.method === "HEAD" || silent ? null : content);
  ticket.end(true);
}

/** Where a redirect sends a request. */
export function locationOf(
  { uri }: Pick<Target, "uri">,
  { path }: Pick<Route, "path">,
  { to, rest }: FixedAnswer & { readonly kind: "redirect" },
): string {
  if (!rest) return to;
  const place = /^https?:\/\/[^/]*/.exec(to)?.[0] ?? "";
  const beginning = to.length === place.length ? "/" : to.slice(place.length);
  const moved = movedPath(uri.path, routedPath(uri.path), path, beginning);
  // Two slashes, as browsers read them, would lead to a host that the client has named.
  return place === "" ? moved.replace(/^[/\\]+/, "/") : place + moved;
}
