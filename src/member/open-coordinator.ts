/** From `--coordinator` to what keeps the cluster together: hosted here, hosted by another member, or ZooKeeper. */
import { readFileSync } from "node:fs";
import { background } from "../base/background.ts";
import { hostPortOf, hostPortText, type HostPort } from "../base/host-port.ts";
import type { Config } from "../config/schema.ts";
import { EmbeddedClient } from "../coordination/embedded-client.ts";
import {
  EmbeddedHost,
  goesOnAt,
  laterFirst,
  methods,
  otherHostOf,
  type Asker,
  type Chosen,
  type MemberAt,
  type OtherHost,
} from "../coordination/embedded-host.ts";
import { placesOf } from "../coordination/places.ts";
import type { Coordinator, SessionState } from "../coordination/port.ts";
import { ZooKeeperCoordinator } from "../coordination/zookeeper-coordinator.ts";
import type { Purpose } from "../peer/handshake.ts";
import type { PeerIdentity } from "../peer/identity.ts";
import { Link, type LinkEvents } from "../peer/link.ts";
import type { PublishedView } from "../ring/view.ts";
import type { Logger } from "../telemetry/log.ts";
import { ensembleOf } from "../zookeeper/connect-string.ts";
import { trusting } from "../zookeeper/connection.ts";
import type { Remembered } from "./last-view.ts";
import { openToOthers } from "./refusals.ts";
import { StartError } from "./start-error.ts";

export interface CoordinatorContext {
  /** Where this member listens for others. */
  readonly peer: HostPort;
  /** Where others reach it there, as `host:port`. */
  readonly known: string;
  readonly self: string;
  readonly secret: string;
  readonly identity: PeerIdentity | null;
  readonly log: Logger;
  /** What the cluster was before this member was started anew. */
  readonly remembered: Remembered;
}

/** The coordinator that a configuration names. @throws StartError where it names none. */
export async function openCoordinator(config: Config, context: CoordinatorContext): Promise<Coordinator> {
  const { log, remembered } = context;
  const { coordinator, cluster } = config;
  const failed = (error: Error): void => log.warn({ kind: "coordination", err: error }, error.message);
  if (coordinator === "embedded") {
    const host = successorAmong(await hostsAmong(remembered.fellows, null, config, context), remembered)?.member;
    if (host === undefined) return hostHere(config, context, { movedAt: 0, movedMs: 0 });
    const moved = `http://${host.peer}`;
    log.warn(
      { kind: "coordination", host: host.name },
      `${host.name} hosts the coordinator by now: joins it there (--coordinator ${moved})`,
    );
    return clientOf(moved, [host.peer], config, context, failed);
  }
  if (coordinator.startsWith("zookeeper")) {
    const ensemble = ensembleOf(coordinator);
    if ("wrong" in ensemble) throw new StartError(`--coordinator ${coordinator}: ${ensemble.wrong}`);
    const ca = config["coordinator-ca"];
    return new ZooKeeperCoordinator({
      address: coordinator,
      servers: ensemble.servers,
      tls: ensemble.tls ? trusting(ca === undefined ? undefined : readText("--coordinator-ca", ca)) : null,
      sessionMs: ensemble.sessionMs,
      cluster,
      chroot: ensemble.chroot,
      credentials: credentialsIn(config["coordinator-credentials"], log),
      failed,
    });
  }
  const places = placesOf(coordinator);
  if (places === null)
    throw new StartError(`--coordinator ${coordinator}: write http://host:port of the coordinating member's peer port`);
  const given = places.map(hostPortText);
  const found = await soughtAmong(given, config, context);
  if (found === "here") {
    log.warn({ kind: "coordination" }, "hosts the coordinator, as before: others look for it here, and find no other");
    return movedHere(config, context);
  }
  return clientOf(coordinator, found === null ? given : [...new Set([found.place, ...given])], config, context, failed);
}

/** Where the coordinator is, as `host:port`; `here`: others look for it at this member; null: it is found as ever. */
type Sought = { readonly place: string } | "here" | null;

/**
 * Looks for the coordinator before this member joins. Where none of the places that were given has it, those are
 * asked whom this member remembers, since it was the host once. They may look for it here: an operator had chosen this
 * member, whatever its settings say, and who was left would be without a coordinator.
 */
