/** `gyre logs` and `gyre events`: what clients have asked, and what has happened to members, over the whole cluster. */
import { bytesText } from "../base/sizes.ts";
import { requestFilter } from "../telemetry/request-filter.ts";
import type { SeenRequest } from "../telemetry/seen-request.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { linesFrom } from "./lines-from.ts";
import { note, say, styled } from "./terminal.ts";

export interface LogsOptions extends WhereOptions {
  readonly follow?: boolean;
  readonly filter?: string;
  readonly count?: string;
  readonly json?: boolean;
}

/**
 * Prints the last requests that were no hits of the fast way, or with `follow` every request as it ends, until Ctrl-C
 * or `count` of them. @throws Failure where the filter is none.
 */
export async function logs(options: LogsOptions): Promise<void> {
  const filter = requestFilter(options.filter ?? "");
  if ("wrong" in filter) throw new Failure(`--filter: ${filter.wrong}`, 2);
  const count = countOf(options.count);
  const query = `filter=${encodeURIComponent(options.filter ?? "")}`;
  const print = (request: SeenRequest): void => say(options.json === true ? JSON.stringify(request) : lineOf(request));
  if (options.follow === true)
    return following(options, `/api/requests?${query}`, count, (value) => {
      const { dropped } = value as { dropped?: number };
      if (dropped === undefined) print(value as SeenRequest);
      else note(`${dropped} requests more than could be sent`);
      return dropped === undefined;
    });
  const all = await fromEvery(options, `/api/requests?recent=1&follow=0&${query}`);
  const requests = (all as SeenRequest[]).toSorted((a, b) => (a.time < b.time ? -1 : 1));
  for (const request of requests.slice(-(count ?? 100))) print(request);
  if (options.json !== true)
    note("the last requests that were no hits of the fast way; --follow shows all as they end");
  return undefined;
}

/** Prints the last events of all members, and with `follow` those that come. */
export async function events(options: Omit<LogsOptions, "filter">): Promise<void> {
  const count = countOf(options.count);
  const print = (event: unknown): void => say(options.json === true ? JSON.stringify(event) : eventLine(event));
  if (options.follow === true)
    return following(options, "/api/events?follow=1", count, (value) => {
      print(value);
      return true;
    });
  const all = (await fromEvery(options, "/api/events")) as { time: string }[];
  for (const event of all.toSorted((a, b) => (a.time < b.time ? -1 : 1)).slice(-(count ?? 100))) print(event);
  return undefined;
}

/** Until Ctrl-C, or until `taken` has said true so often. */
async function following(
  options: WhereOptions,
  path: string,
  count: number | null,
  taken: (value: unknown) => boolean,
): Promise<void> {
  const end = new AbortController();
  process.once("SIGINT", () => end.abort());
  let left = count ?? Number.POSITIVE_INFINITY;
  await linesFrom(
    options,
    path,
    (value) => {
      if (left > 0 && taken(value) && --left <= 0) end.abort();
    },
    end.signal,
  );
}

/** What every member that answers has at a path, together. */
async function fromEvery(options: WhereOptions, path: string): Promise<unknown[]> {
  const { status, secret } = await contact(options);
  const parts = await Promise.all(
    status.members.map(async ({ name, admin }) => {
      try {
        return (await (await contact({ admin, secret })).get(path)) as unknown[];
      } catch (error) {
        note(`${name}: ${(error as Error).message}`);
        return [];
      }
    }),
  );
  return parts.flat();
}

function countOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Failure(`--count ${text}: write a number above 0`, 2);
  return Number(text);
}

function lineOf(request: SeenRequest): string {
  const { time, member, method, uri, status, outcome, reason, owned, bytes, durationMs, client, complete } = request;
  const why = reason === null || reason === outcome || outcome === "hit" ? "" : ` (${reason})`;
  const what = owned ?? `${outcome}${why}`;
  const shown =
    status >= 500 ? styled("red", String(status)) : status >= 400 ? styled("yellow", String(status)) : status;
  const ms = durationMs < 10 ? durationMs.toFixed(1) : durationMs.toFixed(0);
  return `${clock(time)} ${member} ${method} ${uri} ${shown} ${what}, ${bytesText(bytes)} in ${ms} ms, ${client}${complete ? "" : ", cut"}`;
}

const levels: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "WARN", 50: "ERROR", 60: "FATAL" };

function eventLine(value: unknown): string {
  const { time, member, level, msg } = value as { time: string; member: string; level: number; msg: string };
  const name = levels[level] ?? String(level);
  return `${clock(time)} ${member} ${level >= 50 ? styled("red", name) : level >= 40 ? styled("yellow", name) : name} ${msg}`;
}

function clock(time: string): string {
  return new Date(time).toTimeString().slice(0, 8);
}
