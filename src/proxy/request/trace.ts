/**
 * A request's place in a trace that others follow: what its client says, or one that begins here. W3C Trace Context
 * (https://www.w3.org/TR/trace-context/), version 00. Whatever is not followed passes through as it is.
 */
import { fieldLines, withoutFields, type FieldList } from "../../http/fields.ts";

/** This member's part of a trace. */
export interface Trace {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits: of what caused it; null where the trace begins here. */
  readonly parentId: string | null;
  /** Of this part: the parent of what it causes. */
  readonly spanId: string;
}

/** What is followed. */
export interface Tracing {
  /** Whether parts are told to somebody: those of traces that others follow, too. */
  readonly exports: boolean;
  /** Of requests that bring no trace and go on from here, one in so many begins one; 0: none. */
  readonly sample: number;
}

/** What a client says of its trace. */
interface Context {
  readonly traceId: string;
  readonly parentId: string;
  readonly isSampled: boolean;
}

const names: ReadonlySet<string> = new Set(["traceparent"]);
const withState: ReadonlySet<string> = new Set(["traceparent", "tracestate"]);
/** §3.2: a later version may have more behind it; ff is none. */
const form = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

function contextOf(fields: FieldList): Context | null {
  const [line, ...more] = fieldLines(fields, "traceparent");
  const parts = line === undefined || more.length > 0 ? null : form.exec(line);
  if (parts === null || (parts[1] === "00" && parts[5] !== undefined)) return null;
  return { traceId: parts[2]!, parentId: parts[3]!, isSampled: (Number.parseInt(parts[4]!, 16) & 1) === 1 };
}

/** Whether a request brings a trace that is to be followed; `believed`: what it says of that counts. */
export function isFollowed(fields: FieldList, tracing: Tracing, believed: boolean): boolean {
  return tracing.exports && believed && contextOf(fields)?.isSampled === true;
}

/**
 * The trace of a request, or null where it has none that is followed here. `chance` is from 0 to below 1, `hex` gives
 * so many random digits.
 */
export function traceOf(
  fields: FieldList,
  tracing: Tracing,
  believed: boolean,
  { chance, hex }: { readonly chance: () => number; readonly hex: (digits: number) => string },
): Trace | null {
  const context = contextOf(fields);
  // Who follows traces elsewhere, and has nobody to tell here, must not lose what lies between.
  if (context !== null && !tracing.exports) return null;
  if (context !== null)
    return believed && context.isSampled
      ? { traceId: context.traceId, parentId: context.parentId, spanId: hex(16) }
      : null;
  if (tracing.sample === 0 || chance() * tracing.sample >= 1) return null;
  return { traceId: hex(32), parentId: null, spanId: hex(16) };
}

/** The fields with a trace, in the place of what the client said. */
export function withTrace(fields: FieldList, trace: Trace | null): FieldList {
  if (trace === null) return fields;
  // State belongs to the trace that it came with.
  const others = withoutFields(fields, trace.parentId === null ? withState : names);
  return [...others, "traceparent", `00-${trace.traceId}-${trace.spanId}-01`];
}
