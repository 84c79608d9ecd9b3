/** Where a syslog server listens, as it is written: `udp:127.0.0.1:514`, `unix:/run/syslog.sock`. */
import { hostPortOf } from "../base/host-port.ts";
import type { SyslogPlace } from "../telemetry/syslog-writer.ts";

/** The place, or null. */
export function syslogPlaceOf(text: string): SyslogPlace | null {
  if (text.startsWith("unix:/")) return { path: text.slice(5) };
  return text.startsWith("udp:") ? hostPortOf(text.slice(4)) : null;
}
