/**
 * What stands where in ZooKeeper, and how it reads: paths below the chroot, the leader's node, members as Curator
 * service instances, the order of contenders. Pure: everything here is data to data.
 */
import { hostPortOf } from "../base/host-port.ts";
import { epochMax, memberOf, type Member } from "../ring/view.ts";

export const paths = {
  /** A uuid, written once: tells a wiped ensemble from an old leader. */
  cluster: "/cluster",
  /** Its version is the term that fences every write of a leader. */
  epoch: "/epoch",
  election: "/election",
  leader: "/leader",
  members: "/members",
  view: "/view",
  ids: "/ids",
} as const;

/** What the `leader` node says, for members and for clients in any language. */
export interface LeaderNode {
  readonly v: 1;
  readonly name: string;
  readonly epoch: number;
  readonly host: string;
  readonly ports: { readonly proxy: number; readonly peer: number; readonly admin: number };
  readonly session: string;
  readonly since: string;
}

/** The leader's node for a member. `since` is an ISO date. */
export function leaderText(member: Member, term: number, session: bigint, since: string): string {
  const proxy = hostPortOf(member.listen);
  const node: LeaderNode = {
    v: 1,
    name: member.name,
    epoch: term,
    host: proxy?.host ?? "",
    ports: {
      proxy: proxy?.port ?? 0,
      peer: hostPortOf(member.peer)?.port ?? 0,
      admin: hostPortOf(member.admin)?.port ?? 0,
    },
    session: `0x${BigInt.asUintN(64, session).toString(16)}`,
    since,
  };
  return JSON.stringify(node);
}

/** The leader's node as read, or null where it is none. */
export function leaderOf(text: string): LeaderNode | null {
  const value = parsed(text) as Partial<LeaderNode> | null;
  if (value === null || typeof value.name !== "string" || typeof value.epoch !== "number") return null;
  if (typeof value.host !== "string" || typeof value.ports !== "object" || value.ports === null) return null;
  return value as LeaderNode;
}

/**
 * A member as announced, and the newest epoch that it has seen: an ensemble without memory learns from it where to go
 * on.
 */
export interface Announced {
  readonly member: Member;
  readonly lastEpoch: number;
}

/** A member's node: a service instance as Curator's service discovery writes and reads it. */
export function instanceText(service: string, { member, lastEpoch }: Announced): string {
  const listen = hostPortOf(member.listen);
  return JSON.stringify({
    name: service,
    id: member.name,
    address: listen?.host ?? "",
    port: member.tls ? null : (listen?.port ?? null),
    sslPort: member.tls ? (listen?.port ?? null) : null,
    payload: { ...member, lastEpoch },
    registrationTimeUTC: member.startedMs,
    serviceType: "DYNAMIC",
    uriSpec: null,
  });
}

/** A service instance as read, or null where it is not one of Gyre's. */
export function announcedOf(text: string): Announced | null {
  const payload = (parsed(text) as { payload?: unknown } | null)?.payload;
  const member = memberOf(payload);
  if (member === null) return null;
  const { lastEpoch } = payload as { lastEpoch?: unknown };
  return { member, lastEpoch: isEpoch(lastEpoch) ? lastEpoch : 0 };
}

function isEpoch(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= epochMax;
}

const candidatePrefix = "_c_";
const latch = "-latch-";

/** The name of a candidate before its sequence number: Curator's protected leader latch. */
export function candidateName(guid: string): string {
  return `${candidatePrefix}${guid}${latch}`;
}

/** The candidates among the children of `election`, first in line first. Other children are nobody's business. */
export function inLine(children: readonly string[]): string[] {
  return children
    .flatMap((name) => {
      const at = name.lastIndexOf(latch);
      // The number is a signed int32: after 2147483647 the server goes on with -2147483648.
      const digits = name.slice(at + latch.length);
      return at < 0 || !/^(\d{10}|-\d{10})$/.test(digits) ? [] : [{ name, sequence: Number(digits) }];
    })
    .sort((a, b) => (a.sequence - b.sequence) | 0 || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
