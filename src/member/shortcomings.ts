/** What this machine or this Node does not have of what is configured: said once, at the start. */
import type { Config } from "../config/schema.ts";
import type { Logger } from "../telemetry/log.ts";
import { missingCodings } from "./route-directives.ts";
import type { ThreadCount } from "./thread-count.ts";

/** Says it. */
export function sayShortcomings(log: Logger, config: Config, { threads, why }: ThreadCount): void {
  if (why !== "")
    log.info(
      { kind: "threads" },
      `clients are served by ${threads === 1 ? "one thread" : `${threads} threads`}: ${why}`,
    );
  for (const coding of missingCodings(config))
    log.warn({ kind: "compress", coding }, `${coding} is not in Node ${process.versions.node}: the next best is used`);
}
