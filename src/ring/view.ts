/**
 * The view: who is in the cluster, who leads it, and the ring that follows. Published by the leader, replaced as a
 * whole, never changed. The data plane and the control plane meet in it and nowhere else.
 */
import { placementVersion, ringOf, weightMax, type Ring, type RingMember } from "./ring.ts";

export type MemberState = "active" | "draining";

/** What a member announces of itself. Addresses are `host:port`. */
export interface Member {
  readonly name: string;
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
  readonly pid: number;
  readonly weight: number;
  readonly zone: string;
  readonly state: MemberState;
  /** Where clients speak TLS. */
  readonly tls: boolean;
  /** Milliseconds since the epoch at which this process started: tells a restarted member from its predecessor. */
  readonly startedMs: number;
  /**
   * Where it stands: the same for all who share one network namespace of one machine, and so mean the same by loopback.
   */
  readonly place?: string;
  /** Of all its settings that decide keys and ways: members whose settings differ do not answer for each other. */
  readonly settings?: string;
  /** A number that stays with the name, where the coordinator keeps them. */
  readonly id?: number;
}

/** A view as it is published and sent. */
export interface PublishedView {
  readonly cluster: string;
  readonly epoch: number;
  readonly leader: string | null;
  readonly placement: number;
  readonly members: readonly Member[];
}

/** A published view with its ring. */
export interface View extends PublishedView {
  readonly ring: Ring;
  readonly byName: ReadonlyMap<string, Member>;
}

/**
 * The view ready for use. Draining members own nothing, unless nobody else is left. An earlier view lends its ring
 * where that is the same.
 */
export function viewOf(published: PublishedView, earlier: View | null = null): View {
  const active = published.members.filter(({ state }) => state === "active");
  const owning = active.length > 0 ? active : published.members;
  return {
    ...published,
    ring: earlier !== null && sameMembers(earlier.ring, owning) ? earlier.ring : ringOf(owning),
    byName: new Map(published.members.map((member) => [member.name, member])),
  };
}

/** The view as it is published. */
export function publishedOf({ cluster, epoch, leader, placement, members }: View): PublishedView {
  return { cluster, epoch, leader, placement, members };
}

function sameMembers({ members }: Ring, owning: readonly RingMember[]): boolean {
  const weights = new Map(owning.map(({ name, weight }) => [name, weight]));
  return members.length === owning.length && members.every(({ name, weight }) => weights.get(name) === weight);
}

/** Before the first view arrives: a member knows itself alone. */
export function viewOfOne(cluster: string, member: Member): View {
  return viewOf({ cluster, epoch: 0, leader: null, placement: placementVersion, members: [member] });
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Whether a text can name a member: it stands in Cache-Status, Via, file names and znodes. */
export function isMemberName(text: string): boolean {
  return namePattern.test(text);
}

/** A member as received from elsewhere, or null where it is none. */
export function memberOf(value: unknown): Member | null {
  if (typeof value !== "object" || value === null) return null;
  const { name, listen, peer, admin, pid, weight, zone, state, tls, startedMs, id, place, settings } = value as Record<
    string,
    unknown
  >;
  if (typeof name !== "string" || !isMemberName(name)) return null;
  if (typeof listen !== "string" || typeof peer !== "string" || typeof admin !== "string" || typeof zone !== "string")
    return null;
  if (typeof pid !== "number" || typeof startedMs !== "number") return null;
  if (typeof weight !== "number" || !(weight > 0 && weight <= weightMax)) return null;
  if (state !== "active" && state !== "draining") return null;
  const member: Member = {
    name,
    listen,
    peer,
    admin,
    pid,
    weight,
    zone: zone.slice(0, 64),
    state,
    tls: tls === true,
    startedMs,
  };
  return {
    ...member,
    ...(typeof place === "string" ? { place: place.slice(0, 128) } : {}),
    ...(typeof settings === "string" ? { settings: settings.slice(0, 64) } : {}),
    ...(typeof id === "number" && Number.isSafeInteger(id) ? { id } : {}),
  };
}

/** No cluster gets there by counting: an epoch beyond it was put there by a mistake, and nothing could follow it. */
export const epochMax: number = 2 ** 48;

/**
 * A published view as received from elsewhere, or null where it is none that could be right: without members nobody
 * would own anything, and after the last epoch there is no next one.
 */
export function publishedViewOf(value: unknown): PublishedView | null {
  if (typeof value !== "object" || value === null) return null;
  const { cluster, epoch, leader, placement, members } = value as Record<string, unknown>;
  if (typeof cluster !== "string" || typeof epoch !== "number" || !Number.isSafeInteger(epoch)) return null;
  if (epoch < 0 || epoch > epochMax) return null;
  if (leader !== null && typeof leader !== "string") return null;
  if (typeof placement !== "number" || !Array.isArray(members) || members.length === 0) return null;
  const read = members.map(memberOf);
  if (read.includes(null) || new Set(read.map((member) => member!.name)).size !== read.length) return null;
  return { cluster, epoch, leader, placement, members: read as Member[] };
}
