/** The data plane's parts in one place: what every step of a request may use. Only `view` and `routing` change, by assignment. */
import type { Peers } from "../peer/peers.ts";
import type { LoadBound } from "../ring/bounded-load.ts";
import type { FrequencySketch } from "../ring/frequency-sketch.ts";
import type { View } from "../ring/view.ts";
import type { MemoryStore } from "../store/memory-store.ts";
import type { Networks } from "../origin/destinations.ts";
import type { OriginSettings } from "../origin/origin-client.ts";
import type { Dropped } from "./dropped.ts";
import type { Flight } from "./flight.ts";
import type { Ownership } from "./ownership.ts";
import type { Recorder } from "./recorder.ts";
import type { ForwardWay, Route } from "./routes.ts";
import type { Uncacheable } from "./uncacheable.ts";

/** What the configuration says of requests; replaced as a whole on reload. */
export interface Routing {
  readonly routes: readonly Route[];
  /** Null where this member is only a reverse proxy. */
  readonly forward: ForwardWay | null;
  /** Whether a client may say where from it speaks for others (X-Forwarded-For). */
  readonly trusts: (address: string) => boolean;
  readonly tunnels: {
    readonly settings: OriginSettings;
    /** Ports that CONNECT may reach. */
    readonly ports: ReadonlySet<number> | "any";
    readonly idleMs: number;
    readonly allowed: Networks | null;
  };
}

export interface Plane {
  readonly self: string;
  /** The name in CDN-Loop, one for the cluster. RFC 8586. */
  readonly cdnId: string;
  /** The Via line of answers, with its CRLF. */
  readonly viaLine: string;
  /** Responses larger than this pass through unstored. Bytes. */
  readonly objectBytesMax: number;
  view: View;
  routing: Routing;
  readonly store: MemoryStore;
  readonly peers: Peers;
  readonly flights: Map<string, Flight>;
  readonly uncacheable: Uncacheable;
  readonly ownership: Ownership;
  /** Every fetch under way by its key, those that nobody joins too: an invalidation marks them. */
  readonly fetching: Map<string, Set<Flight>>;
  readonly dropped: Dropped;
  /** Invalidations that a member could not be told of, by its name. */
  readonly missed: Map<string, Set<string> | "all">;
  /** How often other members' keys are asked for here. */
  readonly heat: FrequencySketch;
  /** Null where owners bear whatever load comes. */
  readonly loadBound: LoadBound | null;
  readonly recorder: Recorder;
  /** Seconds since the epoch. */
  readonly nowSeconds: () => number;
  /** A bug or a lost promise, for the log. */
  readonly failed: (error: Error) => void;
}
