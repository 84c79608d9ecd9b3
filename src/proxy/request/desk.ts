/** What every request needs of the member that handles it, whatever becomes of it. */
import type { HitLines } from "./hit-lines.ts";
import type { Recorder } from "./recorder.ts";
import type { Tracing } from "./trace.ts";

export interface Desk {
  /** The member's name, as in Cache-Status and Via. */
  readonly self: string;
  /** The name in CDN-Loop, one for the cluster. RFC 8586. */
  readonly cdnId: string;
  /** The Via line of answers, with its CRLF. */
  readonly viaLine: string;
  readonly hitLines: HitLines;
  readonly recorder: Recorder;
  /** Which traces are followed; null for none. Replaced on reload. */
  tracing: Tracing | null;
  /** Seconds since the epoch by a clock that never goes back: what ages count on. */
  readonly nowSeconds: () => number;
  /** Seconds by which the wall clock leads that one: what Date fields say is by the wall clock. */
  readonly wallLeadSeconds: () => number;
}
