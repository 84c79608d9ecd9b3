/**
 * One session's part in the election.
 *
 * ```
 * out → queued (watches its predecessor) → head (claims) → leading(term) ⇄ paused (session suspended) → out
 * ```
 * First in line is only a candidate. The leader is who has made the claiming transaction in this session: it raises the
 * version of `epoch`, which is the term that fences every later write, and creates `leader`. Whether it may act is read
 * from a clock at every use, which answers of the ensemble's own leader push forward, never from a flag alone: a
 * process that stood still must not act on what it believed before.
 */
import { randomUUID } from "node:crypto";
import { asError } from "../base/background.ts";
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import { hasCode } from "../zookeeper/error.ts";
import type { Acl } from "../zookeeper/protocol.ts";
import { candidateName, inLine, leaderOf, leaderText, paths } from "./zookeeper-nodes.ts";
import { pause, Signal } from "./signal.ts";
import type { Member } from "../ring/view.ts";

export interface ElectionOptions {
  readonly member: () => Member;
  readonly acl: readonly Acl[];
  /** Aborted when the session is over. */
  readonly signal: AbortSignal;
  /** A term has begun, or goes on (also after a suspension), or may not be acted in any more. */
  readonly changed: (term: number | null) => void;
  /** The nodes that the election stands on are gone: somebody has removed them. */
  readonly restore: () => Promise<void>;
  readonly failed: (error: Error) => void;
}

/** The part of the session's time-out for which an answer of the ensemble's leader proves that the session lives. */
const provenShare = 0.8;

/** After a failure that is not of the connection. */
const retryMs = 1000;

/** Stands for election until its session ends. */
export class Election {
  readonly #client: ZooKeeperClient;
  readonly #options: ElectionOptions;
  readonly #guid: string = randomUUID();
  readonly #news: Signal;
  /** One function for every watch: armed twice on a node, it still listens once. */
  readonly #watch = (): void => this.look();
  #own: string | null = null;
  #term: number | null = null;
  #paused = false;
  /**
   * Until when the ensemble's leader certainly has not given the session up. Pings do not count: a server that is cut
   * off from the others answers them by itself for longer than a session may live; `sync` goes through the leader,
   * which looks at the session.
   */
  #provenUntilMs = 0;

  constructor(client: ZooKeeperClient, options: ElectionOptions) {
    this.#client = client;
    this.#options = options;
    this.#news = new Signal(options.signal);
  }

  /** The term that this session may act in at this instant, or null. */
  acting(): number | null {
    if (this.#term === null || this.#paused || this.#options.signal.aborted) return null;
    const now = performance.now();
    return now < this.#client.session.leaseUntilMs && now < this.#provenUntilMs ? this.#term : null;
  }

  /** The session is suspended: nothing may be acted on from this instant, the nodes stay. */
  suspend(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.#term !== null) this.#options.changed(null);
  }

  /** The session is connected, or something may have changed: look again. */
  look(): void {
    this.#news.ring();
  }

  /** Runs until the session ends. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#step();
      } catch (error) {
        if (signal.aborted) return;
        if (hasCode(error, "CONNECTION_LOSS", "OPERATION_TIMEOUT", "SESSION_EXPIRED")) {
          // What was asked may or may not have been done: the next step looks.
          if (this.#client.state !== "connected") await this.#news.next();
          continue;
        }
        this.#options.failed(asError(error));
        if (hasCode(error, "NO_NODE")) await this.#options.restore().catch(this.#options.failed);
        await pause(retryMs, signal);
      }
    }
  }

  async #step(): Promise<void> {
    if (this.#term !== null) return this.#lead(this.#term);
    this.#paused = false;
    const own = await this.#candidate();
    const { children } = await this.#client.children(paths.election, this.#signal);
    const line = inLine(children);
    const place = line.indexOf(own);
    if (place < 0) {
      this.#own = null;
      return undefined;
    }
    if (place === 0) return this.#claim(own);
    try {
      // Read, not `exists`: that would leave a watch on a node that never comes back.
      await this.#client.get(`${paths.election}/${line[place - 1]!}`, { ...this.#signal, watch: this.#watch });
    } catch (error) {
      if (hasCode(error, "NO_NODE")) return undefined;
      throw error;
    }
    return this.#news.next();
  }

  /**
   * The own candidate node, found or created: a create whose answer was lost is found by its uuid, never repeated
   * blindly.
   */
  async #candidate(): Promise<string> {
    if (this.#own !== null) return this.#own;
    const prefix = candidateName(this.#guid);
    await this.#client.sync(paths.election, this.#signal);
    const { children } = await this.#client.children(paths.election, this.#signal);
    const [ghost] = inLine(children).filter((name) => name.startsWith(prefix));
    const path =
      ghost ??
      (await this.#client.create(`${paths.election}/${prefix}`, {
        ...this.#signal,
        data: this.#options.member().name,
        mode: "ephemeral-sequential",
        acl: this.#options.acl,
      }));
    this.#own = path.slice(path.lastIndexOf("/") + 1);
    return this.#own;
  }

