/**
 * A ZooKeeper client: the operations as promises, paths below a chroot, watches as functions. Everything about
 * connections is in the session; nothing is sent twice, and what may or may not have happened is said so
 * (`maybeApplied`).
 */
import { ZooKeeperError, hasCode } from "./error.ts";
import { isPath } from "./connect-string.ts";
import type { JuteReader } from "./jute.ts";
import {
  aclOf,
  createBody,
  multiBody,
  multiResults,
  op,
  openAcl,
  pathBody,
  pathFlagBody,
  pathNumberBody,
  setAclBody,
  setDataBody,
  statOf,
  type Acl,
  type CreateMode,
  type Operation,
  type OperationResult,
  type Stat,
} from "./protocol.ts";
import type { RequestOptions } from "./requests.ts";
import { Session, type SessionOptions, type SessionState } from "./session.ts";
import type { WatchKind, WatchListener } from "./watches.ts";

export interface ClientOptions extends SessionOptions {
  /** Empty, or `/path`: every path of this client is below it. */
  readonly chroot?: string;
}

export interface ReadOptions extends RequestOptions {
  /** Told once when what was read changes. Only a read that succeeds arms it; `exists` arms it either way. */
  readonly watch?: WatchListener | undefined;
}

export interface CreateOptions extends RequestOptions {
  readonly data?: Uint8Array | string;
  readonly mode?: CreateMode;
  readonly acl?: readonly Acl[];
  readonly ttlMs?: number;
}

const noNode = -101;

/** One client: one session at a time, and a new one by itself when that is lost. */
export class ZooKeeperClient {
  readonly session: Session;
  readonly #chroot: string;
  /** What was given to `session.watches` in a listener's place. */
  readonly #wrapped = new WeakMap<WatchListener, WatchListener>();

  constructor(options: ClientOptions) {
    this.#chroot = options.chroot ?? "";
    this.session = new Session(options);
  }

  get state(): SessionState {
    return this.session.state;
  }

