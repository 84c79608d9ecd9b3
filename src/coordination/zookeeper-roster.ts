/**
 * Who is announced: the own service instance, kept where it belongs while the session lives, and, for a leader, everybody
 * else's. What a watch says is only that something has changed; then it is read again.
 */
import { asError, background } from "../base/background.ts";
import type { Member } from "../ring/view.ts";
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import { hasCode } from "../zookeeper/error.ts";
import type { Acl } from "../zookeeper/protocol.ts";
import { Signal } from "./signal.ts";
import { announcedOf, instanceText, paths, type Announced } from "./zookeeper-nodes.ts";

/** Another process has the member's name. */
export class NameTaken extends Error {
  override readonly name = "NameTaken";
}

export interface RosterOptions {
  readonly service: string;
  readonly acl: readonly Acl[];
  readonly signal: AbortSignal;
  readonly failed: (error: Error) => void;
}

/** The members' nodes, seen from one session. */
export class Roster {
  readonly #client: ZooKeeperClient;
  readonly #options: RosterOptions;
  readonly #folder: string;
  readonly #news: Signal;
  readonly #watch = (): void => this.#news.ring();
  #following = false;

  constructor(client: ZooKeeperClient, options: RosterOptions) {
    this.#client = client;
    this.#options = options;
    this.#folder = `${paths.members}/${options.service}`;
    this.#news = new Signal(options.signal);
  }

  /**
   * Announces a member, or replaces its announcement. A node of the same process from an earlier session is replaced at once; one
   * of another process gets the time of a session to vanish.
   * @throws NameTaken where it stays.
   */
  async announce(announced: Announced): Promise<void> {
    const { signal, acl, service } = this.#options;
    const path = `${this.#folder}/${announced.member.name}`;
    const data = Buffer.from(instanceText(service, announced));
    const patienceUntil = performance.now() + 1.5 * this.#client.session.timeoutMs + 1000;
    for (;;) {
      try {
        await this.#client.create(path, { data, mode: "ephemeral", acl, signal });
        return;
      } catch (error) {
        if (!hasCode(error, "NODE_EXISTS")) throw error;
      }
      const gone = new Signal(signal);
      try {
        const found = await this.#client.get(path, { signal, watch: () => gone.ring() });
        if (found.stat.ephemeralOwner === this.#client.session.id) {
          await this.#client.set(path, data, -1, { signal });
          return;
        }
        const other = announcedOf(found.data.toString())?.member;
        if (other?.pid === announced.member.pid && other.startedMs === announced.member.startedMs) {
          await this.#client.delete(path, found.stat.version, { signal });
          continue;
        }
        const patience = patienceUntil - performance.now();
        if (patience <= 0)
          throw new NameTaken(
            `the name ${announced.member.name} belongs to another member (pid ${other?.pid} at ${other?.peer})`,
          );
        await gone.next(patience);
      } catch (error) {
        if (!hasCode(error, "NO_NODE", "BAD_VERSION")) throw error;
      }
    }
  }

  /** Everybody announced now. Each call also sees to it that `follow` hears of what changes afterwards. */
  async read(): Promise<Announced[]> {
    const { signal } = this.#options;
    const { children } = await this.#client.children(this.#folder, { signal });
    const nodes = await Promise.all(
      children.map((name) =>
        this.#client.get(`${this.#folder}/${name}`, { signal }).then(
          ({ data }) => announcedOf(data.toString()),
          (error: unknown) => {
            if (hasCode(error, "NO_NODE")) return null;
            throw error;
          },
        ),
      ),
    );
    return nodes.filter((announced) => announced !== null);
  }

  /** Tells of everybody, now and after each change, until the session ends. Beginning twice is beginning once. */
  follow(tell: (announced: readonly Announced[]) => void): void {
    this.#news.ring();
    if (this.#following) return;
    this.#following = true;
    background(this.#follow(tell), this.#options.failed);
  }

  async #follow(tell: (announced: readonly Announced[]) => void): Promise<void> {
    const { signal, failed } = this.#options;
    let watching = false;
    while (!signal.aborted) {
      try {
        if (!watching) await this.#client.watch(this.#folder, "recursive", this.#watch, { signal });
        watching = true;
        await this.#news.next();
        if (signal.aborted) return;
        tell(await this.read());
      } catch (error) {
        if (signal.aborted) return;
        if (!hasCode(error, "CONNECTION_LOSS", "OPERATION_TIMEOUT", "SESSION_EXPIRED")) {
          failed(asError(error));
          await this.#news.next(1000);
        }
        // Whatever was missed, the next round reads everything.
        this.#news.ring();
        if (this.#client.state !== "connected") await connectedAgain(this.#client, signal);
      }
    }
  }
}

/** The numeric id of a member's name: the same in every session, and never another's. */
export async function numericId(
  client: ZooKeeperClient,
  { name }: Member,
  acl: readonly Acl[],
  signal: AbortSignal,
): Promise<number> {
  const path = `${paths.ids}/${name}`;
  for (;;) {
    try {
      return Number((await client.get(path, { signal })).data.toString());
    } catch (error) {
      if (!hasCode(error, "NO_NODE")) throw error;
    }
    const { data, stat } = await client.get(paths.ids, { signal });
    const next = Number(data.toString()) || 1;
    try {
      await client.multi(
        [
          { kind: "set", path: paths.ids, data: Buffer.from(String(next + 1)), version: stat.version },
          { kind: "create", path, data: Buffer.from(String(next)), mode: "persistent", acl },
        ],
        { signal },
      );
      return next;
    } catch (error) {
      // Another member took that number, or this one's answer was lost: look again.
      if (!hasCode(error, "BAD_VERSION", "NODE_EXISTS", "CONNECTION_LOSS")) throw error;
    }
  }
}

/** Resolves when the client has a connection again, or its session has ended. */
async function connectedAgain(client: ZooKeeperClient, signal: AbortSignal): Promise<void> {
  // A request waits for the connection; what it answers does not matter.
  await client.exists("/", { signal }).catch(() => null);
}
