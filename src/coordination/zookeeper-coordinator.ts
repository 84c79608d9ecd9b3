/**
 * ZooKeeper as the coordinator: members as ephemeral service instances, the election, the fenced view.
 *
 * Each session is a generation with its own loops, ended together when the session is lost. What survives is the
 * member, the last view seen, and the wish to take part.
 */
import { randomUUID } from "node:crypto";
import { asError, background } from "../base/background.ts";
import type { Member, PublishedView } from "../ring/view.ts";
import { ZooKeeperClient } from "../zookeeper/client.ts";
import { hasCode } from "../zookeeper/error.ts";
import { aclAll, aclRead, openAcl, type Acl } from "../zookeeper/protocol.ts";
import type { SessionOptions, SessionState as ZooKeeperState } from "../zookeeper/session.ts";
import type { Coordinator, CoordinatorEvents, Published, SessionState } from "./port.ts";
import { retrying } from "./retrying.ts";
import { pause } from "./signal.ts";
import { Generation } from "./zookeeper-generation.ts";
import { paths, type Announced } from "./zookeeper-nodes.ts";
import { NameTaken, numericId } from "./zookeeper-roster.ts";

export interface ZooKeeperCoordinatorOptions extends Omit<SessionOptions, "changed" | "auth"> {
  /** For people, as it was configured. */
  readonly address: string;
  /** The cluster's name: the service that members are instances of. */
  readonly cluster: string;
  readonly chroot: string;
  /** `user:password` for digest authentication; null for an open ensemble. */
  readonly credentials: string | null;
  readonly failed: (error: Error) => void;
}

/** How a write ends that another leader, another view or the connection has overtaken. */
const refusals = [
  "BAD_VERSION",
  "NODE_EXISTS",
  "NO_NODE",
  "CONNECTION_LOSS",
  "SESSION_EXPIRED",
  "ABORTED",
  "OPERATION_TIMEOUT",
] as const;
const fencedPauseMs = 100;

/** The world has no place for this member here: no retry helps. */
class Hopeless extends Error {
  override readonly name = "Hopeless";
}

/** A member's place in a cluster that ZooKeeper keeps together. */
export class ZooKeeperCoordinator implements Coordinator {
  readonly address: string;
  readonly #options: ZooKeeperCoordinatorOptions;
  readonly #acl: readonly Acl[];
  #client: ZooKeeperClient | null = null;
  #events: CoordinatorEvents | null = null;
  #member: Member | null = null;
  #state: SessionState = "connecting";
  #generation: Generation | null = null;
  #view: PublishedView | null = null;
  #lastEpoch = 0;
  #clusterId: string | null = null;
  #id: number | null = null;
  #joined: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null;
  #unreachable = "";

  constructor(options: ZooKeeperCoordinatorOptions) {
    this.#options = options;
    this.address = options.address;
    this.#acl =
      options.credentials === null
        ? openAcl
        : [
            { permissions: aclAll, scheme: "auth", id: "" },
            { permissions: aclRead, scheme: "world", id: "anyone" },
          ];
  }

  get state(): SessionState {
    return this.#state;
  }

  get heardMs(): number | null {
    return this.#client?.session.heardMs ?? null;
  }

