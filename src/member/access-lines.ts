/**
 * Lines of the access log, from the record of a finished request. Every hit makes one: they are put together by hand.
 *
 *   json       one object; `docs/access-log.md` has its fields
 *   common     host - - [time] "request line" status bytes
 *   combined   the same, with Referer and User-Agent: what analysers of httpd's and nginx's logs read
 *   squid      time elapsed client code/status bytes method URL - hierarchy/- -
 *   short      for people at a terminal
 *
 * or an object of JSON with fields of the operator's choice (proxy/request/access-fields.ts).
 */
import { fieldValue } from "../http/fields.ts";
import { printable } from "../base/printable.ts";
import { bytesText } from "../base/sizes.ts";
import type { AccessRecord } from "../proxy/request/recorder.ts";
import { fieldsLiner, type ChosenFields } from "../proxy/request/access-fields.ts";

export type AccessFormat = "json" | "common" | "combined" | "squid" | "short" | ChosenFields;

/** Puts a record, finished at a time (ms since the epoch), into a line without its end. */
export type Liner = (record: AccessRecord, atMs: number) => string;

/** The liner of a format, for the member of that name; `routeName` finds the route that a URI belongs to. */
export function linerOf(
  format: AccessFormat,
  member: string,
  routeName: (uri: string) => string | null = () => null,
): Liner {
  if (typeof format === "object") return fieldsLiner(format, member, routeName);
  switch (format) {
    case "json":
      return jsonLiner(member);
    case "common":
      return (record, atMs) => commonLine(record, atMs);
    case "combined":
      return (record, atMs) =>
        `${commonLine(record, atMs)} ${fieldText(record, "referer")} ${fieldText(record, "user-agent")}`;
    case "squid":
      return squidLine;
    case "short":
      return shortLine;
  }
}

/** Whether lines of a format say the tags of answers. */
export function wantsTags(format: AccessFormat): boolean {
  return typeof format === "object" && format.fields.includes("tags");
}

function jsonLiner(member: string): Liner {
  const begin = '{"level":30,"time":"';
  const middle = `","member":${JSON.stringify(member)},"kind":"access","client":"`;
  const isoOf = isoTimes();
  return (record, atMs) => {
    const { client, method, uri, status, outcome, reason, owner, owned, hop, bytes, durationMs, complete } = record;
    const why = reason === null ? "" : reason === "fresh" ? ',"reason":"fresh"' : `,"reason":${quoted(reason)}`;
    let part = owned === null ? "" : `,"owned":${quoted(owned)}`;
    if (record.origin !== null) part += `,"origin":${quoted(record.origin)}`;
    if (record.requestId !== null) part += `,"requestId":"${record.requestId}"`;
    // Addresses, methods and members' names have no character that would have to be escaped.
    return `${begin}${isoOf(atMs)}${middle}${client}","method":"${method}","uri":${quoted(uri)},"status":${status},"outcome":"${outcome}"${why},"owner":"${owner}"${part},"hop":${hop},"bytes":${bytes},"durationMs":${milliseconds(durationMs)},"complete":${complete}}`;
  };
}

/** With microseconds. Whole numbers are much faster to write than fractions. */
function milliseconds(ms: number): string {
  const microseconds = Math.round(ms * 1000);
  const rest = microseconds % 1000;
  return `${(microseconds - rest) / 1000}.${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}`;
}

function commonLine({ client, method, target, protocol, status, bytes }: AccessRecord, atMs: number): string {
  // nginx's number for a client that has left before it had an answer: analysers take none that is no status.
  const said = status === 0 ? 499 : status;
  // What could not be read is told as it came.
  const line = method === "-" ? target || "-" : `${method} ${target} ${protocol}`;
  return `${client} - - [${commonTime(atMs)}] "${escaped(line)}" ${said} ${bytes}`;
}

function squidLine(record: AccessRecord, atMs: number): string {
  const { client, status, bytes, durationMs, outcome, owned, origin, complete } = record;
  // Squid's words for what could not be read: a field must have no blanks.
  const request = record.method === "-" ? "NONE error:invalid-request" : `${record.method} ${record.uri}`;
  const isHit = outcome === "hit" || owned?.includes("; hit") === true;
  // Who left before an answer was refused nothing.
  const what = outcome === "none" && status !== 0 ? "NONE" : isHit ? "TCP_HIT" : "TCP_MISS";
  const code = `${what}${complete ? "" : "_ABORTED"}/${String(status).padStart(3, "0")}`;
  const way =
    origin !== null
      ? `HIER_DIRECT/${hostOf(origin)}`
      : isHit || outcome === "none"
        ? "HIER_NONE/-"
        : // Squid's word for a peer that a hash has chosen.
          owned !== null
          ? `CARP/${record.owner}`
          : "HIER_DIRECT/-";
  const seconds = (atMs / 1000).toFixed(3);
  return `${seconds} ${String(Math.round(durationMs)).padStart(6)} ${client} ${code} ${bytes} ${request} - ${way} -`;
}

/** An origin without its port, and without the brackets of an IPv6 address: as Squid has servers. */
function hostOf(origin: string): string {
  if (origin.startsWith("unix:")) return origin;
  return /^(?:\w+:\/\/)?(?:\[([^\]]+)\]|([^:/]+))/.exec(origin)?.slice(1).find(Boolean) ?? "-";
}

function shortLine(record: AccessRecord, atMs: number): string {
  const { client, method, uri, status, outcome, reason, owned, bytes, durationMs, complete } = record;
  const time = new Date(atMs).toTimeString().slice(0, 8);
  const why = reason === null || reason === outcome || outcome === "hit" ? "" : ` (${reason})`;
  const what = owned === null ? `${outcome}${why}` : `at ${owned}`;
  const ms = durationMs < 10 ? durationMs.toFixed(1) : durationMs.toFixed(0);
  return printable(
    `${time} ${method} ${uri} ${status} ${what}, ${bytesText(bytes)} in ${ms} ms, ${client}${complete ? "" : ", cut"}`,
  );
}

function fieldText({ fields }: AccessRecord, name: string): string {
  const value = fieldValue(fields, name);
  return value === undefined ? '"-"' : `"${escaped(value)}"`;
}

/** As httpd writes what clients send: quotes and backslashes escaped, and nothing that could look like another line. */
function escaped(text: string): string {
  if (!/["\\\x00-\x1f\x7f-\xff]/.test(text)) return text;
  return text.replace(/["\\\x00-\x1f\x7f-\xff]/g, (character) =>
    character === '"' || character === "\\"
      ? `\\${character}`
      : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

function quoted(text: string): string {
  return /["\\\x00-\x1f\x7f-\uffff]/.test(text) ? printable(JSON.stringify(text)) : `"${text}"`;
}

/** ISO 8601; most lines share their millisecond with others. */
function isoTimes(): (atMs: number) => string {
  let [last, text] = [-1, ""];
  return (atMs) => {
    if (atMs !== last) [last, text] = [atMs, new Date(atMs).toISOString()];
    return text;
  };
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
let [commonSecond, commonText] = [-1, ""];

/** 26/Nov/2026:07:00:18 +0000. */
function commonTime(atMs: number): string {
  const second = Math.floor(atMs / 1000);
  if (second === commonSecond) return commonText;
  const date = new Date(second * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  commonSecond = second;
  commonText = `${two(date.getUTCDate())}/${months[date.getUTCMonth()]}/${date.getUTCFullYear()}:${time} +0000`;
  return commonText;
}
