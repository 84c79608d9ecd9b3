/**
 * Who is announced: the own service instance, kept where it belongs while the session lives, and, for a leader,
 * everybody else's. What a watch says is only that something has changed; then it is read again.
 */
import { asError, background } from "../base/background.ts";
import type { Member } from "../ring/view.ts";
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import { hasCode } from "../zookeeper/error.ts";
import type { Acl } from "../zookeeper/protocol.ts";
import { pause, Signal } from "./signal.ts";
import { announcedOf, instanceText, paths, type Announced } from "./zookeeper-nodes.ts";

/** Another process has the member's name. */
export class NameTaken extends Error {
  override readonly name = "NameTaken";
}

export interface RosterOptions {
  readonly service: string;
  readonly acl: readonly Acl[];
  readonly signal: AbortSignal;
  /** The folder of members is gone: somebody has removed it. */
  readonly restore: () => Promise<void>;
  readonly failed: (error: Error) => void;
}

const retryMs = 1000;

/** The members' nodes, seen from one session. */
export class Roster {
  readonly #client: ZooKeeperClient;
  readonly #options: RosterOptions;
  readonly #folder: string;
  readonly #news: Signal;
  readonly #watch = (): void => this.#news.ring();
  readonly #own: Signal;
  readonly #ownWatch = (): void => this.#own.ring();
  #following = false;
  #reconnectedMs = 0;

  constructor(client: ZooKeeperClient, options: RosterOptions) {
    this.#client = client;
    this.#options = options;
    this.#folder = `${paths.members}/${options.service}`;
    this.#news = new Signal(options.signal);
    this.#own = new Signal(options.signal);
  }

  /** Something may have happened to the own announcement: `keep` looks. */
  check(): void {
    this.#own.ring();
  }

  /** ZooKeeper is there again, and has given every session its whole time anew: the dead one's too. */
  reconnected(): void {
    this.#reconnectedMs = performance.now();
    this.check();
  }

  /**
   * Keeps the own announcement where it belongs, and as it should read, until the session ends: a node that somebody
   * removed is made again. @throws NameTaken where another process has the name now.
   */
  async keep(announced: () => Announced): Promise<void> {
    const { signal, service } = this.#options;
    while (!signal.aborted) {
      try {
        const wanted = announced();
        const path = `${this.#folder}/${wanted.member.name}`;
        const found = await this.#client.get(path, { signal, watch: this.#ownWatch }).catch((error: unknown) => {
          if (hasCode(error, "NO_NODE")) return null;
          throw error;
        });
        const right =
          found?.stat.ephemeralOwner === this.#client.session.id &&
          found.data.toString() === instanceText(service, wanted);
        if (right) await this.#own.next();
        else await this.announce(wanted);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof NameTaken) throw error;
        await this.#recover(error);
      }
    }
  }

  /**
   * What makes sense after a failure of a loop: wait for the connection, or put back what is missing and wait a moment.
   */
  async #recover(error: unknown): Promise<void> {
    const { signal, failed, restore } = this.#options;
    if (hasCode(error, "CONNECTION_LOSS", "OPERATION_TIMEOUT", "SESSION_EXPIRED")) {
      if (this.#client.state !== "connected") await connectedAgain(this.#client, signal);
      return;
    }
    failed(asError(error));
    if (hasCode(error, "NO_NODE")) await restore().catch(failed);
    await pause(retryMs, signal);
  }

  /**
   * Announces a member, or replaces its announcement. A node of the same process from an earlier session is replaced at
   * once; one of another process gets the time of a session to vanish, in which ZooKeeper was there.
   * @throws NameTaken where it stays.
   */
  async announce(announced: Announced): Promise<void> {
    const { signal, acl, service, failed } = this.#options;
    const path = `${this.#folder}/${announced.member.name}`;
    let isSaid = false;
    const data = Buffer.from(instanceText(service, announced));
    const begunMs = performance.now();
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
        const fromMs = Math.max(begunMs, this.#reconnectedMs);
        const patience = fromMs + 1.5 * this.#client.session.timeoutMs + 1000 - performance.now();
        const whose = `the name ${announced.member.name} belongs to another member (pid ${other?.pid} at ${other?.peer})`;
        if (patience <= 0) throw new NameTaken(whose);
        if (!isSaid) failed(new Error(`${whose}: waiting ${Math.ceil(patience / 1000)} s, it may have died just now`));
        isSaid = true;
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
    const { signal } = this.#options;
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
        await this.#recover(error);
        // Whatever was missed, the next round reads everything.
        this.#news.ring();
      }
    }
  }
}

/**
 * The numeric id of a member's name: the same in every session, and never another's. `known` is the one it had before:
 * an ensemble that has lost its data is told of it, unless another member has been given it meanwhile.
 */
export async function numericId(
  client: ZooKeeperClient,
  { name }: Member,
  known: number | null,
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
    const counter = Number(data.toString()) || 1;
    const next = known !== null && (await isFree(client, known, signal)) ? known : counter;
    const after = Math.max(counter, next + 1);
    try {
      await client.multi(
        [
          { kind: "set", path: paths.ids, data: Buffer.from(String(after)), version: stat.version },
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

/** Whether nobody has a number. */
async function isFree(client: ZooKeeperClient, id: number, signal: AbortSignal): Promise<boolean> {
  const { children } = await client.children(paths.ids, { signal });
  const taken = await Promise.all(
    children.map((child) =>
      client.get(`${paths.ids}/${child}`, { signal }).then(({ data }) => Number(data.toString())),
    ),
  );
  return !taken.includes(id);
}

/** Resolves when the client has a connection again, or its session has ended. */
async function connectedAgain(client: ZooKeeperClient, signal: AbortSignal): Promise<void> {
  // A request waits for the connection; what it answers does not matter.
  await client.exists("/", { signal }).catch(() => null);
}
