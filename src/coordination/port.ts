/**
 * The coordination port: what a cluster needs from whoever keeps its members together. The embedded coordinator and
 * ZooKeeper's implement it, and pass one contract suite.
 *
 * A session is what a member holds: connected (what it says counts), suspended (nothing is known: go on with the last
 * view, lead nothing), expired (its announcement is gone: it joins again as new), closed.
 */
import type { Member, PublishedView } from "../ring/view.ts";

export type SessionState = "connecting" | "connected" | "suspended" | "expired" | "closed";

/** What a session tells its member. Each call replaces what was told before. */
export interface CoordinatorEvents {
  session(state: SessionState, reason: string): void;
  /** Everybody announced, and the epoch that the next view must exceed. Only the leader acts on it. */
  members(members: readonly Member[], epochFloor: number): void;
  /** This session has been elected for a term, or (null) may act no longer. Terms only grow. */
  leading(term: number | null): void;
  view(view: PublishedView): void;
  /**
   * Another process has taken this member's name while it was away, or the coordinator's place: there is no way back.
   * `there`: the view of those whom it may find again.
   */
  ousted(reason: string, there?: PublishedView): void;
}

/** `fenced`: another term has begun, or another view has been published: read again before writing again. */
export type Published = "published" | "fenced";

export interface Coordinator {
  /** For people, as in `http://127.0.0.1:8081`. */
  readonly address: string;
  readonly state: SessionState;
  /**
   * As of when, by the monotonic clock in ms, this member knows what the coordinator knew, or that it is gone. Null or
   * absent where it is a member itself, which is heard of as such.
   */
  readonly heardMs?: number | null;
  /**
   * Opens a session, announces the member, and stands for election. Resolves once announced; keeps trying until then.
   */
  join(member: Member, events: CoordinatorEvents): Promise<void>;
  /** Replaces this member's announcement. */
  announce(member: Member): Promise<void>;
  /** The term this session may act in at this instant, or null. */
  acting(): number | null;
  /** Publishes the next view; its epoch must be one above the last (or above the floor). */
  publish(view: PublishedView, term: number): Promise<Published>;
  /** Withdraws the announcement and ends the session. */
  leave(): Promise<void>;
}
