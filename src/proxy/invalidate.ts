/** Dropping what an unsafe request made untrustworthy, at every owner concerned. RFC 9111 §4.4. */
import { keyHash, owner } from "../ring/ring.ts";
import { httpUri } from "../http/uri.ts";
import type { Plane } from "./plane.ts";
import { cacheKey } from "./target.ts";
import type { Ticket } from "./ticket.ts";

/** How long an answer waits for another owner to say that it has dropped the key. */
const acknowledgeMs = 1000;

/** Resolves when every owner has acknowledged, or could not be reached in time. */
export async function invalidateEverywhere(plane: Plane, uris: readonly string[], ticket: Ticket): Promise<void> {
  const byOwner = new Map<string, string[]>();
  for (const uri of uris) {
    const key = cacheKey(uri, httpUri(uri)!, ticket.target.caching, ticket.exchange.head.fields);
    const name = owner(plane.view.ring, keyHash(key)).name;
    byOwner.set(name, [...(byOwner.get(name) ?? []), key]);
    invalidateHere(plane, [key]);
  }
  byOwner.delete(plane.self);
  await Promise.allSettled(
    [...byOwner].map(([name, keys]) => plane.peers.call(name, "invalidate", { keys }, acknowledgeMs)),
  );
}

/** Drops grouped responses at every member: their keys lie anywhere on the ring. RFC 9875 §3. */
export async function invalidateGroupsEverywhere(
  plane: Plane,
  origin: string,
  groups: readonly string[],
): Promise<void> {
  plane.store.removeGroups(origin, groups);
  const others = plane.view.members.filter(({ name }) => name !== plane.self && plane.peers.isUp(name));
  await Promise.allSettled(
    others.map(({ name }) => plane.peers.call(name, "invalidate-groups", { origin, groups }, acknowledgeMs)),
  );
}

/** Drops the keys from this member's store, and lets no fetch already under way bring them back. */
export function invalidateHere(plane: Plane, keys: readonly string[]): void {
  for (const key of keys) {
    plane.store.remove(key, "invalidated");
    for (const [flightKey, flight] of plane.flights) {
      if (flightKey === key || flightKey.startsWith(`${key}\n`)) flight.invalidate();
    }
  }
}
