/**
 * The embedded coordinator (the "strong master"): hosted by the first member on its peer port. Its own member's session
 * is local and comes first, so as long as it lives it leads; the others' sessions come over their links.
 */
import { background } from "../base/background.ts";
import { hostPortOf } from "../base/host-port.ts";
import type { Member, PublishedView } from "../ring/view.ts";
import { memberOf, publishedViewOf } from "../ring/view.ts";
import type { Coordinator, CoordinatorEvents, Published, SessionState } from "./port.ts";
import { Registry, registryTimes, type Changes, type RegistryTimes } from "./registry.ts";

/** The host's end of a link to another member. */
export interface SessionLink {
  /** Of the member at its other end, as that has proved. */
  readonly name?: string;
  note(topic: string, value: unknown): void;
  whenGone(listener: () => void): void;
}

/** A host, as an operator has chosen it or not. */
export interface Chosen {
  /** The epoch at which the coordinator was moved there; 0 where it is the host by its settings. */
  readonly movedAt: number;
  /** When that was, in ms since 1970 by its own clock. */
  readonly movedMs: number;
}

/** A member, and where it is reached. */
export type MemberAt = Pick<Member, "name" | "peer">;

/** Another member that hosts the coordinator, and what it tells. */
export interface OtherHost extends Chosen {
  readonly member: MemberAt;
  readonly view: PublishedView;
}

/** Another host, by its answer to who asks it for the view; null where that says that it is none. */
export function otherHostOf(member: MemberAt, told: unknown): OtherHost | null {
  const view = publishedViewOf(told);
  if (view === null) return null;
  const { movedAt, movedMs } = told as { movedAt?: unknown; movedMs?: unknown };
  const number = (value: unknown): number => (typeof value === "number" ? value : 0);
  return { member, view, movedAt: number(movedAt), movedMs: number(movedMs) };
}

/**
 * Whose word is the later: below 0 where that is `one`. By the epoch first; parts of a partition that each choose
 * a host have mostly seen the same one last, so by the clock then, and by name: all must find the same.
 */
export function laterFirst(one: Omit<OtherHost, "view">, other: Omit<OtherHost, "view">): number {
  const byName = other.member.name > one.member.name ? 1 : -1;
  return other.movedAt - one.movedAt || other.movedMs - one.movedMs || byName;
}

/** A member that has been here and has not said goodbye, and how far the count of epochs was then. */
export interface Lost {
  readonly member: Member;
  readonly epoch: number;
}

/**
 * Whether what was here goes on at another host: somebody lost here does, in the same life, or the count of epochs. A
 * member that is started anew as a host by a mistake in its settings is a cluster of its own, which begins at 1: nobody
 * went there, and those that are here would be left without a coordinator.
 */
export function goesOnAt({ member, view: { epoch, members } }: OtherHost, lost: ReadonlyMap<string, Lost>): boolean {
  if (epoch > (lost.get(member.name)?.epoch ?? Infinity)) return true;
  return members.some(({ name, startedMs }) => lost.get(name)?.member.startedMs === startedMs);
}

/** A host, as it names itself to those whom it asks. */
export type Asker = MemberAt & Chosen;

/** Finds out who of some members, or whom they have gone to, hosts the coordinator; a host that asks says who it is. */
export type HostsAmong = (members: readonly MemberAt[], by: Asker | null) => Promise<readonly OtherHost[]>;

function askerIn(value: unknown): Asker | null {
  const { by } = (value ?? {}) as { by?: unknown };
  const { name, peer, movedAt, movedMs } = (by ?? {}) as Partial<Record<keyof Asker, unknown>>;
  if (typeof name !== "string" || typeof peer !== "string" || hostPortOf(peer) === null) return null;
  return typeof movedAt === "number" && typeof movedMs === "number" ? { name, peer, movedAt, movedMs } : null;
}

/** What is told over links, by topic. */
export const topics = {
  view: "coordination.view",
  members: "coordination.members",
  leading: "coordination.leading",
  moved: "coordination.moved",
} as const;
/** What is asked over links, by method. */
export const methods = {
  open: "coordination.open",
  heartbeat: "coordination.heartbeat",
  announce: "coordination.announce",
  publish: "coordination.publish",
  leave: "coordination.leave",
  view: "coordination.view",
} as const;

const ownSession = "host";
/** So often, about, it is asked for whether another one has taken this one's place; and so many members at once. */
const lookMs = 3000;
const missingMax = 64;
/** A longer pause between two ticks means that this process itself stood still. */
const stallMs = 1000;

