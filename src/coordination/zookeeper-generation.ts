/**
 * What one session with ZooKeeper has of its own: its place in the election, its announcement, its view of the view.
 * Ends as one.
 */
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import type { Acl } from "../zookeeper/protocol.ts";
import type { Member } from "../ring/view.ts";
import { Election } from "./zookeeper-election.ts";
import { Roster } from "./zookeeper-roster.ts";
import { StandingView } from "./zookeeper-view.ts";

export interface GenerationOptions {
  readonly acl: readonly Acl[];
  /** The service that members are instances of. */
  readonly service: string;
  readonly member: () => Member;
  /** Makes sure of everything that the session needs there. */
  readonly restore: () => Promise<void>;
  /** It has been elected for a term, or (null) may act no longer. */
  readonly led: (term: number | null) => void;
  readonly failed: (error: Error) => void;
}

/** One session's loops and nodes. */
export class Generation {
  readonly election: Election;
  readonly roster: Roster;
  readonly standing: StandingView;
  /** Everything that it needs is there. */
  prepared = false;
  readonly #end = new AbortController();

  constructor(client: ZooKeeperClient, { acl, service, member, restore, led, failed }: GenerationOptions) {
    const { signal } = this.#end;
    this.election = new Election(client, { member, acl, signal, changed: led, restore, failed });
    this.roster = new Roster(client, { service, acl, signal, restore, failed });
    this.standing = new StandingView(client, { acl, signal, failed });
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Ends it all. In this order: nobody may act on a word of a session that nobody vouches for. */
  abort(): void {
    this.election.suspend();
    this.#end.abort();
  }
}
