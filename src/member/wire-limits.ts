/** From configured limits to those of the wire; what is not given keeps its default. */
import type { Config } from "../config/schema.ts";
import type { Logger } from "../telemetry/log.ts";
import { wireLimits, type WireLimits } from "../wire/limits.ts";
import { connectionsUnder, descriptorLimit } from "./descriptors.ts";

/** The limits that the configuration gives. */
export function wireLimitsOf({ limits = {} }: Config): Partial<WireLimits> {
  const given = {
    headBytesMax: limits["head-bytes"],
    fieldsMax: limits.fields,
    uriBytesMax: limits["uri-bytes"],
    bodyBytesMax: limits["body-bytes"],
    idleMs: limits["idle-timeout"],
    headMs: limits["head-timeout"],
    bodyMs: limits["body-timeout"],
    rateBytesMin: limits["rate-bytes"],
    rateWindowMs: limits["rate-window"],
    connectionsMax: limits.connections,
    connectionsPerClientMax: limits["connections-per-client"],
    requestsPerConnectionMax: limits["requests-per-connection"],
    pipelinedBytesMax: limits["pipelined-bytes"],
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Fewer than this are worth a word at start. */
const connectionsFew = 1000;

/** The configured limits, and no more connections than there are descriptors for. */
export function limitsUnder(config: Config, log: Logger): Partial<WireLimits> {
  const given = wireLimitsOf(config);
  const wanted = given.connectionsMax ?? wireLimits.connectionsMax;
  const limit = descriptorLimit();
  const connectionsMax = connectionsUnder(limit, wanted);
  if (connectionsMax < Math.min(wanted, connectionsFew))
    log.warn(
      { kind: "limits", descriptors: limit, connections: connectionsMax },
      `with ${limit} file descriptors (ulimit -n) at most ${connectionsMax} clients are served at once`,
    );
  return { ...given, connectionsMax };
}
