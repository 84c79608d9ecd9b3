/**
 * What the admin port answers in JSON, by method and path, to those who have been admitted.
 *
 *   GET  /api/status                 the cluster as this member sees it
 *   GET  /api/live                   the whole cluster every second, as server-sent events
 *   GET  /api/busiest?count=         URLs, routes, origins and clients by rate, of all members together
 *   GET  /api/requests?filter=       this member's requests as they end, as lines of JSON; recent=1 for the last ones
 *   GET  /api/events?follow=1        this member's events, as lines of JSON
 *   GET  /api/locate?url=            where URLs live
 *   GET  /api/explain?url=           what is stored for one, by its owner with owner=1; field=Name: value
 *   POST /api/purge                  see purge-api.ts
 *   POST /api/drain, reload, weight, coordinate      at this member, or at member=NAME
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { jsonOf } from "../base/json.ts";
import { requestFilter } from "../telemetry/request-filter.ts";
import type { AdministeredPlane } from "./administered.ts";
import { contentOf, wrong, type ApiAnswer } from "./answers.ts";
import type { Broadcast } from "./broadcast.ts";
import { explain } from "./explain.ts";
import { toldFields } from "./told-fields.ts";
import { liveCluster, type LiveNeeds } from "./live.ts";
import { locate } from "./locate.ts";
import { operate, operations, type Operation } from "./operations.ts";
import { purgeApi } from "./purge-api.ts";
import type { AdministeredMember } from "./status.ts";
import { AdminStream } from "./streams.ts";

export interface ApiNeeds {
  readonly member: AdministeredMember;
  readonly plane: AdministeredPlane;
  readonly live: LiveNeeds;
  readonly broadcast: Broadcast;
}

/** Bytes of what operations are told. */
const contentMax = 1024;
const countMax = 50;
const streams: ReadonlySet<string> = new Set(["/api/live", "/api/requests", "/api/events"]);
const streamsMax = 100;
const paths: readonly string[] = [
  "/healthz",
  "/readyz",
  "/metrics",
  "/api/status",
  "/api/live",
  "/api/busiest",
  "/api/requests?filter=",
  "/api/events?follow=1",
  "/api/locate?url=",
  "/api/explain?url=",
  "POST /api/purge",
  "/api/purge/ID",
  "POST /api/drain",
  "POST /api/reload",
  "POST /api/weight",
  "POST /api/coordinate",
];

