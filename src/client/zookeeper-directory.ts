/**
 * The directory that ZooKeeper keeps: the nodes `view` and `leader`, watched. A client only reads; it needs no secret.
 */
import { Waiters } from "../base/waiters.ts";
import { asError, background } from "../base/background.ts";
import { leaderOf, paths } from "../coordination/zookeeper-nodes.ts";
import { publishedViewOf, type PublishedView } from "../ring/view.ts";
import { ZooKeeperClient } from "../zookeeper/client.ts";
import type { Ensemble } from "../zookeeper/connect-string.ts";
import { trusting } from "../zookeeper/connection.ts";
import { hasCode } from "../zookeeper/error.ts";
import { waitUntil, type Directory } from "./directory.ts";

export interface ZooKeeperDirectoryOptions {
  readonly ensemble: Ensemble;
  /** PEM certificates that `zookeeper+tls://` trusts beside the system's. */
  readonly ca?: string | undefined;
  /** `user:password`, where the nodes are not readable for everybody. */
  readonly credentials?: string | undefined;
}

const askAgainMs = 1000;

/** A view and a leader that follow what is published. */
export class ZooKeeperDirectory implements Directory {
  readonly address: string;
  view: PublishedView | null = null;
  leader: string | null = null;
  readonly #client: ZooKeeperClient;
  readonly #waiters = new Waiters();
  readonly #again = { view: (): void => this.#refresh("view"), leader: (): void => this.#refresh("leader") };
  #trouble = "no answer yet";
  #closed = false;

  constructor({ ensemble, ca, credentials }: ZooKeeperDirectoryOptions) {
    this.address = `zookeeper://${ensemble.servers.map(({ host, port }) => `${host}:${port}`).join(",")}${ensemble.chroot}`;
    this.#client = new ZooKeeperClient({
      servers: ensemble.servers,
      chroot: ensemble.chroot,
      sessionMs: ensemble.sessionMs,
      tls: ensemble.tls ? trusting(ca) : null,
      auth: credentials === undefined ? [] : [{ scheme: "digest", credentials }],
      unreachable: (reason) => {
        this.#trouble = reason;
      },
      changed: (state, reason) => {
        // The view stays good for use while nobody can be asked; who leads does not.
        if (state === "lost" || state === "suspended") this.leader = null;
        if (state === "suspended") this.#trouble = reason;
        if (state !== "connected") return;
        this.#refresh("view");
        this.#refresh("leader");
      },
    });
  }

  async ready(limitMs: number): Promise<void> {
    await waitUntil(
      () => this.view !== null,
      this.#waiters,
      limitMs,
      () => `no view of a cluster in ${this.address}: ${this.#trouble}`,
    );
  }

  changed(limitMs: number): Promise<void> {
    return this.#waiters.wait(limitMs);
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#client.close();
  }

  #refresh(what: "view" | "leader"): void {
    // What fails for want of a connection is asked again when there is one; anything else, after a moment.
    background(this.#read(what), (error) => {
      this.#trouble = error.message;
      this.#waiters.wake();
      if (this.#client.state === "connected" && !this.#closed)
        setTimeout(() => this.#refresh(what), askAgainMs).unref();
    });
  }

  async #read(what: "view" | "leader"): Promise<void> {
    const path = paths[what];
    const watch = this.#again[what];
    let text: string | null = null;
    try {
      text = (await this.#client.get(path, { watch })).data.toString();
    } catch (error) {
      if (!hasCode(error, "NO_NODE")) throw error;
      // It may have come between the two questions.
      if ((await this.#client.exists(path, { watch })) !== null) return this.#read(what);
      this.#trouble = `nothing has been published in ${path} yet`;
    }
    if (what === "leader") this.leader = text === null ? null : (leaderOf(text)?.name ?? null);
    else if (text !== null) this.#take(text);
    this.#waiters.wake();
  }

  #take(text: string): void {
    let view: PublishedView | null = null;
    try {
      view = publishedViewOf(JSON.parse(text));
    } catch (error) {
      this.#trouble = `${paths.view} is not a view: ${asError(error).message}`;
    }
    if (view !== null) this.view = view;
  }
}
