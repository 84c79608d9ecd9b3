/** Settings that a reload does not change. */
import type { Config } from "./schema.ts";

/** What changes only with a new process. */
const restartKeys: readonly (keyof Config)[] = [
  "name",
  "cluster",
  "peer",
  "admin",
  "coordinator",
  "coordinator-credentials",
  "coordinator-ca",
  "secret-file",
  "peer-tls",
  "peer-tls-cert",
  "peer-tls-key",
  "peer-tls-ca",
  "peer-tls-require",
  "advertise",
  "log-format",
  "trace-export",
  "weight",
  "certificates",
  "state",
  "zone",
  "memory",
  "threads",
  "disk",
  "disk-size",
  "hot-copies",
  "load-bound",
  "still-after",
  "object-max",
  "proxy-protocol",
  "limits",
];

/**
 * What a running member goes by after a reload, and what of the new configuration it does not take up. `also`: further
 * keys that stay.
 */
export function reloaded(
  next: Config,
  running: Config,
  also: readonly (keyof Config)[],
): { readonly config: Config; readonly kept: readonly (keyof Config)[] } {
  const kept = restartKeys.filter((key) => JSON.stringify(next[key]) !== JSON.stringify(running[key]));
  kept.push(...also);
  return { config: { ...next, ...Object.fromEntries(kept.map((key) => [key, running[key]])) } as Config, kept };
}
