/** From configured limits to those of the wire; what is not given keeps its default. */
import type { Config } from "../config/schema.ts";
import type { WireLimits } from "../wire/limits.ts";

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
