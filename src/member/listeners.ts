/** Where a member of a configuration listens for clients, on this Node. */
import { hasHttp2, isSameListener, listenersOf, type Listener } from "../config/listeners.ts";
import type { Config } from "../config/schema.ts";
import { refuseOpening, refuseOpenProxy } from "./refusals.ts";

/** The listeners of a configuration. */
export function listenersFor(config: Config): readonly Listener[] {
  return listenersOf({
    ...config,
    hasTls: config.tls !== undefined || config["tls-cert"] !== undefined || config.certificates === "auto",
    hasHttp2: hasHttp2(process.versions.node),
  });
}

/**
 * `["listen"]` where the listeners of two configurations differ in more than who may use them: that waits for a
 * restart. @throws StartError where strangers could use what the next one makes of them.
 */
export function otherListeners(next: Config, running: Config): readonly "listen"[] {
  const [ours, theirs] = [listenersFor(next), listenersFor(running)];
  const areSame = ours.length === theirs.length && ours.every((one, index) => isSameListener(one, theirs[index]!));
  refuseOpenProxy(next, areSame ? ours : listenersFor({ ...next, listen: running.listen }));
  if (areSame) return [];
  refuseOpening(next, running);
  return ["listen"];
}
