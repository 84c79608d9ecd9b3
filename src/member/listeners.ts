/** Where a member of a configuration listens for clients, on this Node. */
import { hasHttp2, listenersOf, type Listener } from "../config/listeners.ts";
import type { Config } from "../config/schema.ts";

/** The listeners of a configuration. */
export function listenersFor(config: Config): readonly Listener[] {
  return listenersOf({
    ...config,
    hasTls: config.tls !== undefined || config["tls-cert"] !== undefined || config.certificates === "auto",
    hasHttp2: hasHttp2(process.versions.node),
  });
}
