/** What `/api/status` and `gyre status` tell: the cluster as this member sees it, and this member itself. */
import type { OriginHealth } from "../origin/origin-choice.ts";
import type { Routing } from "../proxy/request/routes.ts";
import type { Standing } from "../certificates/keeper.ts";
import type { SessionState } from "../coordination/port.ts";
import type { AdministeredPlane } from "./administered.ts";
import type { BusyLists } from "../telemetry/busiest.ts";
import type { RecentEvents } from "../telemetry/recent-events.ts";
import type { SeenRequest } from "../telemetry/seen-request.ts";
import { answered } from "./history.ts";
import type { PublishedView } from "../ring/view.ts";
import { shares } from "../ring/shares.ts";
import type { DiskCounts } from "../store/disk/disk-tier.ts";

/** The requests of a member's clients, for those who want to see them. */
export interface WatchedRequests {
  /** Tells of every request from now on, until the function returned is called. */
  watch(watcher: (request: SeenRequest) => void): () => void;
  /** The last that were no hits of the fast way, oldest first. */
  readonly recent: readonly SeenRequest[];
  busiest(count: number): BusyLists;
}

/** What the admin port needs to know of its member. */
export interface AdministeredMember {
  readonly name: string;
  readonly state: "starting" | "ready" | "draining" | "stopped";
  readonly startedMs: number;
  readonly coordinatorAddress: string;
  readonly cluster: string;
  readonly clients: {
    /** Threads that serve them. */
    readonly threads: number;
    /** Counts what other threads have counted up to now. */
    gather(): void;
    /** Connections of clients. */
    readonly connections: number;
    /** Those closed before a request was read from them, by reason. */
    readonly turnedAway: ReadonlyMap<string, number>;
    /** Of each thread that serves them beside this one: hits, and how late its event loop was of late. */
    byThread(): readonly { readonly hits: number; readonly delaySeconds: number }[];
    /** What they ask. */
    readonly watching: WatchedRequests;
  };
  readonly certificates: { standings(): readonly Standing[] };
  /** Its last events. */
  readonly events: RecentEvents;
  /** Takes up its configuration as it is now; says what has become of it. Rejects with why the old one stays. */
  reread(): Promise<string>;
  /** Changes its share of the key space beside the others'. */
  reweigh(weight: number): Promise<void>;
  /** Lines of its logs that nobody will see. */
  readonly logLinesDropped: number;
  /** Hands over and leaves; resolves when nothing but the farewell is left to do. */
  drain(): Promise<{
    readonly cut: number;
    readonly handedOver: { readonly responses: number; readonly bytes: number; readonly left: number };
  }>;
  /** Hosts the coordinator in the place of one that is lost; rejects with a sentence where it cannot. */
  coordinate(): Promise<void>;
  readonly control: {
    readonly view: PublishedView | null;
    readonly session: SessionState;
    readonly leads: boolean;
  } | null;
}

export interface MemberStatus {
  readonly name: string;
  /** As the view says, or `unreachable` where this member has no link to it. */
  readonly state: "active" | "draining" | "unreachable";
  readonly leader: boolean;
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
  readonly pid: number;
  /** Fraction of the key space. */
  readonly share: number;
  readonly weight: number;
  readonly zone: string;
  readonly tls: boolean;
  readonly startedMs: number;
  /** The number that stays with the name; null where the coordinator keeps none. */
  readonly id: number | null;
  /**
   * Of its settings that decide keys and ways: members whose settings differ do not answer for each other where they
   * do.
   */
  readonly settings: string | null;
}

export interface SelfStatus {
  readonly name: string;
  readonly state: AdministeredMember["state"];
  /**
   * Whether it knows what the others have told of invalidations: else it is cut off, and validates everything before
   * use. And whom it has not heard of for too long.
   */
  readonly inTouch: boolean;
  readonly silent: readonly string[];
  /** Its own session with the coordinator; while it is not connected, the member goes by its last view. */
  readonly session: SessionState;
  /** Whether it may act as the leader at this moment, whatever the view says. */
  readonly leads: boolean;
  readonly uptimeSeconds: number;
  /** Threads that serve clients. */
  readonly threads: number;
  readonly requests: number;
  readonly hits: number;
  readonly hitRatio: number | null;
  readonly inFlight: number;
  readonly forwarded: number;
  readonly originFetches: number;
  /** Hits of hot copies of others' keys; among the hits. */
  readonly copyHits: number;
  /** Requests passed to a successor because their owner was busy, and those taken for a busy owner. */
  readonly passed: number;
  readonly stoodIn: number;
  /** Misses for which a previous owner was asked, and those that it had. */
  readonly peeks: number;
  readonly peeksFound: number;
  readonly handedOver: number;
  readonly takenOver: number;
  readonly store: {
    readonly bytes: number;
    readonly bytesMax: number;
    readonly responses: number;
    readonly copies: number;
    readonly copyBytes: number;
    /** Memory given to the store so far; it is used again and again, and never given back. */
    readonly givenBytes: number;
    readonly indexBytes: number;
    /** Let go of, and still read by somebody. */
    readonly waitingBytes: number;
  };
  /** What is kept on a disk as well; null where there is none. */
  readonly disk: DiskStatus | null;
  /** Of every route, as this member finds them. */
  readonly origins: readonly OriginStatus[];
  /** Shown to clients, or wanted for them. */
  readonly certificates: readonly CertificateStatus[];
  /** What the process takes as a whole, and its heap of that. */
  readonly residentBytes: number;
  readonly heapBytes: number;
}

