/**
 * What is to be done with a request, decided by its head alone: which way it takes, or why it is refused. A decision is
 * data; serve.ts carries it out, once.
 */
import { connectionHas } from "../../http/connection-fields.ts";
import { mustAskOrigin } from "../../http/conditional.ts";
import { fieldValue, type FieldList } from "../../http/fields.ts";
import { listElements } from "../../http/grammar.ts";
import { hasLooped } from "../../http/loops.ts";
import { isSafe } from "../../http/messages.ts";
import { overridesMethod } from "../../http/method-override.ts";
import { keyHash, owner } from "../../ring/ring.ts";
import type { View } from "../../ring/view.ts";
import { httpUri, isLoopbackName } from "../../http/uri.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { isPersonal, ownUri, targetOf, type Target } from "./target.ts";
import type { FixedAnswer, Route, Routing } from "./routes.ts";

/** What another member adds to a request that it forwards. */
export interface Forwarded {
  /** For the forward proxy, not for a route. */
  readonly forward: boolean;
  /** Of the asking member's settings for this request; 0 where they do not matter. */
  readonly settings: number;
  readonly asking: "answer" | "stand-in";
}

export type Decision =
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly reason: string;
      readonly fields?: FieldList;
      readonly content?: string;
    }
  /** The member that forwarded the request answers it itself. */
  | { readonly kind: "declined"; readonly reason: string }
  | { readonly kind: "tunnel" }
  | { readonly kind: "purge"; readonly uri: string }
  | { readonly kind: "upgrade"; readonly target: Target }
  /** By the route itself. */
  | { readonly kind: "fixed"; readonly target: Target; readonly route: Route; readonly fixed: FixedAnswer }
  /** To the origin, whoever owns the key: the answer is not from a cache, nor for one. */
  | { readonly kind: "passed-on"; readonly target: Target; readonly why: "method" | "request" | "bypass" }
  | { readonly kind: "here"; readonly target: Target; readonly hash: number; readonly owner: string }
  | { readonly kind: "foreign"; readonly target: Target; readonly hash: number; readonly owner: string }
  | { readonly kind: "stand-in"; readonly target: Target; readonly hash: number; readonly owner: string };

export interface DecideNeeds {
  readonly self: string;
  readonly cdnId: string;
  readonly view: View;
  readonly routing: Routing;
  /** Whether this member has joined the others. */
  readonly joined: boolean;
  /** What an authority may ask for, by token. RFC 8555 §8.3. */
  readonly challenges: ReadonlyMap<string, string>;
}

/** Methods that a server may be asked about; what one origin allows is its own affair. */
const allowed = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, TRACE, QUERY, CONNECT";

/** What certificate authorities ask for, over http, and nothing that could mean another path. RFC 8555 §8.3. */
const challengePattern = /^\/\.well-known\/acme-challenge\/([\w-]+)$/;

/** Where only https is served: the same there. */
function toHttps({ head, client }: Exchange, port: number): Decision {
  const uri = head.form === "absolute" ? httpUri(head.target) : ownUri(head.target, head.host, client.scheme);
  if (uri === null || head.form === "authority" || head.form === "asterisk")
    return {
      kind: "refused",
      status: 400,
      reason: "only https is served here, and this is nothing that can be sent there",
    };
  const place = `https://${uri.host}${port === 443 ? "" : `:${port}`}`;
  return { kind: "refused", status: 308, reason: "https is spoken here", fields: ["location", `${place}${uri.path}`] };
}

