/**
 * The embedded coordinator's mind: sessions, announcements, the election and the published view, as a state machine
 * without I/O or clock. What must be told to whom is returned, and carried out by the host.
 */
import type { Member, PublishedView } from "../ring/view.ts";
import type { Published } from "./port.ts";

export interface RegistrySession {
  readonly id: string;
  readonly name: string;
  member: Member;
  /** Candidates are elected in the order in which they came. */
  readonly order: number;
  deadlineMs: number;
}

/** What has changed and must be told. */
export interface Changes {
  members: boolean;
  view: boolean;
  leader: boolean;
}

export interface RegistryTimes {
  /** A session not heard of for so long expires. */
  readonly sessionMs: number;
  /** One whose link was cut has at most so long to come back. */
  readonly disconnectedMs: number;
}

export const registryTimes: RegistryTimes = { sessionMs: 4000, disconnectedMs: 2000 };

/** Who is in session, who leads, which view stands. Times in ms, monotonic. */
export class Registry {
  readonly #times: RegistryTimes;
  readonly #sessions = new Map<string, RegistrySession>();
  #order = 0;
  #term = 0;
  #leader: RegistrySession | null = null;
  #view: PublishedView | null = null;

  constructor(times: RegistryTimes = registryTimes) {
    this.#times = times;
  }

  get view(): PublishedView | null {
    return this.#view;
  }

  get leader(): RegistrySession | null {
    return this.#leader;
  }

  get term(): number {
    return this.#term;
  }

  get epochFloor(): number {
    return this.#view?.epoch ?? 0;
  }

  get members(): readonly Member[] {
    return [...this.#sessions.values()].map(({ member }) => member);
  }

  has(id: string): boolean {
    return this.#sessions.has(id);
  }

  /**
   * Opens a session, or takes one up again under the same id. `lastView` is the newest view that the member has seen: a
   * coordinator that has lost its memory takes it up and goes on from there.
   * @returns why not, where the name belongs to another living process.
   */
  open(
    id: string,
    member: Member,
    lastView: PublishedView | null,
    nowMs: number,
  ): Changes | { readonly refused: string } {
    const changes = nothing();
    for (const other of this.#sessions.values()) {
      if (other.name !== member.name || other.id === id) continue;
      const same = other.member.startedMs === member.startedMs && other.member.pid === member.pid;
      if (!same && other.deadlineMs > nowMs + this.#times.disconnectedMs) {
        return {
          refused: `the name ${member.name} belongs to another member (pid ${other.member.pid} at ${other.member.peer})`,
        };
      }
      merge(changes, this.close(other.id));
    }
    if (lastView !== null && lastView.epoch > this.epochFloor) {
      this.#view = lastView;
      changes.view = true;
    }
    const known = this.#sessions.get(id);
    if (known !== undefined) {
      known.deadlineMs = nowMs + this.#times.sessionMs;
      return merge(changes, this.announce(id, member));
    }
    this.#sessions.set(id, {
      id,
      name: member.name,
      member,
      order: this.#order++,
      deadlineMs: nowMs + this.#times.sessionMs,
    });
    changes.members = true;
    return merge(changes, this.#elect());
  }

  announce(id: string, member: Member): Changes {
    const session = this.#sessions.get(id);
    const changes = nothing();
    if (session === undefined || session.name !== member.name) return changes;
    changes.members = JSON.stringify(session.member) !== JSON.stringify(member);
    session.member = member;
    return changes;
  }

  /** @returns whether the session still exists. */
  heartbeat(id: string, nowMs: number): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    session.deadlineMs = nowMs + this.#times.sessionMs;
    return true;
  }

  /** Its link was cut: most likely the process is gone. */
  disconnected(id: string, nowMs: number): void {
    const session = this.#sessions.get(id);
    if (session !== undefined) session.deadlineMs = Math.min(session.deadlineMs, nowMs + this.#times.disconnectedMs);
  }

  close(id: string): Changes {
    const changes = nothing();
    if (!this.#sessions.delete(id)) return changes;
    changes.members = true;
    return merge(changes, this.#elect());
  }

  /** Time passed in which nobody could be heard, this process having stood still: it counts against no session. */
  excuse(ms: number): void {
    for (const session of this.#sessions.values()) session.deadlineMs += ms;
  }

  /** Ends the sessions whose time is up. */
  expire(nowMs: number): { readonly expired: readonly RegistrySession[]; readonly changes: Changes } {
    const expired = [...this.#sessions.values()].filter(({ deadlineMs }) => deadlineMs <= nowMs);
    const changes = nothing();
    for (const { id } of expired) merge(changes, this.close(id));
    return { expired, changes };
  }

  publish(id: string, view: PublishedView, term: number): { readonly published: Published; readonly changes: Changes } {
    const changes = nothing();
    if (this.#leader?.id !== id || term !== this.#term || view.epoch !== this.epochFloor + 1)
      return { published: "fenced", changes };
    this.#view = view;
    changes.view = true;
    return { published: "published", changes };
  }

  #elect(): Changes {
    const changes = nothing();
    if (this.#leader !== null && this.#sessions.has(this.#leader.id)) return changes;
    const candidates = [...this.#sessions.values()].sort((a, b) => a.order - b.order);
    this.#leader = candidates[0] ?? null;
    if (this.#leader !== null) this.#term++;
    changes.leader = true;
    return changes;
  }
}

function nothing(): Changes {
  return { members: false, view: false, leader: false };
}

function merge(into: Changes, from: Changes): Changes {
  into.members ||= from.members;
  into.view ||= from.view;
  into.leader ||= from.leader;
  return into;
}