  /**
   * Creates a node. @returns its path, with the sequence number where it has one. @throws ZooKeeperError NODE_EXISTS,
   * NO_NODE
   */
  async create(path: string, options: CreateOptions = {}): Promise<string> {
    const { data = "", mode = "persistent", acl = openAcl, ttlMs = 0 } = options;
    const full = this.#full(path);
    const { type, body } = createBody({ kind: "create", path: full, data: bytesOf(data), mode, acl, ttlMs });
    return this.session.request({ type, body, path, read: (reply) => this.#own(reply.text()) }, options);
  }

  /** Creates a persistent node and those above it, as far as they are missing; the chroot's own too. */
  async ensure(path: string, options: Pick<CreateOptions, "acl" | "signal" | "limitMs"> = {}): Promise<void> {
    const full = this.#full(path);
    let at = "";
    for (const part of full.split("/").filter((one) => one !== "")) {
      at += `/${part}`;
      const { type, body } = createBody({
        kind: "create",
        path: at,
        data: Buffer.alloc(0),
        mode: "persistent",
        acl: options.acl ?? openAcl,
      });
      try {
        await this.session.request({ type, body, path: at, read: () => null }, options);
      } catch (error) {
        // Where one may not create, the server says so without looking whether the node is there: only the last step
        // must be.
        if (hasCode(error, "NO_AUTH") && (at !== full || (await this.exists(path, options)) !== null)) continue;
        if (!hasCode(error, "NODE_EXISTS")) throw error;
      }
    }
  }

  /** @throws ZooKeeperError NO_NODE */
  async get(path: string, options: ReadOptions = {}): Promise<{ readonly data: Buffer; readonly stat: Stat }> {
    return this.#read(op.getData, path, options, "data", (reply) => ({ data: reply.buffer(), stat: statOf(reply) }));
  }

  /** @returns the node's stat, or null where there is none; a watch is armed either way. */
  async exists(path: string, options: ReadOptions = {}): Promise<Stat | null> {
    const full = this.#full(path);
    const { watch } = options;
    return this.session.request(
      {
        type: op.exists,
        body: pathFlagBody(full, watch !== undefined),
        path,
        read: (reply): Stat | null => {
          if (watch !== undefined) this.#arm("data", full, watch);
          return statOf(reply);
        },
        otherwise: (error) => {
          if (error !== noNode) return undefined;
          if (watch !== undefined) this.#arm("exist", full, watch);
          return null;
        },
      },
      options,
    );
  }

  /** The names of a node's children, in no order. @throws ZooKeeperError NO_NODE */
  async children(
    path: string,
    options: ReadOptions = {},
  ): Promise<{ readonly children: string[]; readonly stat: Stat }> {
    return this.#read(op.getChildren, path, options, "child", (reply) => ({
      children: reply.vector(() => reply.text()),
      stat: statOf(reply),
    }));
  }

  /** @param version the one that must still stand; −1 for any. @throws ZooKeeperError BAD_VERSION, NO_NODE */
  async set(path: string, data: Uint8Array | string, version: number, options: RequestOptions = {}): Promise<Stat> {
    const body = setDataBody(this.#full(path), bytesOf(data), version);
    return this.session.request({ type: op.setData, body, path, read: statOf }, options);
  }

  /**
   * @param version the one that must still stand; −1 for any. @throws ZooKeeperError BAD_VERSION, NO_NODE, NOT_EMPTY
   */
  async delete(path: string, version: number, options: RequestOptions = {}): Promise<void> {
    const body = pathNumberBody(this.#full(path), version);
    await this.session.request({ type: op.delete, body, path, read: () => null }, options);
  }

  /** Resolves when this client's server has seen everything that was written before. */
  async sync(path: string, options: RequestOptions = {}): Promise<void> {
    await this.session.request({ type: op.sync, body: pathBody(this.#full(path)), path, read: () => null }, options);
  }

  /** All of the operations, or none. @throws ZooKeeperError with the code and `index` of the one that failed */
  async multi(operations: readonly Operation[], options: RequestOptions = {}): Promise<OperationResult[]> {
    const full = operations.map((operation) => ({ ...operation, path: this.#full(operation.path) }));
    const results = await this.session.request(
      {
        type: op.multi,
        body: multiBody(full),
        path: operations[0]?.path ?? null,
        read: (reply) => multiResults(reply, operations),
      },
      options,
    );
    return results.map((result) => (result.kind === "create" ? { ...result, path: this.#own(result.path) } : result));
  }

  async getAcl(path: string, options: RequestOptions = {}): Promise<{ readonly acl: Acl[]; readonly stat: Stat }> {
    return this.session.request(
      {
        type: op.getAcl,
        body: pathBody(this.#full(path)),
        path,
        read: (reply) => ({ acl: aclOf(reply), stat: statOf(reply) }),
      },
      options,
    );
  }

  /** @param version the one of the access list that must still stand; −1 for any. */
  async setAcl(path: string, acl: readonly Acl[], version: number, options: RequestOptions = {}): Promise<Stat> {
    const body = setAclBody(this.#full(path), acl, version);
    return this.session.request({ type: op.setAcl, body, path, read: statOf }, options);
  }

  /**
   * Watches a node, or with `recursive` everything below it too, until `unwatch` or the end of the session. Needs a
   * server of
   * 3.6 or later. What changes while the connection is away is not told: read again when it is back. A server keeps one
   * kind of watch for a connection and a path: the latest replaces a one-shot or other watch there.
   */
  async watch(
    path: string,
    mode: "persistent" | "recursive",
    listener: WatchListener,
    options: RequestOptions = {},
  ): Promise<void> {
    const full = this.#full(path);
    const body = pathNumberBody(full, mode === "recursive" ? 1 : 0);
    await this.session.request({ type: op.addWatch, body, path, read: () => this.#arm(mode, full, listener) }, options);
  }

  /** Forgets a listener of any kind of watch on a path; the server's own watch goes with the last of them. */
  async unwatch(path: string, listener: WatchListener, options: RequestOptions = {}): Promise<void> {
    const full = this.#full(path);
    if (this.session.watches.remove(full, this.#wrapped.get(listener) ?? listener)) return;
    const any = 3;
    const body = pathNumberBody(full, any);
    // That the server has no such watch is as good.
    await this.session.request(
      { type: op.removeWatches, body, path, read: () => null, otherwise: () => null },
      options,
    );
  }

  /** Ends the session and everything with it. */
  close(): Promise<void> {
    return this.session.close();
  }

  #read<T>(
    type: number,
    path: string,
    options: ReadOptions,
    kind: WatchKind,
    read: (reply: JuteReader) => T,
  ): Promise<T> {
    const full = this.#full(path);
    const { watch } = options;
    return this.session.request(
      {
        type,
        body: pathFlagBody(full, watch !== undefined),
        path,
        read: (reply) => {
          if (watch !== undefined) this.#arm(kind, full, watch);
          return read(reply);
        },
      },
      options,
    );
  }

  #arm(kind: WatchKind, full: string, listener: WatchListener): void {
    let wrapped = this.#wrapped.get(listener);
    if (wrapped === undefined) {
      wrapped = (event) => listener({ kind: event.kind, path: this.#own(event.path) });
      this.#wrapped.set(listener, wrapped);
    }
    this.session.watches.add(kind, full, wrapped);
  }

  #full(path: string): string {
    if (!isPath(path)) throw new ZooKeeperError("BAD_ARGUMENTS", `"${path}" is not an absolute path`, { path });
    if (path === "/") return this.#chroot === "" ? "/" : this.#chroot;
    return this.#chroot + path;
  }

  #own(full: string): string {
    return full.slice(this.#chroot.length) || "/";
  }
}

function bytesOf(data: Uint8Array | string): Uint8Array {
  return typeof data === "string" ? Buffer.from(data, "utf8") : data;
}