/** The embedded coordinator, and the session of the member that hosts it. */
export class EmbeddedHost implements Coordinator {
  readonly address: string;
  readonly #registry: Registry;
  readonly #links = new Map<string, SessionLink>();
  readonly #expired: (member: string) => void;
  readonly #ticker: NodeJS.Timeout;
  readonly #lastView: PublishedView | null;
  readonly #fellows: readonly Member[];
  readonly #hostsAmong: HostsAmong | null;
  readonly #chosen: Chosen;
  /** Members that have been here and have not said goodbye: one of them may be the host by now. And since when. */
  readonly #missing = new Map<string, Lost>();
  /** A host that was chosen after this one, and has asked it: what this one knew of others may be gone. */
  #toldOf: MemberAt | null = null;
  #looking: NodeJS.Timeout | null = null;
  /** Where the host is to which this one gives way. */
  #movedTo: string | null = null;
  #self: Member | null = null;
  #events: CoordinatorEvents | null = null;
  #state: SessionState = "connecting";
  #tickedAt: number = performance.now();

  constructor(
    address: string,
    options: {
      readonly times?: RegistryTimes;
      readonly expired?: (member: string) => void;
      /** What the cluster was under another coordinator: it goes on from there. */
      readonly lastView?: PublishedView | null;
      /** Who else was there once. */
      readonly fellows?: readonly Member[];
      /** Without it nobody is asked, and this host stays. */
      readonly hostsAmong?: HostsAmong;
      /** See `OtherHost`. */
      readonly movedAt?: number;
      readonly movedMs?: number;
    } = {},
  ) {
    this.#hostsAmong = options.hostsAmong ?? null;
    this.#chosen = { movedAt: options.movedAt ?? 0, movedMs: options.movedMs ?? 0 };
    this.#lastView = options.lastView ?? null;
    this.#fellows = options.fellows ?? [];
    this.address = address;
    this.#registry = new Registry(options.times ?? registryTimes);
    this.#expired = options.expired ?? (() => {});
    this.#ticker = setInterval(() => this.#tick(), 200);
    this.#ticker.unref();
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Whether a call is the coordinator's to answer. */
  handles(method: string): boolean {
    return method.startsWith("coordination.");
  }

  /** Answers a call from a link. Rejects with a sentence for the caller. */
  async answer(link: SessionLink, method: string, value: unknown): Promise<unknown> {
    const {
      session = "",
      member,
      lastView,
      view,
      term = 0,
    } = (value ?? {}) as {
      session?: string;
      member?: unknown;
      lastView?: unknown;
      view?: unknown;
      term?: number;
    };
    const now = performance.now();
    switch (method) {
      case methods.open: {
        const announced = memberOf(member);
        mustBeItself(link, announced);
        if (announced === null || session.length < 8 || session.length > 100)
          throw new Error("not a member's announcement");
        const changes = this.#registry.open(session, announced, publishedViewOf(lastView), now);
        if ("refused" in changes) throw new Error(changes.refused);
        this.#missing.delete(announced.name);
        this.#links.set(session, link);
        link.whenGone(() => {
          if (this.#links.get(session) !== link) return;
          this.#links.delete(session);
          this.#registry.disconnected(session, performance.now());
        });
        this.#tell(changes);
        if (this.#registry.view !== null) link.note(topics.view, this.#registry.view);
        if (this.#movedTo !== null) link.note(topics.moved, { place: this.#movedTo });
        return { session };
      }
      case methods.heartbeat:
        return { known: this.#registry.heartbeat(session, now) };
      case methods.announce: {
        const announced = memberOf(member);
        mustBeItself(link, announced);
        if (announced === null) throw new Error("not a member's announcement");
        if (!this.#registry.has(session)) throw new Error("the session has expired");
        this.#tell(this.#registry.announce(session, announced));
        return null;
      }
      case methods.publish: {
        const published = publishedViewOf(view);
        if (published === null) throw new Error("not a view");
        return this.#publish(session, published, term);
      }
      case methods.leave:
        this.#links.delete(session);
        this.#tell(this.#registry.close(session));
        return null;
      case methods.view:
        this.#askedBy(askerIn(value));
        // Who leaves is nobody to give way to: of two that look for each other, one must stay.
        if (this.#movedTo !== null || this.#state === "closed" || this.#registry.view === null) return null;
        return { ...this.#registry.view, ...this.#chosen };
      default:
        throw new Error(`the coordinator does not know ${method}`);
    }
  }

  join(member: Member, events: CoordinatorEvents): Promise<void> {
    this.#events = events;
    this.#self = member;
    this.#state = "connected";
    const changes = this.#registry.open(ownSession, member, this.#lastView, performance.now());
    events.session("connected", "");
    if (!("refused" in changes)) this.#tell(changes);
    // How far the count was when those were lost that are not in the last view, nobody knows.
    for (const one of this.#fellows) this.#miss(one, Infinity);
    for (const one of this.#lastView?.members ?? [])
      if (one.name !== member.name) this.#miss(one, this.#lastView!.epoch);
    if (this.#hostsAmong !== null) this.#lookLater();
    return Promise.resolve();
  }

  announce(member: Member): Promise<void> {
    this.#tell(this.#registry.announce(ownSession, member));
    return Promise.resolve();
  }

  acting(): number | null {
    return this.#state === "connected" && this.#registry.leader?.id === ownSession ? this.#registry.term : null;
  }

  publish(view: PublishedView, term: number): Promise<Published> {
    return new Promise((resolve) => resolve(this.#publish(ownSession, view, term)));
  }

  leave(): Promise<void> {
    clearInterval(this.#ticker);
    if (this.#looking !== null) clearTimeout(this.#looking);
    this.#state = "closed";
    this.#events?.session("closed", "");
    this.#tell(this.#registry.close(ownSession));
    this.#events = null;
    return Promise.resolve();
  }

  #publish(session: string, view: PublishedView, term: number): Published {
    const { published, changes } = this.#registry.publish(session, view, term);
    this.#tell(changes);
    return published;
  }

  #tick(): void {
    const now = performance.now();
    const gap = now - this.#tickedAt;
    this.#tickedAt = now;
    if (gap > stallMs) this.#registry.excuse(gap);
    this.#registry.heartbeat(ownSession, now);
    const { expired, changes } = this.#registry.expire(now);
    for (const { id, name, member } of expired) {
      this.#links.delete(id);
      this.#miss(member, this.#registry.epochFloor);
      this.#expired(name);
    }
    this.#tell(changes);
  }

  #miss(member: Member, epoch: number): void {
    this.#missing.set(member.name, { member, epoch });
    for (const name of this.#missing.keys()) {
      if (this.#missing.size <= missingMax) break;
      this.#missing.delete(name);
    }
  }

  /** Not at the same time as another one that looks for this one. */
  #lookLater(): void {
    const look = (): void => background(this.#look(), () => this.#lookLater());
    this.#looking = setTimeout(look, lookMs * (0.5 + Math.random()));
    this.#looking.unref();
  }

  /**
   * This process may have stood still, or been cut off, while an operator had another member take its place: then there
   * are two clusters, and this one does not hear what the other one is told. Of two that an operator has chosen, the
   * later one stays.
   */
  async #look(): Promise<void> {
    // Whoever was quick has joined a new host before its own member did.
    for (const { name } of this.#registry.members) this.#missing.delete(name);
    const { name: own, peer: at } = this.#self!;
    const asked: MemberAt[] = [...this.#missing.values()].map(({ member }) => member);
    if (this.#toldOf !== null) asked.push(this.#toldOf);
    const hosts = asked.length === 0 ? [] : await this.#hostsAmong!(asked, { name: own, peer: at, ...this.#chosen });
    if (this.#state !== "connected") return;
    const successor = hosts.toSorted(laterFirst).find((host) => this.#isSucceededBy(host));
    if (successor === undefined) return this.#lookLater();
    const { name, peer } = successor.member;
    this.#movedTo = peer;
    // Those that are here may have seen it leave the view, and would not look for a coordinator there.
    for (const link of this.#links.values()) link.note(topics.moved, { place: peer });
    const then =
      this.#chosen.movedAt === 0 ? "started again it joins there" : `start it again with --coordinator http://${peer}`;
    const told = `${name} hosts the coordinator by now, at http://${peer}: this member stops; ${then}`;
    this.#events?.ousted(told, successor.view);
  }

  /** Of two that an operator has chosen, the one chosen later stays; whom nobody has chosen goes on from here. */
  #isSucceededBy(other: OtherHost): boolean {
    if (other.movedAt > 0) return laterFirst({ ...this.#chosen, member: this.#self! }, other) > 0;
    return this.#chosen.movedAt === 0 && goesOnAt(other, this.#missing);
  }

  /** A host that is started where nothing is known of the others any more asks nobody: they ask it. */
  #askedBy(asker: Asker | null): void {
    const self = this.#self;
    if (asker === null || self === null || asker.name === self.name || asker.movedAt === 0) return;
    const { name, peer, ...chosen } = asker;
    if (laterFirst({ ...this.#chosen, member: self }, { ...chosen, member: { name, peer } }) > 0)
      this.#toldOf = { name, peer };
  }

  #tell(changes: Changes): void {
    const { leader, term, members, epochFloor, view } = this.#registry;
    // First the view: whoever leads goes on from it.
    if (changes.view && view !== null) {
      this.#events?.view(view);
      for (const link of this.#links.values()) link.note(topics.view, view);
    }
    if (changes.leader && leader !== null) {
      if (leader.id === ownSession) this.#events?.leading(term);
      else this.#links.get(leader.id)?.note(topics.leading, { term });
    }
    if (changes.members || changes.leader) {
      if (leader?.id === ownSession) this.#events?.members(members, epochFloor);
      else if (leader !== null) this.#links.get(leader.id)?.note(topics.members, { members, epochFloor });
    }
  }
}

/** A member announces itself, and nobody else. @throws Error where it does not. */
function mustBeItself({ name }: SessionLink, announced: Member | null): void {
  if (name !== undefined && announced !== null && announced.name !== name)
    throw new Error(`${name} may not announce ${announced.name}`);
}
