/**
 * Parts of traces, told by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/) by OpenTelemetry's own SDK, which
 * is installed by those who want it. What is not taken in time is dropped there, and counted here.
 */
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";

/** One member's part of a request. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly name: string;
  /** Ms since the epoch. */
  readonly startMs: number;
  readonly endMs: number;
  readonly failed: boolean;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

export interface TraceExport {
  /** Parts of which nobody knows yet whether they have been told. */
  readonly waiting: number;
  tell(span: Span): void;
  /** Tells what waits. */
  end(): Promise<void>;
}

/** What has to be installed. */
export const tracePackages: readonly string[] = [
  "@opentelemetry/api",
  "@opentelemetry/sdk-trace",
  "@opentelemetry/resources",
  "@opentelemetry/exporter-trace-otlp-http",
];

/**
 * Opens one to a collector's URL. `resource` is said of all parts; `lost` is told of those that could not be told.
 * Rejects where the packages are not there.
 */
export async function openTraceExport(
  url: string,
  resource: Readonly<Record<string, string>>,
  lost: (spans: number, reason: string) => void,
): Promise<TraceExport> {
  const [api, sdk, resources, otlp] = await Promise.all([
    import("@opentelemetry/api"),
    import("@opentelemetry/sdk-trace"),
    import("@opentelemetry/resources"),
    import("@opentelemetry/exporter-trace-otlp-http"),
  ]);
  const exporter = new otlp.OTLPTraceExporter({ url, timeoutMillis: 5000 });
  let waiting = 0;
  const told: SpanExporter = {
    export: (spans: ReadableSpan[], done) =>
      exporter.export(spans, (result) => {
        waiting -= spans.length;
        if (result.code !== 0) lost(spans.length, result.error?.message ?? "no reason was given");
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
  };
  /** The SDK makes up ids; these have gone on with the request already. */
  let next = { traceId: "", spanId: "" };
  const provider = new sdk.TracerProvider({
    resource: resources.resourceFromAttributes(resource),
    idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
    sampler: new sdk.AlwaysOnSampler(),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter: told, scheduledDelayMillis: 1000 })],
  });
  const tracer = provider.getTracer("gyre");
  return {
    get waiting() {
      return waiting;
    },
    tell: ({ traceId, spanId, parentId, name, startMs, endMs, failed, attributes }) => {
      next = { traceId, spanId };
      const isRemote = true;
      const parent =
        parentId === null
          ? api.ROOT_CONTEXT
          : api.trace.setSpanContext(api.ROOT_CONTEXT, { traceId, spanId: parentId, traceFlags: 1, isRemote });
      const span = tracer.startSpan(name, { kind: api.SpanKind.SERVER, startTime: startMs, attributes }, parent);
      if (failed) span.setStatus({ code: api.SpanStatusCode.ERROR });
      waiting++;
      span.end(endMs);
    },
    end: () => provider.shutdown(),
  };
}
