/**
 * The shortcut of a hit: a plain GET, a HEAD, or a GET that a 304 may answer, for one fresh stored response, is
 * answered before anything of it is parsed further.
 * It decides nothing: the whole way has answered the same form of request for the same key before, under the same
 * settings, and has left word of it with what is stored (`Allowed`). What is anything but plain, fresh and ours takes
 * the whole way.
 */
import { fieldBlock, fieldsOfBlock, type FieldList } from "../http/fields.ts";
import type { RequestHead } from "../http/messages.ts";
import { currentAge } from "../http/freshness.ts";
import type { View } from "../ring/view.ts";
import type { Glance, Store } from "../store/port.ts";
import type { AnswerHead } from "../wire/answer-head.ts";
import { protocolOf, type Client, type Exchange } from "../wire/exchange.ts";
import { mayBeShown } from "./answer/inside.ts";
import { notModifiedFor } from "./answer/not-modified.ts";
import type { Invalidations } from "./invalidation/invalidations.ts";
import type { AccessRecord } from "./request/recorder.ts";
import { isOfForms, routeOfForms } from "./request/kept-forms.ts";
import type { Desk } from "./request/desk.ts";
import type { Routing } from "./request/routes.ts";
import { isFollowed } from "./request/trace.ts";

export interface ShortcutNeeds {
  readonly desk: Desk;
  readonly current: { readonly view: View; readonly routing: Routing; readonly joined: boolean };
  readonly store: Store;
  readonly invalidations: Pick<Invalidations, "isInTouch">;
}

/** Forms of request that lead to the same key by different rules: each has to be found to be one by itself. */
const forms = { origin: 1, absolute: 2, routed: 4, proxied: 8 } as const;

/** The form of a request; `forward` is known of one from another member. */
export function shortcutForm({ head, hop, client }: Exchange, forward: boolean | null): number {
  if (hop === 1) return forward === true ? forms.proxied : forms.routed;
  return formOf(head, client);
}

/** The form of a client's request; none where one proxy alone is, unless that and both would answer alike. */
export function formOf(head: Pick<RequestHead, "form">, { role, redirect }: Pick<Client, "role" | "redirect">): number {
  if (redirect !== undefined || role === "forward" || (role === "reverse" && head.form === "absolute")) return 0;
  return head.form === "absolute" ? forms.absolute : forms.origin;
}

/** The key that a request leads to where nothing of it has to be changed. */
export function shortcutKey({ head, client }: Exchange): string {
  return keyOf(head, client);
}

/** The same of a head and who asks. */
export function keyOf(
  { form, target, host }: Pick<Exchange["head"], "form" | "target" | "host">,
  { scheme }: Pick<Client, "scheme">,
): string {
  return form === "absolute" ? target : `${scheme}://${host}${target}`;
}

/** Answers, or returns false. */
export function serveShortcut(needs: ShortcutNeeds, exchange: Exchange, form: number, settings = 0): boolean {
  const { desk, current, store, invalidations } = needs;
  const { recorder } = desk;
  if (!current.joined || takesTracing(needs, exchange)) return false;
  const isLogged = recorder.tellsNext(exchange.hop);
  const startedMs = performance.now();
  const glance = store.glance(shortcutKey(exchange), exchange.head.fields);
  if (glance === null) return false;
  const kept = glance.forms(current.routing.number, current.view.epoch);
  if (!isOfForms(kept, form, exchange.head.fields)) return false;
  if (settings !== 0 && settings !== glance.way) return false;
  const now = desk.nowSeconds();
  if (now >= glance.freshUntil || !invalidations.isInTouch(now)) return false;
  if (!mayBeShown(glance.inner, exchange)) return false;
  const ageSeconds = Math.floor(currentAge(glance, now));
  exchange.inner = glance.inner;
  const lines = desk.hitLines.of(ageSeconds, glance.lifetimeSeconds, glance.isCopy);
  const headAlone = exchange.head.conditional ? headFor(exchange, glance, now) : null;
  const status = headAlone?.status ?? glance.status;
  const bytes = headAlone === null ? glance.contentEnd - glance.contentAt : 0;
  glance.used();
  if (glance.isCopy) recorder.copyUsed();
  if (headAlone === null) exchange.answerBytes(glance, lines);
  else exchange.answer(headAlone, lines, null);
  const durationMs = performance.now() - startedMs;
  const record = isLogged ? recordOf(needs, glance, exchange, { status, bytes, durationMs }) : null;
  recorder.hit({ status, bytes, durationMs }, exchange.hop, record, routeOfForms(kept));
  return true;
}

