/** Lines of the access log that have the fields that the operator has chosen, and no others. */
import { printable } from "../../base/printable.ts";
import { fieldValue } from "../../http/fields.ts";
import { wasHit } from "../../telemetry/seen-request.ts";
import type { AccessRecord } from "./recorder.ts";

/** Names of fields, in the order in which they are written. */
export interface ChosenFields {
  readonly fields: readonly string[];
}

interface Seen {
  readonly record: AccessRecord;
  readonly atMs: number;
  readonly member: string;
  readonly routeName: (uri: string) => string | null;
}

const looks: Readonly<Record<string, (seen: Seen) => unknown>> = {
  time: ({ atMs }) => new Date(atMs).toISOString(),
  member: ({ member }) => member,
  client: ({ record }) => record.client,
  protocol: ({ record }) => record.protocol,
  method: ({ record }) => record.method,
  uri: ({ record }) => record.uri,
  target: ({ record }) => record.target,
  status: ({ record }) => record.status,
  outcome: ({ record }) => record.outcome,
  reason: ({ record }) => record.reason,
  hit: ({ record }) => wasHit(record),
  owner: ({ record }) => record.owner,
  owned: ({ record }) => record.owned,
  route: ({ record, routeName }) => (record.route === undefined ? routeName(record.uri) : record.route),
  origin: ({ record }) => record.origin,
  "request-id": ({ record }) => record.requestId,
  "trace-id": ({ record }) => record.trace?.traceId ?? null,
  "server-name": ({ record }) => record.serverName,
  tier: ({ record }) => record.tier,
  tags: ({ record }) => record.tags,
  hop: ({ record }) => record.hop,
  bytes: ({ record }) => record.bytes,
  "first-byte-ms": ({ record }) => (record.firstByteMs === null ? null : rounded(record.firstByteMs)),
  "duration-ms": ({ record }) => rounded(record.durationMs),
  complete: ({ record }) => record.complete,
  host: ({ record }) => fieldValue(record.fields, "host") ?? null,
  "user-agent": ({ record }) => fieldValue(record.fields, "user-agent") ?? null,
  referer: ({ record }) => fieldValue(record.fields, "referer") ?? null,
};
/** Any field of the request: `request:accept-language`. */
const ofRequest = /^request:([!#$%&'*+.^`|~\w-]+)$/;

/** Names that may be chosen, beside `request:NAME`. */
export const fieldNames: readonly string[] = Object.keys(looks);

/** Whether a field can be chosen by that name. */
export function isFieldName(name: string): boolean {
  return Object.hasOwn(looks, name) || ofRequest.test(name);
}

/** The liner; what the names say is found once. */
export function fieldsLiner(
  { fields }: ChosenFields,
  member: string,
  routeName: (uri: string) => string | null,
): (record: AccessRecord, atMs: number) => string {
  const parts = fields.map((name) => {
    const asked = ofRequest.exec(name)?.[1]?.toLowerCase();
    const look = asked === undefined ? looks[name]! : ({ record }: Seen) => fieldValue(record.fields, asked) ?? null;
    return [`${JSON.stringify(name)}:`, look] as const;
  });
  return (record, atMs) => {
    const seen = { record, atMs, member, routeName };
    return printable(`{${parts.map(([begin, look]) => begin + JSON.stringify(look(seen))).join(",")}}`);
  };
}

/** With microseconds. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
