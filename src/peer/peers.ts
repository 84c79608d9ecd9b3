/**
 * Links to all other members of the view: a few connections each, dialled again when they go. Says at once who can be
 * reached, which is what the data plane goes by: it does not wait for a session to expire to go round a dead member.
 */
import { hostPortOf } from "../base/host-port.ts";
import { ToldOnce } from "../base/told-once.ts";
import { Waiters } from "../base/waiters.ts";
import type { Member } from "../ring/view.ts";
import type { PeerTls } from "./channel.ts";
import type { PeerIdentity } from "./identity.ts";
import { Link } from "./link.ts";
import { asksAlone, type PeerRequest, type PeerResponseHandler, type PeerStream } from "./streams.ts";

export interface PeersOptions {
  readonly cluster: string;
  readonly secret: string;
  readonly tls: PeerTls;
  readonly identity: PeerIdentity | null;
  readonly self: string;
  /** It can be reached, or cannot, for a reason that has not been told since it could. */
  readonly changed?: (member: string, reachable: boolean, reason: string) => void;
  /** A link to a member is up where there was none. */
  readonly restored?: (member: string) => void;
  /** Nobody listens at a member's address: its process is gone. */
  readonly refused?: (member: string) => void;
  /** Silence after which a member that owes answers is taken to stand still, at least: ms. */
  readonly stillMs?: number;
  /** How long a member that is in the view no more can still be told something. */
  readonly lingerMs?: number;
}

/** Connections to one member: more than one, so that one large answer does not stand in the way of all small ones. */
const linksEach = 2;
const redialMsMax = 1000;
/** So many reasons of one time out of reach are told: it may last for days, and is dialled about once a second. */
const reasonsMax = 8;
/** A newcomer that has not answered for so long is out of reach rather than new. */
const diallingMs = 1000;

