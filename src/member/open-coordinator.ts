/** From `--coordinator` to what keeps the cluster together: hosted here, hosted by another member, or ZooKeeper. */
import { readFileSync } from "node:fs";
import { hostPortOf, hostPortText, type HostPort } from "../base/host-port.ts";
import type { Config } from "../config/schema.ts";
import { EmbeddedClient } from "../coordination/embedded-client.ts";
import { EmbeddedHost } from "../coordination/embedded-host.ts";
import { placesOf } from "../coordination/places.ts";
import type { Coordinator, SessionState } from "../coordination/port.ts";
import { ZooKeeperCoordinator } from "../coordination/zookeeper-coordinator.ts";
import type { PeerIdentity } from "../peer/identity.ts";
import { Link } from "../peer/link.ts";
import type { PublishedView } from "../ring/view.ts";
import type { Logger } from "../telemetry/log.ts";
import { ensembleOf } from "../zookeeper/connect-string.ts";
import { trusting } from "../zookeeper/connection.ts";
import { openToOthers } from "./refusals.ts";
import { StartError } from "./start-error.ts";

export interface CoordinatorContext {
  /** Where this member listens for others. */
  readonly peer: HostPort;
  readonly self: string;
  readonly secret: string;
  readonly identity: PeerIdentity | null;
  readonly log: Logger;
  /** What the cluster was before this member was started anew. */
  readonly lastView: PublishedView | null;
}

/** The coordinator that a configuration names. @throws StartError where it names none. */
export function openCoordinator(config: Config, context: CoordinatorContext): Coordinator {
  const { peer, self, secret, identity, log, lastView } = context;
  const { coordinator, cluster } = config;
  const failed = (error: Error): void => log.warn({ kind: "coordination", err: error }, error.message);
  if (coordinator === "embedded") return hostHere(peer, log, lastView);
  if (coordinator.startsWith("zookeeper")) {
    const ensemble = ensembleOf(coordinator);
    if ("wrong" in ensemble) throw new StartError(`--coordinator ${coordinator}: ${ensemble.wrong}`);
    const ca = config["coordinator-ca"];
    return new ZooKeeperCoordinator({
      address: coordinator,
      servers: ensemble.servers,
      tls: ensemble.tls ? trusting(ca === undefined ? undefined : readText("--coordinator-ca", ca)) : null,
      sessionMs: ensemble.sessionMs,
      cluster,
      chroot: ensemble.chroot,
      credentials: credentialsIn(config["coordinator-credentials"], log),
      failed,
    });
  }
  const places = placesOf(coordinator);
  if (places === null)
    throw new StartError(`--coordinator ${coordinator}: write http://host:port of the coordinating member's peer port`);
  return new EmbeddedClient({
    address: coordinator,
    places: places.map(hostPortText),
    dial: (place, listener) =>
      new Link(
        {
          cluster,
          secret,
          tls: config["peer-tls"],
          identity,
          self,
          purpose: "coordinator",
          expected: null,
          address: hostPortOf(place) ?? peer,
        },
        listener,
      ),
    failed,
  });
}

/** The coordinator, hosted by this member; `lastView` is what the cluster was under another one. */
export function hostHere(peer: HostPort, log: Logger, lastView: PublishedView | null): EmbeddedHost {
  return new EmbeddedHost(`http://${hostPortText(peer)}`, {
    lastView,
    expired: (member) => log.warn({ kind: "expired", member }, `the session of ${member} has expired`),
  });
}

function credentialsIn(file: string | undefined, log: Logger): string | null {
  if (file === undefined) return null;
  const open = openToOthers(file);
  if (open !== null) log.warn({ kind: "secrets", file }, `--coordinator-credentials ${open}`);
  const text = readText("--coordinator-credentials", file).trim();
  if (!/^[^:\s]+:\S+$/.test(text))
    throw new StartError(`--coordinator-credentials ${file}: the file must hold one line, user:password`);
  return text;
}

function readText(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new StartError(`${flag} ${file} cannot be read: ${(error as Error).message}`);
  }
}

/** A coordinator that another takes the place of must be gone. @throws Error with a sentence where it is not. */
export function mustBeLost(coordinator: string, session: SessionState, address: string): void {
  if (coordinator.startsWith("zookeeper")) throw new Error("ZooKeeper keeps this cluster together");
  if (session === "connected")
    throw new Error(`the coordinator at ${address} answers: stop it first, two would be two clusters`);
}
