/** The port at which other members, and tools with the secret, reach a member. */
import { hostPortOf } from "../base/host-port.ts";
import { ToldOnce } from "../base/told-once.ts";
import type { Config } from "../config/schema.ts";
import { methods } from "../coordination/embedded-host.ts";
import { PeerAcceptor, type AcceptedLink } from "../peer/acceptor.ts";
import { serve } from "../proxy/serve.ts";
import type { Logger } from "../telemetry/log.ts";
import type { DataPlane } from "./data-plane.ts";

export interface PeerPortOptions {
  readonly config: Config;
  readonly name: string;
  readonly secrets: readonly string[];
  readonly plane: DataPlane;
  readonly log: Logger;
  readonly failed: (error: Error) => void;
  readonly linked: () => void;
  readonly answer: (link: AcceptedLink, method: string, value: unknown) => Promise<unknown>;
  /** Whether it may host the coordinator, now or when it is asked first. */
  readonly coordinates: () => boolean;
}

/** One refusal is told so often, for as many different ones. */
const quietMs = 60_000;
const reasonsMax = 100;

/** The port, not yet listening. */
export function peerPort({
  config,
  name,
  secrets,
  plane,
  log,
  failed,
  linked,
  ...more
}: PeerPortOptions): PeerAcceptor {
  const told = new ToldOnce({ max: reasonsMax, againMs: quietMs });
  return new PeerAcceptor({
    listen: hostPortOf(config.peer)!,
    cluster: config.cluster,
    secrets,
    tls: config["peer-tls"],
    identity: plane.identity,
    toolMethods: new Set(["status", methods.view]),
    self: name,
    handle: (exchange) => serve(plane, exchange, exchange),
    bug: failed,
    linked,
    answer: more.answer,
    load: () => plane.desk.recorder.load,
    serves: (purpose) =>
      purpose === "member" || purpose === "tool" || (purpose === "coordinator" && more.coordinates()),
    refused: (address, reason) => {
      // While a coordinator is away, the others look for it everywhere, some times a second.
      log[told.tell(reason) ? "warn" : "debug"](
        { kind: "peer", address, reason },
        `a link from ${address} was refused: ${reason}`,
      );
    },
  });
}