  join(member: Member, events: CoordinatorEvents): Promise<void> {
    this.#member = member;
    this.#events = events;
    const { credentials } = this.#options;
    return new Promise((resolve, reject) => {
      this.#joined = { resolve, reject };
      this.#client = new ZooKeeperClient({
        ...this.#options,
        auth: credentials === null ? [] : [{ scheme: "digest", credentials }],
        changed: (state, reason) => this.#changed(state, reason),
        unreachable: (reason) => {
          if (reason === this.#unreachable || this.#joined === null) return;
          this.#unreachable = reason;
          this.#options.failed(new Error(`waiting for ZooKeeper at ${this.address}: ${reason}`));
        },
      });
    });
  }

  async announce(member: Member): Promise<void> {
    this.#member = member;
    const generation = this.#generation;
    if (generation?.prepared !== true) return;
    try {
      await generation.roster.announce(this.#announced());
    } catch (error) {
      // It is kept as it should read: what did not get through now does so later.
      generation.roster.check();
      if (!hasCode(error, "CONNECTION_LOSS", "OPERATION_TIMEOUT", "SESSION_EXPIRED", "ABORTED")) throw error;
    }
  }

  acting(): number | null {
    return this.#state === "connected" ? (this.#generation?.election.acting() ?? null) : null;
  }

  async publish(view: PublishedView, term: number): Promise<Published> {
    const generation = this.#generation;
    if (generation === null || this.acting() !== term || view.epoch !== this.#epochFloor + 1) return "fenced";
    try {
      await generation.standing.write(view, term);
    } catch (error) {
      // Refused, or unknown: either way what stands is read again, and a moment later everything is looked at anew.
      generation.election.look();
      generation.standing.news.ring();
      background(this.#afterFenced(generation), () => {});
      if (hasCode(error, ...refusals)) return "fenced";
      throw error;
    }
    this.#seen(view);
    return "published";
  }

  /** Not at once: whoever is refused again and again must not keep the ensemble busy. */
  async #afterFenced(generation: Generation): Promise<void> {
    await pause(fencedPauseMs, generation.signal);
    if (generation.signal.aborted) return;
    await this.#readView(generation);
    generation.roster.follow(this.#tell(generation));
  }

  async leave(): Promise<void> {
    this.#set("closed", "");
    this.#abort();
    await this.#client?.close();
  }

  get #epochFloor(): number {
    return Math.max(this.#lastEpoch, this.#view?.epoch ?? 0);
  }

  #announced(): Announced {
    const member = this.#member!;
    return { member: this.#id === null ? member : { ...member, id: this.#id }, lastEpoch: this.#lastEpoch };
  }

  #changed(state: ZooKeeperState, reason: string): void {
    if (this.#state === "closed") return;
    switch (state) {
      case "connected":
        this.#unreachable = "";
        this.#set("connected", "");
        this.#connected();
        return;
      case "suspended":
        // In this order: nobody may act on a word of a session that nobody vouches for.
        this.#state = "suspended";
        this.#generation?.election.suspend();
        this.#events?.session("suspended", reason);
        return;
      case "lost":
        this.#abort();
        this.#set("expired", reason);
        return;
      case "closed": {
        // Not by `leave`, which says so before: the ensemble refuses this member's credentials.
        this.#abort();
        this.#set("closed", reason);
        const sentence = `ZooKeeper at ${this.address}: ${reason}`;
        if (this.#joined === null) this.#events?.ousted(sentence);
        this.#joined?.reject(new Error(sentence));
        return;
      }
      case "connecting":
    }
  }

  #abort(): void {
    this.#generation?.abort();
    this.#generation = null;
  }

  #connected(): void {
    const living = this.#generation;
    if (living !== null) {
      living.election.look();
      living.standing.news.ring();
      living.roster.reconnected();
      if (living.election.acting() !== null) living.roster.follow(this.#tell(living));
      return;
    }
    const { failed, cluster } = this.#options;
    const generation: Generation = new Generation(this.#client!, {
      acl: this.#acl,
      service: cluster,
      member: () => this.#member!,
      restore: () => this.#prepare(generation),
      led: (term) => this.#led(generation, term),
      failed,
    });
    this.#generation = generation;
    background(this.#live(generation), failed);
  }

  /** One session from its beginning: the layout, the announcement, then the loops. */
  async #live(generation: Generation): Promise<void> {
    const { signal } = generation;
    const { failed } = this.#options;
    const hopeless = (error: unknown): boolean =>
      error instanceof NameTaken || error instanceof Hopeless || hasCode(error, "NO_AUTH");
    try {
      if (!(await retrying(signal, () => this.#prepare(generation), { failed, hopeless }))) return;
    } catch (error) {
      const sentence = hasCode(error, "NO_AUTH")
        ? `ZooKeeper at ${this.address} does not let this member write (${asError(error).message}): give its credentials with --coordinator-credentials FILE`
        : asError(error).message;
      if (this.#joined === null) this.#events?.ousted(sentence);
      this.#joined?.reject(new Error(sentence));
      return;
    }
    generation.prepared = true;
    this.#joined?.resolve();
    this.#joined = null;
    background(this.#followView(generation), this.#options.failed);
    background(
      generation.roster.keep(() => this.#announced()),
      (error) => this.#events?.ousted(error.message),
    );
    await generation.election.run();
  }

  async #prepare(generation: Generation): Promise<void> {
    const client = this.#client!;
    const { signal } = generation;
    const { cluster } = this.#options;
    const options = { acl: this.#acl, signal };
    for (const path of ["/", paths.election, paths.members, `${paths.members}/${cluster}`, paths.ids, paths.epoch])
      await client.ensure(path, options);
    await client.create(paths.cluster, { ...options, data: randomUUID() }).catch((error: unknown) => {
      if (!hasCode(error, "NODE_EXISTS")) throw error;
    });
    const id = (await client.get(paths.cluster, { signal })).data.toString();
    if (this.#clusterId !== null && this.#clusterId !== id)
      this.#options.failed(
        new Error(`ZooKeeper at ${this.address} has lost its data: the cluster goes on from what its members know`),
      );
    this.#clusterId = id;
    await this.#readView(generation);
    const named = this.#view?.cluster ?? cluster;
    if (named !== cluster)
      throw new Hopeless(
        `ZooKeeper at ${this.address} keeps the cluster ${named} there, not ${cluster}: name another path, or --cluster ${named}`,
      );
    this.#id = await numericId(client, this.#member!, this.#id, this.#acl, signal);
    await generation.roster.announce(this.#announced());
  }

  /** Reads the view and follows it, until the session ends. */
  async #followView(generation: Generation): Promise<void> {
    const { signal, standing } = generation;
    const look = async (): Promise<void> => {
      await this.#readView(generation);
      if (generation.election.acting() !== null && this.#outstripped(generation))
        generation.roster.follow(this.#tell(generation));
      await standing.news.next();
    };
    const reconnected = async (): Promise<void> => {
      if (this.#client!.state !== "connected") await standing.news.next();
    };
    while (!signal.aborted) await retrying(signal, look, { failed: this.#options.failed, reconnected });
  }

  async #readView({ standing }: Generation): Promise<void> {
    const view = await standing.read();
    if (view === null) return;
    const { cluster, failed } = this.#options;
    // Before it has joined, a member that finds another cluster there says so and gives up.
    if (view.cluster !== cluster && this.#joined === null) {
      failed(
        new Error(`the view in ZooKeeper is of the cluster ${view.cluster}, not ${cluster}: the leader replaces it`),
      );
      standing.disbelieve();
      return;
    }
    this.#seen(view);
  }

  /**
   * Whether what stands in ZooKeeper is older than what this member has seen: wiped, removed, or restored from a copy.
   * The leader then publishes anew, though nothing else has changed.
   */
  #outstripped({ standing }: Generation): boolean {
    const seen = this.#view?.epoch ?? -1;
    if (standing.epoch >= seen) return false;
    this.#lastEpoch = Math.max(this.#lastEpoch, seen + 1);
    return true;
  }

  #seen(view: PublishedView): void {
    // A wiped ensemble begins again below what this member has seen: its announcement says so, and the leader skips
    // ahead.
    if (this.#view !== null && view.epoch <= this.#view.epoch) return;
    this.#view = view;
    this.#lastEpoch = Math.max(this.#lastEpoch, view.epoch);
    this.#events?.view(view);
  }

  #led(generation: Generation, term: number | null): void {
    if (term === null) {
      this.#events?.leading(null);
      return;
    }
    background(this.#takeOffice(generation, term), (error) => {
      if (!generation.signal.aborted) this.#options.failed(error);
    });
  }

  /** First what stands, then the office: a leader that does not know the members would publish a view without them. */
  async #takeOffice(generation: Generation, term: number): Promise<void> {
    const isOver = (): boolean => generation.election.acting() !== term;
    const take = async (): Promise<void> => {
      if (isOver()) return;
      await this.#readView(generation);
      this.#outstripped(generation);
      this.#tell(generation)(await generation.roster.read());
      if (isOver()) return;
      this.#events?.leading(term);
      generation.roster.follow(this.#tell(generation));
    };
    await retrying(generation.signal, take, { failed: this.#options.failed });
  }

  #tell(generation: Generation): (announced: readonly Announced[]) => void {
    return (announced) => {
      if (generation !== this.#generation || generation.election.acting() === null) return;
      for (const { lastEpoch } of announced) this.#lastEpoch = Math.max(this.#lastEpoch, lastEpoch);
      this.#events?.members(
        announced.map(({ member }) => member),
        this.#epochFloor,
      );
    };
  }

  #set(state: SessionState, reason: string): void {
    this.#state = state;
    this.#events?.session(state, reason);
  }
}
