/**
 * The data plane of one member, put together: every room gets what it says it needs, and nothing else knows all of it.
 */
import { createHmac } from "node:crypto";
import type { Config } from "../config/schema.ts";
import { Peers, type PeersOptions } from "../peer/peers.ts";
import { answerHere } from "../proxy/fetch/here.ts";
import { Flights } from "../proxy/fetch/flights.ts";
import type { FetchNeeds } from "../proxy/fetch/needs.ts";
import { Uncacheable } from "../proxy/fetch/uncacheable.ts";
import { Ownership } from "../proxy/invalidation/ownership.ts";
import type { CallNeeds } from "../proxy/members/calls.ts";
import { keepCopies } from "../proxy/members/foreign.ts";
import type { Desk } from "../proxy/request/desk.ts";
import { HitLines } from "../proxy/request/hit-lines.ts";
import { Recorder } from "../proxy/request/recorder.ts";
import type { Routing } from "../proxy/request/routes.ts";
import type { ServeNeeds } from "../proxy/serve.ts";
import { loadBound } from "../ring/bounded-load.ts";
import { FrequencySketch } from "../ring/frequency-sketch.ts";
import type { RouteNumbers } from "../proxy/request/route-counts.ts";
import type { View } from "../ring/view.ts";
import { PageStore } from "../store/pages/page-store.ts";
import type { PurgeReport } from "../proxy/invalidation/purges.ts";
import type { Clock } from "./clock.ts";
import { openDiskFor, type MemberDisk } from "./member-disk.ts";
import type { PeerIdentity } from "../peer/identity.ts";
import { peerIdentityOf } from "./peer-identity.ts";
import { buildInvalidation, followView, trustSeconds, type InvalidationPlane } from "./invalidation-plane.ts";

/**
 * What the data plane goes by at this moment. Both are replaced as a whole, by one assignment, here and nowhere else.
 */
export interface Current {
  view: View;
  routing: Routing;
  /**
   * In the view, linked with all who are up: only then do the others hear of this member's invalidations, and it of
   * theirs. Until then nothing is stored, nor answered from the store, and nothing is changed.
   */
  joined: boolean;
  /** What is answered under /.well-known/acme-challenge/, by token. */
  readonly challenges: Map<string, string>;
}

/** Everything that the rooms of the data plane need. */
export interface DataPlane extends ServeNeeds, CallNeeds, InvalidationPlane {
  readonly current: Current;
  readonly store: PageStore;
  /** What the store keeps on a disk, or null. */
  readonly disk: MemberDisk | null;
  readonly peers: Peers;
  /** What this member shows others beside the secret, or null. */
  readonly identity: PeerIdentity | null;
  readonly ownership: Ownership;
  readonly uncacheable: Uncacheable;
  readonly uncopied: Uncacheable;
  readonly invalidations: InvalidationPlane["invalidations"];
  readonly comparing: InvalidationPlane["comparing"];
  readonly purges: InvalidationPlane["purges"];
}

export interface DataPlaneInit {
  readonly config: Config;
  readonly name: string;
  /** Threads that will read the store beside this one. */
  readonly readers: number;
  readonly startedMs: number;
  readonly secret: string;
  readonly clock: Pick<Clock, "nowSeconds" | "wallLeadSeconds">;
  readonly current: Current;
  readonly routeNumbers: RouteNumbers;
  readonly linkChanged: NonNullable<PeersOptions["changed"]>;
  /** A link to a member is up again. */
  readonly linkRestored: (member: string) => void;
  /** As of when the coordinator has been heard, in seconds; null where it is a member itself. */
  readonly coordinatorHeard: () => number | null;
  /** Another member's log has been compared with. */
  readonly compared: () => void;
  /** Whether what is stored is trusted has changed; whom this member has not heard of. */
  readonly touched: (inTouch: boolean, silent: readonly string[]) => void;
  readonly audit: (report: PurgeReport, when: "told" | "counted") => void;
  /** Something about the disk that an operator should know. */
  readonly diskSays: (how: "info" | "error", text: string) => void;
  /** A bug or a lost promise, for the log. */
  readonly failed: (error: Error) => void;
}

/** Builds the data plane of a member. */
export function buildDataPlane(init: DataPlaneInit): DataPlane {
  const { config, name, secret, clock, current, linkChanged, linkRestored, failed } = init;
  const recorder = new Recorder(init.routeNumbers);
  const viaLine = `via: 1.1 ${name} (gyre)\r\n`;
  const desk: Desk = {
    self: name,
    cdnId: `gyre-${createHmac("sha256", secret).update("cdn-loop").digest("hex").slice(0, 10)}`,
    viaLine,
    hitLines: new HitLines(name, viaLine),
    recorder,
    tracing: null,
    nowSeconds: clock.nowSeconds,
    wallLeadSeconds: clock.wallLeadSeconds,
  };
  const { nowSeconds } = clock;
  const disk = openDiskFor(init);
  const store = new PageStore(config.memory, {
    copiesBytesMax: config["hot-copies"] ?? Math.floor(config.memory / 8),
    behind: disk?.tier ?? null,
    readers: init.readers,
  });
  const identity = peerIdentityOf(config, name);
  const peers = new Peers({
    cluster: config.cluster,
    secret,
    tls: config["peer-tls"],
    identity,
    stillMs: config["still-after"],
    self: name,
    changed: linkChanged,
    restored: linkRestored,
    refused: (member) => invalidation.invalidations.takeIn(invalidation.correspondence.gone(member, nowSeconds())),
    lingerMs: trustSeconds(config) * 1000,
  });
  const ownership = new Ownership(name);
  const [uncacheable, uncopied] = [new Uncacheable(), new Uncacheable()];
  const invalidation: InvalidationPlane = buildInvalidation({ ...init, store, peers, nowSeconds });
  const { invalidations, correspondence } = invalidation;
  const kept = disk?.goOn(store, correspondence, current) ?? null;
  const fetching: FetchNeeds = {
    current,
    store,
    peers,
    ownership,
    uncacheable,
    uncopied,
    invalidations,
    objectBytesMax: config["object-max"],
    answerIdentity: (ticket, hash) => answerHere({ current, store, invalidations, flights }, ticket, hash),
    failed,
  };
  const flights = new Flights(fetching);
  return {
    self: name,
    desk,
    current,
    store,
    disk: kept,
    peers,
    identity,
    ownership,
    uncacheable,
    uncopied,
    ...invalidation,
    failed,
    flights,
    heat: new FrequencySketch(),
    loadBound: config["load-bound"] === "off" ? null : { ...loadBound, epsilon: config["load-bound"] },
    ownLoad: () => recorder.load,
  };
}

/** Follows a new view: what all rooms go by from now on. */
export function followInPlane(plane: DataPlane, view: View): void {
  const before = plane.current.view.ring;
  const now = plane.desk.nowSeconds();
  plane.ownership.follow(view, now);
  plane.current.view = view;
  plane.peers.follow(view.members);
  keepCopies(plane, before, now);
  followView(plane, view, now);
}