/** A certificate for clients. */
export interface CertificateStatus {
  readonly name: string;
  /** ISO 8601; null where there is none yet. */
  readonly until: string | null;
  /** Why the last order failed, or null. */
  readonly problem: string | null;
}

/** A member's disk tier. */
export interface DiskStatus extends DiskCounts {
  readonly folder: string;
  /** Why it is not used, or not any more; or null. */
  readonly off: string | null;
  readonly bytes: number;
  readonly bytesMax: number;
  readonly responses: number;
}

/** An origin of a route. */
export interface OriginStatus {
  readonly route: string;
  readonly origin: string;
  readonly health: OriginHealth;
  /** Why it is not up; empty where it is. */
  readonly why: string;
  readonly weight: number;
  readonly backup: boolean;
  /** Requests under way. */
  readonly active: number;
  readonly failures: number;
}

export interface Status {
  readonly cluster: string;
  readonly epoch: number;
  readonly leader: string | null;
  readonly coordinator: string;
  readonly session: SessionState;
  readonly version: string;
  readonly members: readonly MemberStatus[];
  readonly self: SelfStatus;
}

/** The status now. */
export function statusOf(member: AdministeredMember, plane: AdministeredPlane, version: string): Status {
  member.clients.gather();
  const { view } = plane.current;
  const owned = shares(view.ring);
  return {
    cluster: member.cluster,
    epoch: view.epoch,
    leader: view.leader,
    coordinator: member.coordinatorAddress,
    session: member.control?.session ?? "connecting",
    version,
    members: view.members.map(
      ({ name, state, listen, peer, admin, pid, weight, zone, tls, startedMs, id, settings }) => ({
        name,
        state: name === plane.desk.self || plane.peers.isUp(name) ? state : "unreachable",
        leader: name === view.leader,
        listen,
        peer,
        admin,
        pid,
        share: owned.get(name) ?? 0,
        weight,
        zone,
        tls,
        startedMs,
        id: id ?? null,
        settings: settings ?? null,
      }),
    ),
    self: selfOf(member, plane),
  };
}

/** The origins of all routes, in their order. */
export function originsOf({ routes }: Pick<Routing, "routes">): OriginStatus[] {
  return routes.flatMap(({ name, origins }) =>
    origins.origins.map((state) => ({
      route: name,
      origin: state.origin,
      health: origins.health(state),
      why: state.why,
      weight: state.weight,
      backup: state.backup,
      active: state.active,
      failures: state.failures,
    })),
  );
}

function diskOf({ folder, tier }: NonNullable<AdministeredPlane["disk"]>): DiskStatus {
  const { off, bytes, bytesMax, responses, counts } = tier;
  return { folder, off, bytes, bytesMax, responses, ...counts };
}

function selfOf(
  member: AdministeredMember,
  { desk, store, disk, current: { routing }, invalidations, correspondence }: AdministeredPlane,
): SelfStatus {
  const { counts } = desk.recorder;
  const { usage } = store;
  const now = desk.nowSeconds();
  const { responses, copies, copyBytes } = usage;
  const { given, index, waiting } = store.memory;
  const { rss, heapUsed } = process.memoryUsage();
  const { requests, hits } = answered(counts);
  return {
    name: member.name,
    state: member.state,
    inTouch: invalidations.isInTouch(now),
    silent: correspondence.touch.silent(now),
    session: member.control?.session ?? "connecting",
    leads: member.control?.leads ?? false,
    threads: member.clients.threads,
    uptimeSeconds: Math.round((Date.now() - member.startedMs) / 1000),
    requests,
    hits,
    hitRatio: requests === 0 ? null : hits / requests,
    inFlight: counts.inFlight,
    forwarded: counts.forwarded,
    originFetches: counts.originFetches,
    copyHits: counts.copyHits,
    passed: counts.passed,
    stoodIn: counts.stoodIn,
    peeks: counts.peeks,
    peeksFound: counts.peeksFound,
    handedOver: counts.handedOver,
    takenOver: counts.takenOver,
    store: {
      bytes: usage.bytes,
      bytesMax: store.bytesMax,
      responses,
      copies,
      copyBytes,
      givenBytes: given,
      indexBytes: index,
      waitingBytes: waiting,
    },
    disk: disk === null ? null : diskOf(disk),
    origins: originsOf(routing),
    certificates: member.certificates.standings().map(({ name, notAfterMs, problem }) => ({
      name,
      until: notAfterMs === null ? null : new Date(notAfterMs).toISOString(),
      problem,
    })),
    residentBytes: rss,
    heapBytes: heapUsed,
  };
}
