/** The invalidation room of one member, put together, with the log that it goes by. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Config } from "../config/schema.ts";
import { Correspondence } from "../invalidation/correspondence.ts";
import { tellerOf } from "../invalidation/invalidation.ts";
import { InvalidationLog } from "../invalidation/log.ts";
import { Touch } from "../invalidation/touch.ts";
import type { Peers } from "../peer/peers.ts";
import { Comparing } from "../proxy/invalidation/comparing.ts";
import { Invalidations } from "../proxy/invalidation/invalidations.ts";
import { Purges, type PurgeReport } from "../proxy/invalidation/purges.ts";
import { Sweeping } from "../proxy/invalidation/sweeping.ts";
import { Telling } from "../proxy/invalidation/telling.ts";
import type { Routing } from "../proxy/request/routes.ts";
import type { View } from "../ring/view.ts";
import type { Store } from "../store/port.ts";
import { ensembleOf } from "../zookeeper/connect-string.ts";

export interface InvalidationPlane {
  readonly correspondence: Correspondence;
  readonly telling: Telling;
  readonly sweeping: Sweeping;
  readonly invalidations: Invalidations;
  readonly comparing: Comparing;
  readonly purges: Purges;
}

export interface InvalidationPlaneInit {
  readonly config: Config;
  readonly name: string;
  readonly startedMs: number;
  readonly current: { readonly view: View; readonly routing: Routing; readonly joined: boolean };
  readonly store: Store;
  readonly peers: Peers;
  readonly nowSeconds: () => number;
  /** As of when the coordinator has been heard, in seconds; null where it is a member itself. */
  readonly coordinatorHeard: () => number | null;
  /** A comparison with another member has been made. */
  readonly compared: () => void;
  /** Whether what is stored is trusted has changed; whom this member has not heard of. */
  readonly touched: (inTouch: boolean, silent: readonly string[]) => void;
  readonly audit: (report: PurgeReport, when: "told" | "counted") => void;
  readonly failed: (error: Error) => void;
}

/** The log's part of the budget, and what it takes at least and at most. Bytes. */
const logShare = 1 / 64;
const logBytesMin = 256 * 1024;
const logBytesMax = 8 * 1024 * 1024;
/** Of the embedded coordinator's sessions (registry.ts). Seconds. */
const embeddedSessionSeconds = 4;
/** Comparisons within the time that trust lasts. */
const comparisons = 4;

/** For how long a member trusts what it has stored without hearing of the others: its session time, in seconds. */
export function trustSeconds({ coordinator }: Pick<Config, "coordinator">): number {
  const ensemble = coordinator.startsWith("zookeeper") ? ensembleOf(coordinator) : null;
  return ensemble === null || "wrong" in ensemble ? embeddedSessionSeconds : ensemble.sessionMs / 1000;
}

/** Builds it. */
export function buildInvalidation(init: InvalidationPlaneInit): InvalidationPlane {
  const { config, name, startedMs, current, store, peers, nowSeconds, compared, audit, failed, coordinatorHeard } =
    init;
  const limitSeconds = trustSeconds(config);
  const bytesMax = Math.min(logBytesMax, Math.max(logBytesMin, config.memory * logShare));
  const log = new InvalidationLog(tellerOf(name, startedMs, randomBytes(6).toString("hex")), bytesMax);
  const correspondence = new Correspondence({ name, startedMs }, log, new Touch(name, limitSeconds));
  const nowMs = (): number => Date.now();
  const telling = new Telling({ self: name, peers });
  const sweeping = new Sweeping(store, failed);
  const invalidations = new Invalidations({ current, store, correspondence, telling, sweeping, nowSeconds, nowMs });
  const intervalMs = (limitSeconds * 1000) / comparisons;
  const comparing = new Comparing({
    self: name,
    current,
    correspondence,
    invalidations,
    telling,
    peers,
    nowSeconds,
    intervalMs,
    coordinatorHeard,
    compared,
    touched: init.touched,
    failed,
  });
  const newId = (): string => randomUUID();
  const purges = new Purges({ self: name, current, store, peers, invalidations, nowMs, newId, audit, failed });
  return { correspondence, telling, sweeping, invalidations, comparing, purges };
}

/** Follows a new view. */
export function followView(
  { correspondence, telling, comparing, invalidations }: InvalidationPlane,
  { epoch, members }: Pick<View, "epoch" | "members">,
  now: number,
): void {
  invalidations.takeIn(correspondence.follow(epoch, members, now));
  telling.follow(members.map(({ name }) => name));
  comparing.all();
}