async function soughtAmong(places: readonly string[], config: Config, context: CoordinatorContext): Promise<Sought> {
  const { self, remembered, known: own } = context;
  const ask = (members: readonly { readonly name: string | null; readonly peer: string }[]): Promise<readonly Told[]> =>
    Promise.all(members.filter((one) => one.peer !== own).map((one) => askedAt(one, null, config, context)));
  const given = await ask(places.map((place) => ({ name: null, peer: place })));
  if (given.some(({ host }) => host !== null)) return null;
  const told = [...given, ...(await ask(remembered.fellows))];
  const named = told.flatMap(({ elsewhere }) => (elsewhere === null ? [] : [elsewhere]));
  const hosts = [...told, ...(await ask(named))].flatMap(({ host }) => (host === null ? [] : [host]));
  const host = hosts.toSorted(laterFirst)[0];
  if (host !== undefined) return { place: host.member.peer };
  return named.length > 0 && named.every((one) => one.name === self && one.peer === own) ? "here" : null;
}

function clientOf(
  address: string,
  places: readonly string[],
  config: Config,
  { peer, ...context }: CoordinatorContext,
  failed: (error: Error) => void,
): EmbeddedClient {
  return new EmbeddedClient({
    address,
    places,
    dial: (place, listener) => dial(hostPortOf(place) ?? peer, "coordinator", null, { config, context, listener }),
    elsewhere: async (place) => {
      const { elsewhere } = await askedAt({ name: null, peer: place }, null, config, { peer, ...context });
      return elsewhere?.peer ?? null;
    },
    failed,
  });
}

function dial(
  address: HostPort,
  purpose: Purpose,
  expected: string | null,
  by: {
    readonly config: Config;
    readonly context: Pick<CoordinatorContext, "self" | "secret" | "identity">;
    readonly listener: LinkEvents;
  },
): Link {
  const { cluster, "peer-tls": tls } = by.config;
  const { self, secret, identity } = by.context;
  return new Link({ cluster, secret, tls, identity, self, purpose, expected, address }, by.listener);
}

/** A member is asked for so long whether it hosts the coordinator. */
const askMs = 1500;

/** What a member says of the coordinator: that it is the host, or who is, or nothing. */
interface Told {
  readonly host: OtherHost | null;
  readonly elsewhere: MemberAt | null;
}

/**
 * Who of some members hosts the coordinator by now, if an operator has moved it, or to whom they have gone: a host that
 * comes back beside it would be a second cluster, whose members do not hear what the first one's are told. Who was
 * chosen last comes first.
 */
async function hostsAmong(
  members: readonly MemberAt[],
  by: Asker | null,
  config: Config,
  context: CoordinatorContext,
): Promise<readonly OtherHost[]> {
  const others = members.filter(({ name }) => name !== context.self);
  const asked = await Promise.all(others.map((member) => askedAt(member, by, config, context)));
  // It may be one that has come since, or come back elsewhere: whoever asks has never heard of it there.
  const known = new Set(others.map(({ peer }) => peer));
  const newcomers = new Map<string, MemberAt>();
  for (const { elsewhere } of asked)
    if (elsewhere !== null && elsewhere.name !== context.self && !known.has(elsewhere.peer))
      newcomers.set(elsewhere.peer, elsewhere);
  const more = await Promise.all([...newcomers.values()].map((member) => askedAt(member, by, config, context)));
  return [...asked, ...more].flatMap(({ host }) => (host === null ? [] : [host])).sort(laterFirst);
}

/**
 * The host to join in the place of being one again: one that those of the last view look at as well, whom an operator
 * has chosen, or where what was here goes on; where nobody was left here, any. The one that was chosen last comes
 * first.
 */
