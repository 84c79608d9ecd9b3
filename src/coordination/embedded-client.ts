/**
 * A member's session with an embedded coordinator elsewhere. While the coordinator cannot be reached the session is
 * suspended: the member goes on with the last view. When it answers again, the session is taken up, or opened anew
 * where the coordinator does not know it any more.
 */
import { randomUUID } from "node:crypto";
import { background } from "../base/background.ts";
import { hostPortOf } from "../base/host-port.ts";
import { ToldOnce } from "../base/told-once.ts";
import { memberOf, publishedViewOf, type Member, type PublishedView } from "../ring/view.ts";
import { methods, topics } from "./embedded-host.ts";
import type { Coordinator, CoordinatorEvents, Published, SessionState } from "./port.ts";

/** A connection to the coordinator that can ask and be told; `dial` below makes them. */
export interface CoordinatorLink {
  call(method: string, value: unknown, limitMs?: number): Promise<unknown>;
  close(): void;
}

export interface LinkListener {
  up(): void;
  gone(reason: string): void;
  note(topic: string, value: unknown): void;
}

export interface EmbeddedClientOptions {
  /** For people: where the coordinator is looked for first, and said to be until one has answered. */
  readonly address: string;
  /** The places to look, as `host:port`, in order; those of the members of the last view are tried after them. */
  readonly places: readonly string[];
  readonly dial: (place: string, listener: LinkListener) => CoordinatorLink;
  /** Where a member that is no host says that the coordinator is, as `host:port`; null where it does not say. */
  readonly elsewhere?: (place: string) => Promise<string | null>;
  readonly heartbeatMs?: number;
  readonly redialMs?: number;
  readonly failed?: (error: Error) => void;
}

const noHost = "does not host the coordinator";
/** What will not be otherwise at the next try. */
const hopeless = new RegExp(
  `does not know the secret|belongs to another cluster|protocol version|${noHost}|a frame was too large`,
);

/** While the coordinator is missed, each member that is no host is asked so often where it is. */
const askAgainMs = 3000;
/** So much is remembered of what has been said, and of whom was asked. */
const toldMax = 64;

/** A session with an embedded coordinator elsewhere. */
export class EmbeddedClient implements Coordinator {
  readonly #options: EmbeddedClientOptions;
  /** Where this member was had last, as `host:port`; null: nowhere yet. */
  #hostedAt: string | null = null;
  /** Where the link leads. */
  #dialled: string | null = null;
  #events: CoordinatorEvents | null = null;
  #member: Member | null = null;
  #session = randomUUID();
  #state: SessionState = "connecting";
  #link: CoordinatorLink | null = null;
  #up = false;
  #term: number | null = null;
  #lastView: PublishedView | null;
  /** Where the host that gave way to another has said that it is now, or a member that is none. */
  #movedTo: string | null = null;
  /** The places that are no host's, and were asked where it is. */
  readonly #asked = new ToldOnce({ max: toldMax, againMs: askAgainMs });
  /** Which of the places is dialled next. */
  #next = 0;
  /** Why each place did not have us, since it was last tried. */
  readonly #refusals = new Map<string, string>();
  #failures = 0;
  /** What has been said of it while it is waited for. */
  readonly #told = new ToldOnce({ max: toldMax });
  /** Members that are being asked where the coordinator is. */
  readonly #follows = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #heart: NodeJS.Timeout | null = null;
  #joined: { resolve: () => void; reject: (error: Error) => void } | null = null;

  /** `lastView`: what this member has seen of its cluster under another coordinator. */
  constructor(options: EmbeddedClientOptions, lastView: PublishedView | null = null) {
    this.#lastView = lastView;
    this.#options = options;
  }

  /** Where it is, which may be another place than the one it was looked for: an operator can move it. */
  get address(): string {
    return this.#hostedAt === null ? this.#options.address : `http://${this.#hostedAt}`;
  }

  get state(): SessionState {
    return this.#state;
  }

  join(member: Member, events: CoordinatorEvents): Promise<void> {
    this.#member = member;
    this.#events = events;
    this.#heart = setInterval(() => this.#beat(), this.#options.heartbeatMs ?? 1000);
    return new Promise((resolve, reject) => {
      this.#joined = { resolve, reject };
      this.#dial();
    });
  }

