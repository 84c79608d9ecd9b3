/** The fields that an origin gets: end-to-end only, Host made anew, marks against loops added. RFC 9110 §7.6. */
import { endToEndFields } from "../../http/connection-fields.ts";
import { areChanged, changed, type FieldChanges } from "../../http/field-changes.ts";
import { fieldValue, withoutFields, type FieldList } from "../../http/fields.ts";
import { isForwardingClaim, withForwarded } from "../../http/forwarded.ts";
import { hostText } from "../../http/uri.ts";
import { hostOfOrigin } from "../../origin/place.ts";
import { protocolOf, type Exchange } from "../../wire/exchange.ts";
import type { Desk } from "./desk.ts";
import type { Target } from "./target.ts";
import { withTrace, type Trace } from "./trace.ts";

/** What no origin is to hear as a client said it; `Proxy` would be HTTP_PROXY to scripts of CGI (CVE-2016-5385). */
const madeAnew: readonly string[] = ["host", "expect", "max-forwards", "proxy"];
const loopMarks: ReadonlySet<string> = new Set(["cdn-loop", "via"]);
/** What is left out where the request is named, has no content, or where this proxy compresses: origins need not. */
const leftOut = ["x-request-id", "content-length", "accept-encoding"] as const;
/** All that is left out, for each choice of these (a bit each). */
const dropped: readonly ReadonlySet<string>[] = Array.from(
  { length: 2 ** leftOut.length },
  (_, choice) => new Set([...madeAnew, ...leftOut.filter((_name, bit) => (choice & (1 << bit)) !== 0)]),
);
const conditions: ReadonlySet<string> = new Set([
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "if-range",
  "range",
]);

/** A request, as far as the fields for its origin are concerned. */
export interface Asked {
  readonly desk: Pick<Desk, "self" | "cdnId">;
  readonly exchange: Pick<Exchange, "head" | "client" | "body">;
  readonly target: Target;
  readonly content: Buffer | null;
  /** Whether the client may speak for others. */
  readonly trusted: boolean;
  /** Its name, or null. */
  readonly requestId: string | null;
  readonly trace: Trace | null;
}

/**
 * @param origin scheme, host and port of the one asked.
 * @param conditional the client's conditions and Range go along, or are replaced by those of a validation (or by none).
 */
export function originFields(asked: Asked, origin: string, conditional: "kept" | readonly string[]): string[] {
  const { exchange, target, desk, content, trusted, requestId, trace } = asked;
  const { head, client } = exchange;
  const codes = target.route !== null && target.route.compression !== null;
  const hasContent = exchange.body !== null && content === null;
  const choice = (requestId === null ? 0 : 1) | (hasContent ? 0 : 2) | (codes ? 4 : 0);
  let fields = withoutFields(endToEndFields(head.fields), dropped[choice]!);
  if (requestId !== null) fields.push("x-request-id", requestId);
  if (trace !== null) fields = [...withTrace(fields, trace)];
  if (conditional !== "kept") fields = [...withoutFields(fields, conditions), ...conditional];
  if (target.route !== null) {
    // At an owner, for the client that the entry member named.
    fields = withForwarded(fields, {
      client: client.address,
      host: head.host === "" ? "" : hostText(target.uri),
      // As the key has it: what is told must not be another's than what is stored under it.
      scheme: target.uri.scheme,
      trustsClient: trusted,
    });
  }
  const changes = target.route?.request ?? null;
  if (changes !== null) fields = [...changed(fields, changes, target.uri.scheme)];
  const loop = fieldValue(fields, "cdn-loop");
  const via = fieldValue(fields, "via");
  if (via !== undefined || loop !== undefined) fields = withoutFields(fields, loopMarks);
  // What the request has come by, not what it goes on by. RFC 9110 §7.6.3.
  const own = `${protocolOf(head, client).slice("HTTP/".length)} ${desk.self}`;
  fields.push(
    "via",
    via === undefined ? own : `${via}, ${own}`,
    "cdn-loop",
    loop === undefined ? desk.cdnId : `${loop}, ${desk.cdnId}`,
  );
  const maxForwards = fieldValue(head.fields, "max-forwards");
  if (maxForwards !== undefined && /^\d{1,6}$/.test(maxForwards) && Number(maxForwards) > 0) {
    fields.push("max-forwards", String(Number(maxForwards) - 1));
  }
  return ["host", originHost(asked, origin), ...fields];
}

function originHost({ target, exchange }: Asked, origin: string): string {
  if (target.route === null) return hostText(target.uri);
  const { hostField } = target.route;
  if (hostField === "preserve") return exchange.head.host === "" ? hostOfOrigin(origin) : hostText(target.uri);
  return hostField === "origin" ? hostOfOrigin(origin) : hostField.name;
}

/** Whether any of these fields reaches the origin otherwise than the client sent it. */
export function areRewritten(names: readonly string[], fields: FieldList, changes: FieldChanges | null): boolean {
  if (areChanged(names, changes)) return true;
  const connection = fieldValue(fields, "connection")?.toLowerCase();
  if (connection !== undefined && connection !== "keep-alive" && connection !== "close") return true;
  return names.some((name) => remade.has(name) || isForwardingClaim(name));
}

const remade: ReadonlySet<string> = new Set([
  "via",
  "cdn-loop",
  "host",
  "expect",
  "max-forwards",
  "proxy",
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "x-request-id",
  "traceparent",
]);