export function successorAmong(hosts: readonly OtherHost[], { lastView, fellows }: Remembered): OtherHost | null {
  const isLookedAt = (name: string): boolean => lastView?.members.some((member) => member.name === name) ?? true;
  const lost = new Map(fellows.map((member) => [member.name, { member, epoch: Infinity }]));
  const isOne = (host: OtherHost): boolean => isLookedAt(host.member.name) || host.movedAt > 0 || goesOnAt(host, lost);
  const goesOnFirst = (one: OtherHost, other: OtherHost): number =>
    Number(goesOnAt(other, lost)) - Number(goesOnAt(one, lost));
  const isChosen = ({ movedAt }: OtherHost): boolean => movedAt > 0;
  const found = hosts.filter(isOne).toSorted(laterFirst);
  return found.find(isChosen) ?? found.toSorted(goesOnFirst)[0] ?? null;
}

/** What a member tells; nothing where it does not answer. `name` null: whoever it is. */
function askedAt(
  member: { readonly name: string | null; readonly peer: string },
  by: Asker | null,
  config: Config,
  context: CoordinatorContext,
): Promise<Told> {
  const address = hostPortOf(member.peer);
  const nothing: Told = { host: null, elsewhere: null };
  if (address === null) return Promise.resolve(nothing);
  return new Promise((resolve) => {
    const late = setTimeout(() => link.close(), askMs);
    const asks = async (): Promise<void> => {
      try {
        const told = await link.call(methods.view, by === null ? {} : { by }, askMs);
        resolve({ ...nothing, host: otherHostOf({ ...member, name: member.name ?? member.peer }, told) });
      } catch {
        // Only who hosts it can tell the view.
        resolve({ ...nothing, elsewhere: leaderIn(await link.call("status", {}, askMs)) });
      }
      link.close();
    };
    const listener: LinkEvents = {
      up: () => background(asks(), () => link.close()),
      gone: () => {
        clearTimeout(late);
        resolve(nothing);
      },
      note: () => {},
    };
    const link = dial(address, "tool", member.name, { config, context, listener });
  });
}

/** Who leads by a member's status: with an embedded coordinator, its host. */
function leaderIn(status: unknown): MemberAt | null {
  const { members } = (status ?? {}) as { members?: unknown };
  const all = Array.isArray(members) ? (members as (Partial<MemberAt & { leader: unknown }> | null)[]) : [];
  const leader = all.find((one) => one?.leader === true);
  return typeof leader?.name === "string" && typeof leader.peer === "string"
    ? { name: leader.name, peer: leader.peer }
    : null;
}

/** The coordinator, hosted by this member at an operator's word: it goes on from the view that is remembered. */
export function movedHere(config: Config, context: CoordinatorContext): EmbeddedHost {
  const movedAt = Math.max(1, context.remembered.lastView?.epoch ?? 0);
  return hostHere(config, context, { movedAt, movedMs: Date.now() });
}

function hostHere(config: Config, context: CoordinatorContext, chosen: Chosen): EmbeddedHost {
  const { peer, log, remembered } = context;
  return new EmbeddedHost(`http://${hostPortText(peer)}`, {
    ...remembered,
    ...chosen,
    hostsAmong: (members, by) => hostsAmong(members, by, config, context),
    expired: (member) => log.warn({ kind: "expired", member }, `the session of ${member} has expired`),
  });
}

function credentialsIn(file: string | undefined, log: Logger): string | null {
  if (file === undefined) return null;
  const open = openToOthers(file);
  if (open !== null) log.warn({ kind: "secrets", file }, `--coordinator-credentials ${open}`);
  const text = readText("--coordinator-credentials", file).trim();
  if (!/^[^:\s]+:\S+$/.test(text))
    throw new StartError(`--coordinator-credentials ${file}: the file must hold one line, user:password`);
  return text;
}

function readText(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new StartError(`${flag} ${file} cannot be read: ${(error as Error).message}`);
  }
}

/**
 * A coordinator that another takes the place of must be gone, and there must be a cluster to go on from. @throws Error
 * with a sentence where it is not so.
 */
export function mustBeLost(
  coordinator: string,
  { session, view }: { readonly session: SessionState; readonly view: PublishedView | null },
  address: string,
): void {
  if (coordinator.startsWith("zookeeper")) throw new Error("ZooKeeper keeps this cluster together");
  if (session === "connected")
    throw new Error(`the coordinator at ${address} answers: stop it first, two would be two clusters`);
  if (view === null) throw new Error("it has not joined a cluster yet: there is nothing to go on from");
}
