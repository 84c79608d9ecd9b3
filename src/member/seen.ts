/** A finished request as those hear of it who watch, from its record. */
import { ownCopy } from "../base/own-copy.ts";
import { fieldValue } from "../http/fields.ts";
import type { AccessRecord } from "../proxy/request/recorder.ts";
import type { SeenRequest } from "../telemetry/seen-request.ts";

/** Characters of each text that is kept. */
const charactersMax = 2048;

/** As seen at a member at a time (ms since the epoch). Holds nothing of the bytes that the request came in. */
export function seenOf(record: AccessRecord, member: string, atMs: number): SeenRequest {
  const { client, method, uri, status, outcome, reason, owner, owned, route, origin, requestId, bytes } = record;
  return {
    time: new Date(atMs).toISOString(),
    member,
    client,
    method: copied(method),
    uri: copied(uri),
    status,
    outcome,
    reason,
    owner,
    owned,
    route: route ?? null,
    origin,
    requestId: requestId === null ? null : copied(requestId),
    bytes,
    durationMs: Math.round(record.durationMs * 1000) / 1000,
    complete: record.complete,
    userAgent: textOf(record, "user-agent"),
    referer: textOf(record, "referer"),
  };
}

function textOf({ fields }: AccessRecord, name: string): string | null {
  const value = fieldValue(fields, name);
  return value === undefined ? null : copied(value);
}

/** A part of a text keeps all of it in memory, a copy does not. What was cut ends with "…", which no request says. */
function copied(text: string): string {
  const isWhole = text.length <= charactersMax;
  const kept = isWhole ? text : text.slice(0, charactersMax - 1);
  return `${ownCopy(kept)}${isWhole ? "" : "…"}`;
}
