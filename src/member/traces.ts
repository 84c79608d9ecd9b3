/** Which traces a member follows, and whom it tells of its part in them. */
import type { Config } from "../config/schema.ts";
import type { Desk } from "../proxy/request/desk.ts";
import type { AccessRecord } from "../proxy/request/recorder.ts";
import type { Tracing } from "../proxy/request/trace.ts";
import type { Logger } from "../telemetry/log.ts";
import { openTraceExport, tracePackages, type Span, type TraceExport } from "../telemetry/trace-export.ts";
import { StartError } from "./start-error.ts";

/** @throws StartError where what telling takes is not installed. */
export async function mustHaveTracePackages(): Promise<void> {
  try {
    await Promise.all(tracePackages.map((name) => import(name)));
  } catch (error) {
    throw new StartError(
      `trace-export needs OpenTelemetry's packages beside Gyre: npm install ${tracePackages.join(" ")} (${(error as Error).message.split("\n")[0]})`,
    );
  }
}

/** See above. */
export class Traces {
  readonly #desk: Desk;
  readonly #log: Logger;
  readonly #to: string | undefined;
  #export: TraceExport | null = null;
  #lost = 0;
  /** How many of them have been spoken of. */
  #said = 0;
  #toldMs = -Infinity;

  constructor(desk: Desk, config: Config, log: Logger) {
    this.#desk = desk;
    this.#log = log;
    this.#to = config["trace-export"];
    this.follow(config);
  }

  /** Whether requests are looked at for traces that others follow. */
  get exports(): boolean {
    return this.#to !== undefined;
  }

  /** Goes by a configuration from now on, but for whom it tells. */
  follow(config: Config): void {
    this.#desk.tracing = tracingOf(config, this.exports);
  }

  /** Begins to tell. @throws StartError where what that takes is not installed. */
  async start(cluster: string): Promise<void> {
    if (this.#to === undefined) return;
    const { self, recorder } = this.#desk;
    const resource = { "service.name": "gyre", "service.namespace": cluster, "service.instance.id": self };
    await mustHaveTracePackages();
    this.#export = await openTraceExport(this.#to, resource, (spans, reason) => this.#losing(spans, reason));
    recorder.traced = (record) => this.#export?.tell(spanOf(record, Date.now()));
  }

  /** Tells what waits, or does not for longer than a second. */
  async end(): Promise<void> {
    const last = this.#export;
    if (last === null) return;
    this.#export = null;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise((done) => (timer = setTimeout(done, 1000)));
    await Promise.race([last.end().catch(() => {}), limit]);
    clearTimeout(timer);
    const untold = last.waiting + this.#lost - this.#said;
    if (untold > 0)
      this.#log.warn(
        { kind: "trace", lost: untold },
        `${untold} ${untold === 1 ? "part" : "parts"} of traces ${untold === 1 ? "was" : "were"} not told to ${this.#to} before the end`,
      );
  }

  #losing(spans: number, reason: string): void {
    this.#lost += spans;
    const now = performance.now();
    if (now - this.#toldMs < 60_000) return;
    this.#toldMs = now;
    this.#said = this.#lost;
    this.#log.warn(
      { kind: "trace", lost: this.#lost, reason },
      `parts of traces could not be told to ${this.#to}: ${reason}; ${this.#lost} so far`,
    );
  }
}

function tracingOf(config: Config, exports: boolean): Tracing | null {
  const said = config["trace-sample"];
  const sample = said === "off" ? 0 : said === "all" ? 1 : Number(said.slice(2));
  return exports || sample > 0 ? { exports, sample } : null;
}

/** A finished request as a part of its trace; names by OpenTelemetry's conventions for HTTP servers. */
function spanOf(record: AccessRecord, endMs: number): Span {
  const { trace, method, uri, status, client, route, bytes, outcome, reason, owner, origin, durationMs } = record;
  const url = URL.canParse(uri) ? new URL(uri) : null;
  const attributes: Record<string, string | number | boolean> = {
    "http.request.method": method,
    "http.response.status_code": status,
    "client.address": client,
    "http.response.body.size": bytes,
    "gyre.outcome": outcome,
    "gyre.owner": owner,
    "gyre.hop": record.hop,
    "gyre.complete": record.complete,
  };
  if (url !== null) {
    attributes["url.scheme"] = url.protocol.slice(0, -1);
    attributes["url.path"] = url.pathname;
    if (url.search !== "") attributes["url.query"] = url.search.slice(1);
    attributes["server.address"] = url.hostname;
  }
  if (route != null) attributes["gyre.route"] = route;
  if (reason !== null) attributes["gyre.reason"] = reason;
  if (origin !== null) attributes["gyre.origin"] = origin;
  return { ...trace!, name: method, startMs: endMs - durationMs, endMs, failed: status >= 500, attributes };
}
