/**
 * The whole cluster as it lives: each member's own figures, what is busiest, what has happened, as each member can tell
 * it. The others are asked over the members' links.
 */
import { together, type BusyLists } from "../telemetry/busiest.ts";
import type { RecentEvents } from "../telemetry/recent-events.ts";
import type { AdministeredPlane } from "./administered.ts";
import type { History, Sample } from "./history.ts";
import type { SelfStatus, Status } from "./status.ts";
import { durationBoundsMs } from "../proxy/request/durations.ts";

/** What one member tells of itself. */
export interface Live {
  readonly self: SelfStatus;
  /** Slots after the one asked about. */
  readonly samples: readonly Sample[];
  readonly busiest: BusyLists | null;
  /** Events after the number asked about, oldest first, as the log has them. */
  readonly events: readonly MemberEvent[];
}

export interface MemberEvent {
  readonly number: number;
  readonly event: Readonly<Record<string, unknown>>;
}

/** What is asked of a member. */
export interface LiveAsked {
  /** Samples after this slot, and events after this number; negative for all that there are. */
  readonly slot: number;
  readonly event: number;
  /** How many of the busiest of each kind; 0 for none. */
  readonly busiest: number;
}

/** The cluster as one member tells it. */
export interface LiveCluster {
  /** Who tells it. */
  readonly teller: string;
  readonly status: Omit<Status, "self">;
  /** By name; null for those that did not answer. What they say of origins is told once, below. */
  readonly members: Readonly<Record<string, Live | null>>;
  readonly origins: readonly OriginOfAll[];
  /** Of all together. */
  readonly busiest: BusyLists;
  /** What samples count durations by. */
  readonly durationBoundsMs: readonly number[];
}

/** An origin of a route, as all members find it. */
export interface OriginOfAll {
  readonly route: string;
  readonly origin: string;
  readonly active: number;
  readonly failures: number;
  /** Members that find it up, and what the others say. */
  readonly up: number;
  readonly ill: readonly string[];
}

const busiestMax = 50;
const eventsAtOnce = 100;
const limitMs = 1500;

export interface LiveNeeds {
  readonly plane: AdministeredPlane;
  readonly status: () => Status;
  readonly history: History;
  readonly events: RecentEvents;
  readonly busiest: (count: number) => BusyLists;
}

/** This member's part. `value` is a LiveAsked from elsewhere: what is not in it counts as nothing. */
export function liveHere({ status, history, events, busiest }: LiveNeeds, value: unknown): Live {
  const asked = (value ?? {}) as Partial<Record<keyof LiveAsked, unknown>>;
  const number = (one: unknown): number => (typeof one === "number" && Number.isFinite(one) ? one : 0);
  const count = Math.min(busiestMax, Math.max(0, number(asked.busiest)));
  return {
    self: status().self,
    samples: history.since(number(asked.slot)),
    busiest: count === 0 ? null : busiest(count),
    events: events
      .since(number(asked.event))
      .slice(-eventsAtOnce)
      .map((event) => ({ number: event.number, event: JSON.parse(event.line) as MemberEvent["event"] })),
  };
}

/** All members' parts. `askedOf` says what is asked of each. */
export async function liveCluster(needs: LiveNeeds, askedOf: (member: string) => LiveAsked): Promise<LiveCluster> {
  const { plane } = needs;
  const { self: _, ...status } = needs.status();
  const parts = await Promise.all(
    status.members.map(async ({ name }): Promise<readonly [string, Live | null]> => {
      if (name === plane.desk.self) return [name, liveHere(needs, askedOf(name))];
      // One that is gone, or older than this question, has no part.
      const live = await plane.peers.call(name, "live", askedOf(name), limitMs).catch(() => null);
      return [name, live as Live | null];
    }),
  );
  const count = askedOf(plane.desk.self).busiest;
  const lists = parts.map(([, live]) => live?.busiest ?? null).filter((list) => list !== null);
  const all = (kind: keyof BusyLists): BusyLists[keyof BusyLists] =>
    together(
      lists.map((list) => list[kind]),
      count,
    );
  return {
    teller: plane.desk.self,
    status,
    members: Object.fromEntries(
      parts.map(([name, live]) => [name, live === null ? null : { ...live, self: { ...live.self, origins: [] } }]),
    ),
    origins: originsOfAll(parts),
    durationBoundsMs,
    busiest: { uri: all("uri"), route: all("route"), origin: all("origin"), client: all("client") },
  };
}

function originsOfAll(parts: readonly (readonly [string, Live | null])[]): OriginOfAll[] {
  const all = new Map<string, OriginOfAll>();
  for (const [name, live] of parts) {
    for (const { route, origin, health, why, active, failures } of live?.self.origins ?? []) {
      const key = `${route} ${origin}`;
      const before = all.get(key) ?? { route, origin, active: 0, failures: 0, up: 0, ill: [] };
      all.set(key, {
        ...before,
        active: before.active + active,
        failures: before.failures + failures,
        up: before.up + (health === "up" ? 1 : 0),
        ill: health === "up" ? before.ill : [...before.ill, `${name}: ${health}${why === "" ? "" : `, ${why}`}`],
      });
    }
  }
  return [...all.values()];
}
