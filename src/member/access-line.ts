/** The fields of an access log line. */
import type { AccessRecord } from "../proxy/request/recorder.ts";

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
