/** What is told of requests that end without a ticket: refused, or left, before there was one, or never read. */
import type { Outcome } from "../../http/cache-status.ts";
import { protocolOf, type Client, type Exchange } from "../../wire/exchange.ts";
import type { Unread } from "../../wire/unread.ts";
import type { Desk } from "../request/desk.ts";
import { unforwarded, type AccessRecord } from "../request/recorder.ts";

/** How such a request has ended. */
export interface Ended extends Pick<AccessRecord, "status" | "reason"> {
  /** The target as it came, where there was no URI. */
  readonly uri?: string;
  /** When it had come; ms, monotonic. */
  readonly startedMs: number;
  /** Where they are not those of an answer. */
  readonly bytes?: number;
  readonly complete?: boolean;
}

/** Of a target that has not become a URI, as much is told. */
const targetMax = 2000;

/** It has been answered. */
export function endedEarly(desk: Desk, exchange: Exchange, ended: Ended, outcome: Outcome = { hit: false }): void {
  const { head, client, hop } = exchange;
  desk.recorder.finished(
    {
      ...unforwarded,
      client: client.address,
      serverName: client.serverName ?? null,
      protocol: protocolOf(head, client),
      method: head.method,
      uri: ended.uri ?? head.target.slice(0, targetMax),
      status: ended.status,
      reason: ended.reason,
      owner: desk.self,
      target: head.target,
      fields: head.fields,
      hop,
      bytes: ended.bytes ?? exchange.sentBytes,
      durationMs: performance.now() - ended.startedMs,
      complete: ended.complete ?? true,
    },
    outcome,
  );
}

/** Its client has left before it was answered, or was told by its connection why it is not. */
export function leftEarly(desk: Desk, exchange: Exchange, ended: Pick<Ended, "uri" | "startedMs">): void {
  const { refusal = null } = exchange;
  const { status, reason } = refusal ?? { status: 0, reason: null };
  endedEarly(desk, exchange, { ...ended, status, reason, complete: refusal !== null });
}

/**
 * It could not be read. There is a line of it, and it counts as refused; neither as a request nor as an answer, since
 * whoever wishes can send what is none.
 */
export function neverRead({ recorder, self }: Desk, client: Client, { status, reason, line, bytes }: Unread): void {
  recorder.refused();
  if (line === null) return;
  const [, method = "-", target = line, version = "HTTP/1.1"] = requestLine.exec(line) ?? [];
  recorder.unread({
    ...unforwarded,
    outcome: "none",
    client: client.address,
    serverName: client.serverName ?? null,
    protocol: client.http2 === true ? "HTTP/2.0" : version,
    method,
    uri: inAscii(target),
    status,
    reason,
    owner: self,
    target,
    fields: [],
    hop: 0,
    bytes,
    durationMs: 0,
    complete: true,
  });
}

/** What reads as one, whatever else was wrong. */
const requestLine = /^([\w!#$%&'*+.^`|~-]{1,64}) ([\x21-\x7e]+) (HTTP\/\d\.\d)$/;

/** Bytes that stand in no URI, spelled out; what people are shown may be of any script (`base/printable.ts`). */
function inAscii(line: string): string {
  return line.replace(/[^\x20-\x7e]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, "0")}`) || "-";
}