/** The decision. `content` is that of a QUERY, which belongs to the key. */
export function decide(
  { self, cdnId, view, routing, joined, challenges }: DecideNeeds,
  exchange: Exchange,
  from: Forwarded | null,
  content: Buffer | null,
): Decision {
  const { head, client } = exchange;
  const challenge =
    challenges.size > 0 || client.redirect !== undefined ? challengePattern.exec(head.target)?.[1] : undefined;
  if (challenge !== undefined) {
    const content = challenges.get(challenge);
    if (content !== undefined) return { kind: "refused", status: 200, reason: "a challenge", content };
  }
  const isChallenge = challenge !== undefined && (head.method === "GET" || head.method === "HEAD");
  if (client.redirect !== undefined && !isChallenge) {
    // What a route answers itself (health, robots.txt) is answered here as well.
    const asked = targetOf(exchange, routing, null);
    const fixed = "refused" in asked ? null : (asked.route?.fixed ?? null);
    if (fixed?.kind !== "text") return toHttps(exchange, client.redirect);
  }
  if (head.form === "authority") return { kind: "tunnel" };
  if (head.form === "asterisk")
    return { kind: "refused", status: 204, reason: "the proxy itself", fields: ["allow", allowed] };
  if (hasLooped(head.fields, cdnId))
    return {
      kind: "refused",
      status: 508,
      reason: "this cluster has handled this request before: it would go round for ever",
    };
  if (head.method === "PURGE" && from === null && routing.purges !== null)
    return purge(exchange, routing.purges, joined);
  const target = targetOf(exchange, routing, from?.forward ?? null, content);
  if ("refused" in target) {
    return from === null
      ? { kind: "refused", status: target.refused, reason: target.reason }
      : { kind: "declined", reason: `here ${target.reason}` };
  }
  if (from !== null && from.settings !== 0 && from.settings !== target.settings)
    return { kind: "declined", reason: "the settings for this request differ" };
  const last = lastHop(head.method, head.fields);
  if (last !== null) return last;
  const { route } = target;
  if (route !== null && route.fixed !== null) return { kind: "fixed", target, route, fixed: route.fixed };
  if (!joined) return whileJoining(exchange, target);
  if (exchange.hop === 0 && protocolsAsked(head) !== "") return { kind: "upgrade", target };
  const personal = isPersonal(target, head.fields);
  const passed = personal ? unkept(target) : target;
  if (mustAskOrigin(head.fields)) return { kind: "passed-on", target: uncoded(passed), why: "request" };
  if (!isCached(exchange, content)) return { kind: "passed-on", target: uncoded(passed), why: "method" };
  if (overridesMethod(head)) return { kind: "passed-on", target: uncoded(passed), why: "request" };
  if (personal) return { kind: "passed-on", target: passed, why: "bypass" };
  // What loopback means depends on where one stands: it is for this member's own clients alone, and for no other member
  // to fetch or keep.
  if (exchange.hop === 0 && target.route === null && isLoopbackName(target.uri.host) && !standTogether(view))
    return { kind: "passed-on", target: unstored(target), why: "bypass" };
  const hash = keyHash(target.key);
  const { name } = owner(view.ring, hash);
  const place = { target, hash, owner: name };
  if (name === self) return { kind: "here", ...place };
  if (exchange.hop === 0) return { kind: "foreign", ...place };
  // The owner cannot be reached from where the request comes, or is busy.
  return { kind: from?.asking === "stand-in" ? "stand-in" : "here", ...place };
}

/** Where some may purge so, the method is Gyre's own, whoever uses it. */
function purge({ head, client }: Exchange, purges: (address: string) => boolean, joined: boolean): Decision {
  if (!purges(client.address))
    return {
      kind: "refused",
      status: 403,
      reason: `${client.address} may not purge: purge-allow names who may, and \`gyre purge\` works with the cluster's secret`,
    };
  if (!joined) return justJoining;
  return {
    kind: "purge",
    uri: head.form === "absolute" ? head.target : `${client.scheme}://${head.host}${head.target}`,
  };
}

const justJoining: Decision = {
  kind: "refused",
  status: 503,
  reason: "this member is just joining",
  fields: ["retry-after", "1"],
};

/** Others cannot be told yet what a request changes; and what they change is not heard of: nothing is kept. */
function whileJoining(exchange: Exchange, target: Target): Decision {
  const { method } = exchange.head;
  if (exchange.hop === 1) return { kind: "declined", reason: "this member has not joined yet" };
  if (!isSafe(method)) return justJoining;
  if (protocolsAsked(exchange.head) !== "") return { kind: "upgrade", target };
  return { kind: "passed-on", target: unstored(target), why: "bypass" };
}

/** What nobody shares is not made of anything: it goes as its origin has it. */
function uncoded(target: Target): Target {
  return target.coding === null ? target : { ...target, coding: null };
}

function unstored(target: Target): Target {
  return uncoded(unkept(target));
}

function unkept(target: Target): Target {
  return { ...target, caching: { ...target.caching, store: false } };
}

/** OPTIONS and TRACE that may travel no further. RFC 9110 §7.6.2. */
function lastHop(method: string, fields: FieldList): Decision | null {
  if ((method !== "OPTIONS" && method !== "TRACE") || fieldValue(fields, "max-forwards") !== "0") return null;
  return method === "OPTIONS"
    ? { kind: "refused", status: 204, reason: "Max-Forwards ends here", fields: ["allow", allowed] }
    : { kind: "refused", status: 405, reason: "Max-Forwards ends here", fields: ["allow", allowed] };
}

/**
 * The protocols that a request offers to go on in, as text; empty where it offers none. Only HTTP/1.1 has that, and
 * only where Connection says that the offer is of this connection. One of HTTP/2 (h2c) comes with ordinary requests and
 * is declined by answering in HTTP/1.1: through it a client would get round all that is decided here. RFC 9110 §7.8.
 */
export function protocolsAsked({ fields, minor }: Exchange["head"]): string {
  const protocols = fieldValue(fields, "upgrade");
  if (protocols === undefined || minor !== 1 || !connectionHas(fields, "upgrade")) return "";
  return listElements(protocols)
    .filter((protocol) => !/^h2c(?:$|\/)/i.test(protocol))
    .join(", ");
}

/**
 * Whether a cache has anything to say to the request: everything else passes through. Content of a GET is in no key.
 */
function isCached({ head, body }: Exchange, content: Buffer | null): boolean {
  if (head.method === "QUERY") return content !== null;
  return (head.method === "GET" || head.method === "HEAD") && body === null;
}

/** Whether all members stand in one network namespace of one machine. */
function standTogether({ members }: View): boolean {
  const place = members[0]?.place;
  return members.length === 1 || (place !== undefined && members.every((member) => member.place === place));
}
