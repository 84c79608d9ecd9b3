/** What this machine or this Node does not have of what is configured: said once, at the start. */
import type { Config } from "../config/schema.ts";
import type { Logger } from "../telemetry/log.ts";
import { missingCodings } from "./route-directives.ts";
import type { ThreadCount } from "./thread-count.ts";

/** Says it. */
export function sayShortcomings(log: Logger, config: Config, { why }: Pick<ThreadCount, "why">): void {
  if (why !== "") log.info({ kind: "threads" }, `clients are served by one thread: ${why}`);
  for (const coding of missingCodings(config))
    log.warn({ kind: "compress", coding }, `${coding} is not in Node ${process.versions.node}: the next best is used`);
}
