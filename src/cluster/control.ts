/**
 * The control plane of one member: its session, its announcement, and, while it leads, the publishing of views. The
 * data plane hears of it only through the views it hands out.
 */
import { background } from "../base/background.ts";
import type { Coordinator, CoordinatorEvents, SessionState } from "../coordination/port.ts";
import { viewOf, type Member, type PublishedView, type View } from "../ring/view.ts";
import { nextView } from "./next-view.ts";

export interface ControlEvents {
  /** A newer view stands. */
  view(view: View): void;
  session(state: SessionState, reason: string): void;
  leading(term: number | null): void;
  failed(error: Error): void;
  ousted(reason: string, there?: PublishedView): void;
  /** Whether another member answers on its peer link at this moment, or is being dialled for the first time. */
  reachable(name: string): boolean;
}

/**
 * A new leader may have been elected by a coordinator that has forgotten everybody, and members announce themselves one
 * by one: for so long those that answer are kept in the view, so that the key space does not move there and back.
 */
const holdMs = 10_000;
const holdLookMs = 500;
/** After a view could not be published for a reason that may pass. */
const retryMs = 1000;

/** Drives one member's part in the cluster. */
export class Control {
  #coordinator: Coordinator;
  readonly #cluster: string;
  readonly #events: ControlEvents;
  #member: Member;
  #view: PublishedView | null = null;
  #ready: View | null = null;
  #term: number | null = null;
  /** The same term may go on after a suspension. */
  #lastTerm: number | null = null;
  #announced: readonly Member[] = [];
  #epochFloor = 0;
  #publishing = false;
  #again = false;
  #heldUntilMs = 0;
  #holding: NodeJS.Timeout | null = null;
  #waiting: { readonly until: (view: PublishedView) => boolean; readonly done: () => void }[] = [];

  constructor(cluster: string, member: Member, coordinator: Coordinator, events: ControlEvents) {
    this.#cluster = cluster;
    this.#member = member;
    this.#coordinator = coordinator;
    this.#events = events;
  }

  get view(): PublishedView | null {
    return this.#view;
  }

  get session(): SessionState {
    return this.#coordinator.state;
  }

  get leads(): boolean {
    return this.#coordinator.acting() !== null;
  }

  /** Joins, and resolves when a view that holds this member has arrived. */
  async join(): Promise<void> {
    const inView = this.#until(({ members }) =>
      members.some(({ name, startedMs }) => name === this.#member.name && startedMs === this.#member.startedMs),
    );
    await this.#coordinator.join(this.#member, this.#listener(this.#coordinator));
    await inView;
  }

  /**
   * Goes on under another coordinator, with the view and the members that stand. The old one is not told: it is gone.
   */
  async move(coordinator: Coordinator): Promise<void> {
    const old = this.#coordinator;
    this.#coordinator = coordinator;
    this.#term = null;
    this.#lastTerm = null;
    this.#announced = [];
    await old.leave();
    await coordinator.join(this.#member, this.#listener(coordinator));
  }

  /** What one coordinator tells; once another has taken its place, nothing of it counts. */
  #listener(coordinator: Coordinator): CoordinatorEvents {
    const counts = (): boolean => this.#coordinator === coordinator;
    return {
      session: (state, reason) => {
        if (counts()) this.#events.session(state, reason);
      },
      members: (members, epochFloor) => {
        if (!counts()) return;
        this.#announced = members;
        this.#epochFloor = Math.max(this.#epochFloor, epochFloor);
        this.#lead();
      },
      leading: (term) => {
        if (!counts()) return;
        if (term !== null && term !== this.#lastTerm) this.#heldUntilMs = performance.now() + holdMs;
        this.#term = term;
        this.#lastTerm = term ?? this.#lastTerm;
        this.#events.leading(term);
        this.#lead();
      },
      view: (view) => {
        if (counts()) this.#follow(view);
      },
      ousted: (reason, there) => {
        if (counts()) this.#events.ousted(reason, there);
      },
    };
  }

  /** Announces changed facts of this member. */
  async announce(member: Member): Promise<void> {
    this.#member = { ...member, state: this.#member.state };
    await this.#coordinator.announce(this.#member);
  }

  /** Announces the drain and resolves when the view shows it, or after `limitMs` where nobody can publish it. */
  async drain(limitMs: number): Promise<void> {
    this.#member = { ...this.#member, state: "draining" };
    const shown = this.#until(({ members }) =>
      members.some(({ name, state }) => name === this.#member.name && state === "draining"),
    );
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    background(this.#coordinator.announce(this.#member), (error) => this.#events.failed(error));
    await Promise.race([shown, limit]);
    clearTimeout(timer);
  }

  async leave(): Promise<void> {
    await this.#coordinator.leave();
  }

  #follow(view: PublishedView): void {
    if (this.#view !== null && view.epoch <= this.#view.epoch) return;
    // Whoever it comes from: nothing but a view that can be right reaches the data plane.
    if (view.cluster !== this.#cluster || view.members.length === 0) {
      const wrong = view.members.length === 0 ? "has no members" : `is of the cluster ${view.cluster}`;
      this.#events.failed(new Error(`a view was refused: it ${wrong} (epoch ${view.epoch})`));
      return;
    }
    this.#view = view;
    this.#epochFloor = Math.max(this.#epochFloor, view.epoch);
    this.#ready = viewOf(view, this.#ready);
    this.#events.view(this.#ready);
    this.#waiting = this.#waiting.filter(({ until, done }) => {
      if (!until(view)) return true;
      done();
      return false;
    });
  }

  /** Members of the current view that are not announced, but answer, early in a term. */
  #held(): Member[] {
    if (performance.now() >= this.#heldUntilMs) return [];
    const held = (this.#view?.members ?? []).filter(
      ({ name, state }) =>
        state === "active" &&
        name !== this.#member.name &&
        !this.#announced.some((member) => member.name === name) &&
        this.#events.reachable(name),
    );
    if (held.length > 0 && this.#holding === null) {
      this.#holding = setTimeout(() => {
        this.#holding = null;
        this.#lead();
      }, holdLookMs);
      this.#holding.unref();
    }
    return held;
  }

  #until(until: (view: PublishedView) => boolean): Promise<void> {
    return new Promise((done) => this.#waiting.push({ until, done }));
  }

  /** Publishes what should stand, one at a time. */
  #lead(): void {
    if (this.#term === null || this.#coordinator.acting() !== this.#term) return;
    if (this.#publishing) {
      this.#again = true;
      return;
    }
    const next = nextView(
      this.#cluster,
      this.#view,
      this.#announced,
      this.#member.name,
      this.#epochFloor,
      this.#held(),
    );
    if (next === null || next.members.length === 0) return;
    this.#publishing = true;
    background(
      this.#coordinator.publish(next, this.#term).then((result) => {
        this.#publishing = false;
        if (result === "published") this.#follow(next);
        if (this.#again) {
          this.#again = false;
          this.#lead();
        }
      }),
      (error) => {
        this.#publishing = false;
        this.#again = false;
        this.#events.failed(error);
        setTimeout(() => this.#lead(), retryMs).unref();
      },
    );
  }
}