  async announce(member: Member): Promise<void> {
    this.#member = member;
    if (this.#up) await this.#link!.call(methods.announce, { session: this.#session, member });
  }

  acting(): number | null {
    return this.#state === "connected" ? this.#term : null;
  }

  async publish(view: PublishedView, term: number): Promise<Published> {
    if (!this.#up) return "fenced";
    return (await this.#link!.call(methods.publish, { session: this.#session, view, term })) === "published"
      ? "published"
      : "fenced";
  }

  async leave(): Promise<void> {
    const link = this.#up ? this.#link : null;
    this.#set("closed", "");
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#heart !== null) clearInterval(this.#heart);
    // The coordinator may be gone: then there is nobody to say goodbye to.
    if (link !== null) await link.call(methods.leave, { session: this.#session }, 1000).catch(() => null);
    this.#link?.close();
  }

  /**
   * Where the coordinator may be: where its last host has said, where it was configured to be, or at any member of the
   * last view, if an operator has moved it.
   */
  get #places(): readonly string[] {
    const members = this.#lastView?.members.filter(({ name }) => name !== this.#member?.name) ?? [];
    const told = this.#movedTo === null ? [] : [this.#movedTo];
    return [...new Set([...told, ...this.#options.places, ...members.map(({ peer }) => peer)])];
  }

  #dial(): void {
    if (this.#state === "closed") return;
    const places = this.#places;
    const place = places[this.#next % places.length]!;
    this.#dialled = place;
    this.#link = this.#options.dial(place, {
      up: () => background(this.#open(), (error) => this.#refused(error)),
      gone: (reason) => this.#lost(reason, place),
      note: (topic, value) => this.#noted(topic, value),
    });
  }

  async #open(): Promise<void> {
    const link = this.#link!;
    if (this.#state === "suspended") {
      const { known } = (await link.call(methods.heartbeat, { session: this.#session })) as { known: boolean };
      if (!known) {
        this.#set("expired", "the coordinator does not know this session any more");
        this.#session = randomUUID();
      }
    }
    await link.call(methods.open, { session: this.#session, member: this.#member, lastView: this.#lastView });
    this.#up = true;
    this.#hostedAt = this.#dialled;
    this.#failures = 0;
    this.#set("connected", "");
    this.#joined?.resolve();
    this.#joined = null;
  }

  /** The coordinator answered, but would not have us. */
  #refused(error: Error): void {
    if (this.#joined !== null && error.message.startsWith("the name ")) {
      this.#joined.reject(error);
      this.#joined = null;
      return;
    }
    if (error.message.startsWith("the name ")) {
      this.#events?.ousted(error.message);
      return;
    }
    this.#options.failed?.(error);
    this.#link?.close();
  }

  #lost(reason: string, place: string): void {
    this.#up = false;
    this.#link = null;
    if (this.#state === "closed") return;
    if (this.#term !== null) {
      this.#term = null;
      this.#events?.leading(null);
    }
    if (this.#state === "connected") this.#set("suspended", reason);
    this.#next++;
    if (hopeless.test(reason)) this.#refusals.set(place, reason);
    else this.#refusals.delete(place);
    const isRefused = this.#joined !== null && this.#places.every((one) => this.#refusals.has(one));
    const follow = this.#follow(reason, place).finally(() => this.#follows.delete(follow));
    this.#follows.add(follow);
    background(follow, (error) => this.#options.failed?.(error));
    if (!isRefused) return this.#redial(reason, place);
    // Another one may still be about to say where it is.
    return background(
      Promise.allSettled(this.#follows).then(() => this.#giveUp(reason, place)),
      () => {},
    );
  }

  /** Nobody that is known has this member: it goes on only where one of them has named another place. */
  #giveUp(reason: string, place: string): void {
    if (this.#state === "closed") return;
    if (this.#places.some((one) => !this.#refusals.has(one))) return this.#redial(reason, place);
    this.#joined?.reject(new Error(`${this.address} refuses this member: ${reason}`));
    this.#joined = null;
  }

  /** Asks a member that is no host where the coordinator is, which is where to look next. */
  async #follow(reason: string, place: string): Promise<void> {
    if (!reason.includes(noHost) || !this.#asked.tell(place)) return;
    const found = (await this.#options.elsewhere?.(place)) ?? null;
    if (found === null || found === this.#member?.peer || hostPortOf(found) === null) return;
    if (this.#up || this.#places.includes(found)) return;
    this.#movedTo = found;
    this.#next = this.#link === null ? 0 : -1; // the first, once that which is dialled now is over
  }

  #redial(reason: string, place: string): void {
    const told = `waiting for the coordinator at ${place}: ${reason}`;
    if (this.#joined !== null && this.#told.tell(told)) this.#options.failed?.(new Error(told));
    const wait = Math.random() * Math.min(this.#options.redialMs ?? 1000, 50 * 2 ** Math.min(this.#failures++, 10));
    this.#timer = setTimeout(() => this.#dial(), wait);
  }

  #beat(): void {
    if (!this.#up) return;
    background(
      this.#link!.call(methods.heartbeat, { session: this.#session }, 3000).then((answer) => {
        if ((answer as { known?: boolean } | null)?.known === false && this.#up) {
          this.#set("expired", "the coordinator gave this session up");
          this.#session = randomUUID();
          return this.#open();
        }
        return undefined;
      }),
      () => this.#link?.close(),
    );
  }

  #noted(topic: string, value: unknown): void {
    if (topic === topics.view) {
      const view = publishedViewOf(value);
      if (view === null) return;
      if (this.#lastView === null || view.epoch > this.#lastView.epoch) this.#lastView = view;
      this.#events?.view(view);
    } else if (topic === topics.moved) {
      const { place } = value as { place?: unknown };
      if (typeof place !== "string" || hostPortOf(place) === null) return;
      this.#movedTo = place;
      this.#next = -1; // The first, once this host is gone.
    } else if (topic === topics.leading) {
      this.#term = (value as { term: number }).term;
      this.#events?.leading(this.#term);
    } else if (topic === topics.members) {
      const { members, epochFloor } = value as { members: unknown[]; epochFloor: number };
      this.#events?.members(
        members.map(memberOf).filter((member) => member !== null),
        epochFloor,
      );
    }
  }

  #set(state: SessionState, reason: string): void {
    this.#state = state;
    this.#events?.session(state, reason);
  }
}