/** The other members, as far as they can be reached. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Dials newcomers, drops those that left, follows changed addresses and restarted processes. */
  follow(members: readonly Member[]): void {
    const others = new Map(
      members.filter(({ name }) => name !== this.#options.self).map((member) => [member.name, member]),
    );
    for (const [name, peer] of this.#peers) {
      const member = others.get(name);
      if (member !== undefined && member.peer === peer.address && member.startedMs === peer.startedMs) {
        peer.stay();
        continue;
      }
      const { lingerMs = 0 } = this.#options;
      if (member === undefined && lingerMs > 0 && !peer.isGone) {
        peer.leave(lingerMs, () => {
          if (this.#peers.get(name) === peer) this.#peers.delete(name);
        });
        continue;
      }
      peer.close();
      this.#peers.delete(name);
    }
    for (const [name, member] of others) {
      if (!this.#peers.has(name)) this.#peers.set(name, new Peer(member, this.#options));
    }
  }

  isUp(name: string): boolean {
    return this.#peers.get(name)?.link !== null && this.#peers.has(name);
  }

  /** Whether nobody listens at a member's address any more, or it is not known at all. */
  isGone(name: string): boolean {
    return this.#peers.get(name)?.isGone ?? true;
  }

  /** Whether a member is a newcomer whose links are still being dialled for the first time. */
  isDialling(name: string): boolean {
    return this.#peers.get(name)?.isDialling ?? false;
  }

  /** Why the last link to a member came to nothing, or ended; null where one is up, or none has yet. */
  unlinked(name: string): string | null {
    return this.#peers.get(name)?.unlinked ?? null;
  }

  /** Resolves when a newcomer's first link is up, or after `limitMs`. */
  whenUp(name: string, limitMs: number): Promise<void> {
    return this.#peers.get(name)?.whenUp(limitMs) ?? Promise.resolve();
  }

  /** Requests in flight at a member: what it last said, or what is under way to it from here, whichever is more. */
  load(name: string): number {
    return this.#peers.get(name)?.load ?? 0;
  }

  /** Sends a request to a member, or null where it cannot be reached now, or stands still and others can be asked. */
  request(name: string, request: PeerRequest, handler: PeerResponseHandler): PeerStream | null {
    const peer = this.#peers.get(name);
    const link = asksAlone(request.asking) ? peer?.link : peer?.answering;
    return link?.request(request, handler) ?? null;
  }

  /** Asks a member something; rejects where it cannot be reached. */
  call(name: string, method: string, value: unknown, limitMs?: number): Promise<unknown> {
    const link = this.#peers.get(name)?.link ?? null;
    return link === null ? Promise.reject(new Error(`${name} cannot be reached`)) : link.call(method, value, limitMs);
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }
}

/** The links to one member. */
class Peer {
  readonly address: string;
  readonly startedMs: number;
  readonly #name: string;
  readonly #options: PeersOptions;
  readonly #links: (Link | null)[] = new Array<Link | null>(linksEach).fill(null);
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #bornMs: number = performance.now();
  readonly #waiters = new Waiters();
  #wasUp = false;
  #isToldUp = false;
  /** Why it cannot be reached, since it could. */
  readonly #told = new ToldOnce({ max: reasonsMax });
  /** Nobody listens there: its process is gone. */
  #refused = false;
  #next = 0;
  #lastReason: string | null = null;
  #closed = false;
  #failures = 0;
  #leaving: { readonly over: () => void; readonly timer: NodeJS.Timeout } | null = null;

  constructor(member: Member, options: PeersOptions) {
    this.address = member.peer;
    this.startedMs = member.startedMs;
    this.#name = member.name;
    this.#options = options;
    for (let slot = 0; slot < linksEach; slot++) this.#dial(slot);
  }

  /** A link that is up, by turns; null where there is none. */
  get link(): Link | null {
    for (let i = 0; i < linksEach; i++) {
      const link = this.#links[this.#next++ % linksEach]!;
      if (link?.state === "up") return link;
    }
    return null;
  }

  /** One that is up and gives signs of life. */
  get answering(): Link | null {
    for (let i = 0; i < linksEach; i++) {
      const link = this.#links[this.#next++ % linksEach]!;
      if (link?.answers === true) return link;
    }
    return null;
  }

  get isDialling(): boolean {
    return !this.#wasUp && !this.#closed && !this.#refused && performance.now() - this.#bornMs < diallingMs;
  }

  get isGone(): boolean {
    return this.#refused && this.link === null;
  }

  get unlinked(): string | null {
    return this.link === null ? this.#lastReason : null;
  }

  /** It is in the view no more: closed when the time is up, or when it is gone. */
  leave(limitMs: number, closed: () => void): void {
    if (this.#leaving !== null) return;
    const over = (): void => {
      this.close();
      closed();
    };
    this.#leaving = { over, timer: setTimeout(over, limitMs).unref() };
  }

  /** It is in the view, again or still. */
  stay(): void {
    if (this.#leaving !== null) clearTimeout(this.#leaving.timer);
    this.#leaving = null;
  }

  whenUp(limitMs: number): Promise<void> {
    return this.#waiters.wait(limitMs);
  }

  get load(): number {
    let [said, streams] = [0, 0];
    for (const link of this.#links) {
      if (link === null) continue;
      said = Math.max(said, link.load);
      streams += link.streams;
    }
    return Math.max(said, streams);
  }

  close(): void {
    this.#closed = true;
    this.stay();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const link of this.#links) link?.close();
  }

  #dial(slot: number): void {
    const address = hostPortOf(this.address);
    if (this.#closed || address === null) return;
    const { cluster, secret, tls, self, identity, stillMs } = this.#options;
    this.#links[slot] = new Link(
      { cluster, secret, tls, identity, stillMs, self, purpose: "member", expected: this.#name, address },
      {
        up: () => {
          this.#failures = 0;
          this.#wasUp = true;
          this.#waiters.wake();
          this.#options.restored?.(this.#name);
          this.#tellUp();
        },
        gone: (reason) => {
          this.#links[slot] = null;
          this.#lastReason = reason;
          this.#refused = reason.includes("ECONNREFUSED");
          if (this.#refused) this.#options.refused?.(this.#name);
          if (this.#refused) this.#leaving?.over();
          if (this.link === null && !this.#closed) this.#tellDown(reason);
          this.#redial(slot);
        },
        note: () => {},
      },
    );
  }

  #tellUp(): void {
    if (this.#isToldUp) return;
    this.#isToldUp = true;
    this.#told.forget();
    this.#options.changed?.(this.#name, true, "");
  }

  #tellDown(reason: string): void {
    this.#isToldUp = false;
    if (this.#told.tell(reason)) this.#options.changed?.(this.#name, false, reason);
  }

  #redial(slot: number): void {
    if (this.#closed) return;
    const wait = Math.random() * Math.min(redialMsMax, 25 * 2 ** Math.min(this.#failures++, 10));
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#dial(slot);
    }, wait);
    this.#timers.add(timer);
  }
}
