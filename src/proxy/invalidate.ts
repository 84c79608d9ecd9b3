/**
 * Dropping what an unsafe request made untrustworthy, at every member: RFC 9111 §4.4.
 *
 * First the owners, then everybody else: what is copied from an owner after it has dropped it is new. What was under way is marked,
 * and what other members may still have of it does not come back by a peek or a hand-over (dropped.ts). A member that cannot be reached is told when it can. One that has joined without the asker
 * knowing is told by those who do.
 */
import { httpUri } from "../http/uri.ts";
import { keyHash, owner } from "../ring/ring.ts";
import { groupKey } from "../store/stored-response.ts";
import type { Plane } from "./plane.ts";
import { cacheKey } from "./target.ts";
import type { Ticket } from "./ticket.ts";

/** How long an answer waits for another member to say that it has dropped the keys. */
const acknowledgeMs = 1000;
/** Keys kept for a member that cannot be reached; beyond it, it is told to validate all that it has. */
const missedMax = 10_000;
/** Of keys in one call: JSON can make six bytes of a character, and a frame holds half a megabyte. */
const stepCharactersMax = 64 * 1024;

/** Resolves when every member has acknowledged, or could not be reached in time. */
export async function invalidateEverywhere(plane: Plane, uris: readonly string[], ticket: Ticket): Promise<void> {
  const keys = uris.map((uri) => cacheKey(uri, httpUri(uri)!, ticket.target.caching, ticket.exchange.head.fields));
  invalidateHere(plane, keys);
  const owners = new Set(keys.map((key) => owner(plane.view.ring, keyHash(key)).name));
  await tell(plane, [...owners], keys);
  const others = plane.view.members.map(({ name }) => name).filter((name) => !owners.has(name));
  await tell(plane, others, keys);
}

/** Answers another member's call. `epoch` is of its view: members that it cannot know are told from here. */
export async function invalidateFor(plane: Plane, keys: readonly string[], epoch: number): Promise<void> {
  invalidateHere(plane, keys);
  if (plane.view.epoch <= epoch) return;
  const unknown = plane.view.members.filter(({ since = 0 }) => since > epoch).map(({ name }) => name);
  await tell(plane, unknown, keys);
}

/** Tells a member that can be reached again what it has missed. */
export async function replayMissed(plane: Plane, member: string): Promise<void> {
  const missed = plane.missed.get(member);
  if (missed === undefined) return;
  plane.missed.delete(member);
  if (missed === "all") {
    await plane.peers.call(member, "validate-all", null, acknowledgeMs).catch(() => plane.missed.set(member, "all"));
    return;
  }
  await tell(plane, [member], [...missed]);
}

/** Drops grouped responses at every member: their keys lie anywhere on the ring. RFC 9875 §3. */
export async function invalidateGroupsEverywhere(
  plane: Plane,
  origin: string,
  groups: readonly string[],
): Promise<void> {
  invalidateGroupsHere(plane, origin, groups);
  const others = plane.view.members.filter(({ name }) => name !== plane.self && plane.peers.isUp(name));
  await Promise.allSettled(
    others.map(({ name }) => plane.peers.call(name, "invalidate-groups", { origin, groups }, acknowledgeMs)),
  );
}

/** Drops the groups from this member's store. @returns how many stored responses were dropped. */
export function invalidateGroupsHere(plane: Plane, origin: string, groups: readonly string[]): number {
  const now = plane.nowSeconds();
  for (const group of groups) plane.dropped.add(groupKey(origin, group), now);
  // Which groups a response under way belongs to is known when its head is: it is looked at before it is stored.
  return plane.store.removeGroups(origin, groups);
}

/** Drops the keys from this member's store, and lets nothing already under way bring them back. */
export function invalidateHere(plane: Plane, keys: readonly string[]): void {
  const now = plane.nowSeconds();
  for (const key of keys) {
    plane.dropped.add(key, now);
    plane.store.remove(key, "invalidated");
    for (const flight of plane.fetching.get(key) ?? []) flight.invalidate();
  }
}

/** Nobody knows what this member has missed: all that it has is validated before it is used again. @returns how much that is. */
export function validateAllHere(plane: Plane): number {
  plane.dropped.addAll(plane.nowSeconds());
  for (const flights of plane.fetching.values()) for (const flight of flights) flight.invalidate();
  for (const stored of plane.store.all()) stored.outdated = true;
  return plane.store.count;
}

async function tell(plane: Plane, members: readonly string[], keys: readonly string[]): Promise<void> {
  await Promise.all(
    members
      .filter((name) => name !== plane.self)
      .map(async (name) => {
        for (const some of inSteps(keys))
          await plane.peers
            .call(name, "invalidate", { keys: some, epoch: plane.view.epoch }, acknowledgeMs)
            .catch(() => remember(plane, name, some));
      }),
  );
}

/** So many keys at a time as fit into one frame of the link. */
export function* inSteps(keys: readonly string[]): Generator<readonly string[]> {
  let step: string[] = [];
  let characters = 0;
  for (const key of keys) {
    if (step.length > 0 && characters + key.length > stepCharactersMax) {
      yield step;
      step = [];
      characters = 0;
    }
    step.push(key);
    characters += key.length;
  }
  if (step.length > 0) yield step;
}

function remember({ missed, view }: Plane, member: string, keys: readonly string[]): void {
  // Who has left the view must validate what it has when it comes back, whatever it was.
  if (!view.byName.has(member)) return;
  const known = missed.get(member) ?? new Set<string>();
  if (known === "all") return;
  for (const key of keys) known.add(key);
  missed.set(member, known.size > missedMax ? "all" : known);
}
