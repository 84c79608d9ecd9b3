/** The access log: whether, how often, and what its lines say. */
import type { Config } from "../config/schema.ts";
import type { AccessRecord, Recorder } from "../proxy/request/recorder.ts";
import type { Logger } from "../telemetry/log.ts";

/** `durationMs` is rounded to microseconds; an absent reason is left out. */
export function accessLine(record: AccessRecord): Record<string, unknown> {
  const { reason, durationMs, ...rest } = record;
  return {
    kind: "access",
    ...rest,
    ...(reason === null ? {} : { reason }),
    durationMs: Math.round(durationMs * 1000) / 1000,
  };
}

/** Lets the recorder write lines as configured. */
export function setAccessLog(recorder: Recorder, config: Config, log: Logger): void {
  const mode = config["access-log"];
  recorder.sample = mode.startsWith("1/") ? Number(mode.slice(2)) : 1;
  recorder.log =
    mode === "off"
      ? null
      : (record) => log.info(accessLine(record), `${record.method} ${record.uri} ${record.status} ${record.outcome}`);
}