/** Whether somebody follows this request: what is told of it takes the whole way. */
function takesTracing(
  { desk: { tracing }, current }: Pick<ShortcutNeeds, "desk" | "current">,
  { head, client, hop, traced }: Pick<Exchange, "head" | "client" | "hop" | "traced">,
): boolean {
  if (tracing?.exports !== true) return false;
  return isFollowed(head.fields, tracing, hop === 1 ? traced === true : current.routing.trusts(client.address));
}

/** An answer whose head is known: fields, names and values in turn, and content that is the asker's own. */
export interface ReadyHit {
  readonly status: number;
  readonly fields: FieldList;
  readonly content: Buffer;
}

/** Larger content is streamed by the general way. */
const readyBytesMax = 64 * 1024;

/** The same for a client's plain GET, as fields and content, for a wire without an exchange; null where it is none. */
export function readyShortcut(
  { desk, current, store, invalidations }: ShortcutNeeds,
  head: Exchange["head"],
  client: Client,
): ReadyHit | null {
  if (!current.joined || takesTracing({ desk, current }, { head, client, hop: 0 })) return null;
  const startedMs = performance.now();
  const glance = store.glance(keyOf(head, client), head.fields);
  if (glance === null) return null;
  const kept = glance.forms(current.routing.number, current.view.epoch);
  if (!isOfForms(kept, formOf(head, client), head.fields)) return null;
  const now = desk.nowSeconds();
  const { memory, fieldsAt, headEnd, contentAt, contentEnd } = glance;
  if (now >= glance.freshUntil || !invalidations.isInTouch(now) || contentEnd - contentAt > readyBytesMax) return null;
  if (!mayBeShown(glance.inner, { client })) return null;
  const { recorder, hitLines } = desk;
  const isLogged = recorder.tellsNext(0);
  const lines = hitLines.of(Math.floor(currentAge(glance, now)), glance.lifetimeSeconds, glance.isCopy);
  const notModified = head.conditional ? notModifiedFor(head.fields, glance, now) : null;
  const status = notModified?.status ?? glance.status;
  const bytes = notModified !== null || head.method === "HEAD" ? 0 : contentEnd - contentAt;
  const content = Buffer.allocUnsafe(bytes);
  memory.copy(content, 0, contentAt, contentAt + bytes);
  const own = notModified === null ? memory.toString("latin1", fieldsAt, headEnd) : fieldBlock(notModified.fields);
  const fields = fieldsOfBlock(own + lines);
  glance.used();
  if (glance.isCopy) recorder.copyUsed();
  const durationMs = performance.now() - startedMs;
  recorder.hit(
    { status, bytes, durationMs },
    0,
    isLogged ? recordOf({ desk }, glance, { client, head, hop: 0 }, { status, bytes, durationMs }) : null,
    routeOfForms(kept),
  );
  return { status, fields, content };
}

/** A hit as the access log tells it. */
function recordOf(
  { desk }: Pick<ShortcutNeeds, "desk">,
  glance: Glance,
  { client, head, hop }: Pick<Exchange, "client" | "head" | "hop">,
  { status, bytes, durationMs }: Pick<AccessRecord, "status" | "bytes" | "durationMs">,
): AccessRecord {
  const uri = keyOf(head, client);
  return {
    client: client.address,
    serverName: client.serverName ?? null,
    protocol: protocolOf(head, client),
    method: head.method,
    uri,
    status,
    tier: glance.isCopy ? "copy" : "memory",
    tags: desk.recorder.wantsTags ? glance.stored.tags : [],
    outcome: "hit",
    reason: "fresh",
    owner: desk.self,
    owned: null,
    origin: null,
    requestId: null,
    trace: null,
    route: undefined,
    firstByteMs: durationMs,
    target: head.target,
    fields: head.fields,
    hop,
    bytes,
    durationMs,
    complete: true,
  };
}

/** The head that is the answer to a HEAD, or to a condition that holds; null where the answer has content. */
function headFor({ head }: Exchange, glance: Glance, now: number): AnswerHead | null {
  return notModifiedFor(head.fields, glance, now) ?? (head.method === "HEAD" ? glance.stored.answerHead : null);
}