/** The answer; null where a stream has begun to answer. */
export async function answerApi(
  needs: ApiNeeds,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<ApiAnswer | null> {
  const { plane } = needs;
  const operation = /^\/api\/([a-z]+)$/.exec(url.pathname)?.[1] as Operation | undefined;
  if (operation !== undefined && operations.includes(operation)) {
    if (request.method !== "POST") return wrong(405, `${operation} with POST`, { allow: "POST" });
    // It may take as long as answers in progress.
    request.socket.setTimeout(0);
    return operation === "weight" ? weigh(needs, request, url) : operate(needs, operation, whereTo(url, null));
  }
  const purged = await purgeApi(plane, request, url);
  if (purged !== null) return purged;
  if (request.method !== "GET" && request.method !== "HEAD")
    return wrong(
      405,
      `only GET is known here, and POST /api/purge, ${operations.map((one) => `/api/${one}`).join(", ")}`,
    );
  if (streams.has(url.pathname)) {
    // Of an answer that does not end there is no length, and no end of its head alone.
    if (request.method === "HEAD") return { status: 200, value: {} };
    if (AdminStream.count >= streamsMax)
      return wrong(503, `${streamsMax} streams are open here: close one`, { "retry-after": "5" });
  }
  switch (url.pathname) {
    case "/api/status":
      return { status: 200, value: needs.live.status() };
    case "/api/locate":
      return { status: 200, value: locate(plane.current, url.searchParams.getAll("url")) };
    case "/api/explain":
      return explained(needs, url.searchParams);
    case "/api/busiest":
      return busiest(needs, url.searchParams);
    case "/api/requests":
      return requests(needs, response, url.searchParams);
    case "/api/events":
      return events(needs, response, url.searchParams);
    case "/api/live": {
      const stream: AdminStream = new AdminStream(response, "events", () => needs.broadcast.remove(stream));
      needs.broadcast.add(stream);
      return null;
    }
    default:
      return { status: 404, value: { error: `there is no ${url.pathname} here`, paths } };
  }
}

function whereTo(url: URL, value: unknown): { readonly at: string | null; readonly value: unknown } {
  return { at: url.searchParams.get("member"), value };
}

async function weigh(needs: ApiNeeds, request: IncomingMessage, url: URL): Promise<ApiAnswer> {
  const text = await contentOf(request, contentMax);
  const { weight } = (jsonOf(text ?? "") ?? {}) as { weight?: unknown };
  if (typeof weight !== "number") return wrong(400, 'say what it is to weigh: { "weight": 2 }');
  return operate(needs, "weight", whereTo(url, weight));
}

/** With the last request for it that came in here and was no hit of the fast way, where one is remembered. */
async function explained({ plane, member }: ApiNeeds, parameters: URLSearchParams): Promise<ApiAnswer> {
  const target = parameters.get("url");
  if (target === null) return wrong(400, "name the URL: /api/explain?url=http://…");
  const lines = parameters.getAll("field");
  const told = toldFields(lines);
  if ("wrong" in told) return wrong(400, told.wrong);
  const here = explain(plane, target, told.fields);
  if ("error" in here) return { status: 400, value: here };
  const last = member.clients.watching.recent.findLast(({ uri }) => uri === here.uri) ?? null;
  if (parameters.get("owner") !== "1" || here.owner === plane.desk.self)
    return { status: 200, value: { ...here, last } };
  // Where the owner cannot be asked, this member's word is better than none, and says whose it is.
  const there = (await plane.peers.call(here.owner, "explain", { url: target, fields: lines }).catch(() => null)) as
    | object
    | null;
  return { status: 200, value: { ...(there === null || "error" in there ? here : there), last } };
}

async function busiest({ live }: ApiNeeds, parameters: URLSearchParams): Promise<ApiAnswer> {
  const count = Number(parameters.get("count") ?? 20);
  if (!Number.isInteger(count) || count < 1 || count > countMax)
    return wrong(400, `count is a whole number from 1 to ${countMax}`);
  const none = Number.MAX_SAFE_INTEGER;
  const {
    status,
    members,
    busiest: lists,
  } = await liveCluster(live, () => ({ slot: none, event: none, busiest: count }));
  const silent = Object.keys(members).filter((name) => members[name] === null);
  return { status: 200, value: { cluster: status.cluster, members: status.members.length, silent, ...lists } };
}

function requests({ member }: ApiNeeds, response: ServerResponse, parameters: URLSearchParams): ApiAnswer | null {
  const filter = requestFilter(parameters.get("filter") ?? "");
  if ("wrong" in filter) return wrong(400, filter.wrong);
  const { watching } = member.clients;
  const recent = parameters.get("recent") === null ? [] : watching.recent.filter(filter);
  if (parameters.get("follow") === "0") return { status: 200, value: recent };
  const end = { watching: (): void => {} };
  const stream = new AdminStream(response, "lines", () => end.watching());
  for (const request of recent) stream.send(request);
  end.watching = watching.watch((request) => {
    if (filter(request)) stream.send(request);
  });
  return null;
}

function events({ member }: ApiNeeds, response: ServerResponse, parameters: URLSearchParams): ApiAnswer | null {
  const past = member.events.since(-1);
  if (parameters.get("follow") === null)
    return { status: 200, value: past.map(({ line }) => JSON.parse(line) as unknown) };
  const end = { listening: (): void => {} };
  const stream = new AdminStream(response, "lines", () => end.listening());
  for (const { line } of past) stream.send(line);
  end.listening = member.events.listen(({ line }) => stream.send(line));
  return null;
}