  async #claim(own: string): Promise<void> {
    const client = this.#client;
    await client.sync(paths.leader, this.#signal);
    const { stat: epoch } = await client.get(paths.epoch, this.#signal);
    const standing = await this.#standing();
    if (standing !== null) {
      if (!standing.mine) return this.#news.next();
      // An earlier claim of this session whose answer was lost.
      if (standing.term === epoch.version) return this.#begin(epoch.version);
      await client.delete(paths.leader, -1, this.#signal);
      return undefined;
    }
    const term = epoch.version + 1;
    const member = this.#options.member();
    const text = Buffer.from(leaderText(member, term, client.session.id, new Date().toISOString()));
    try {
      await client.multi(
        [
          { kind: "check", path: `${paths.election}/${own}`, version: -1 },
          { kind: "set", path: paths.epoch, data: text, version: epoch.version },
          { kind: "create", path: paths.leader, data: text, mode: "ephemeral", acl: this.#options.acl },
          { kind: "set", path: paths.election, data: text, version: -1 },
        ],
        this.#signal,
      );
    } catch (error) {
      // Somebody else has claimed, or the own node is gone: look again.
      if (hasCode(error, "NODE_EXISTS", "BAD_VERSION")) return undefined;
      if (!hasCode(error, "NO_NODE")) throw error;
      this.#own = null;
      return undefined;
    }
    return this.#begin(term);
  }

  #begin(term: number): void {
    this.#term = term;
    // The loop verifies, watches `leader`, and only then tells.
    this.#paused = true;
  }

  /** Verifies the term, tells whoever must know, and waits for news. */
  async #lead(term: number): Promise<void> {
    const askedMs = performance.now();
    await this.#client.sync(paths.leader, this.#signal);
    const provenUntilMs = askedMs + provenShare * this.#client.session.timeoutMs;
    const standing = await this.#standing();
    const epoch = await this.#client.exists(paths.epoch, this.#signal);
    if (standing?.mine !== true || standing.term !== term || epoch?.version !== term) {
      this.#term = null;
      if (!this.#paused) this.#options.changed(null);
      return undefined;
    }
    // What could not be acted on while nobody vouched for the session is told again.
    const lapsed = this.#paused || this.acting() === null;
    this.#provenUntilMs = provenUntilMs;
    if (this.#client.state === "connected" && lapsed) {
      this.#paused = false;
      this.#options.changed(term);
    }
    return this.#news.next(this.#client.session.timeoutMs / 4);
  }

  /** Who stands in `leader` now; whatever becomes of it is news. */
  async #standing(): Promise<{ readonly mine: boolean; readonly term: number } | null> {
    try {
      const { data, stat } = await this.#client.get(paths.leader, { ...this.#signal, watch: this.#watch });
      return { mine: stat.ephemeralOwner === this.#client.session.id, term: leaderOf(data.toString())?.epoch ?? -1 };
    } catch (error) {
      if (hasCode(error, "NO_NODE")) return null;
      throw error;
    }
  }

  get #signal(): { readonly signal: AbortSignal } {
    return { signal: this.#options.signal };
  }
}
