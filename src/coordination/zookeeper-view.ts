/**
 * The published view as it stands in ZooKeeper, seen from one session: read, watched, and replaced only by the leader
 * of the term.
 */
import { publishedViewOf, type PublishedView } from "../ring/view.ts";
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import { hasCode } from "../zookeeper/error.ts";
import type { Acl, Operation } from "../zookeeper/protocol.ts";
import { Signal } from "./signal.ts";
import { paths } from "./zookeeper-nodes.ts";

export interface StandingViewOptions {
  readonly acl: readonly Acl[];
  readonly signal: AbortSignal;
  readonly failed: (error: Error) => void;
}

/** The node `view`. */
export class StandingView {
  /** Of the view that stood there when it was last read or written; −1 where none did, or what stood was no view. */
  epoch = -1;
  /** Rings when it may have changed. */
  readonly news: Signal;
  readonly #client: ZooKeeperClient;
  readonly #options: StandingViewOptions;
  /** The node's version; −1 where there is none. */
  #version = -1;
  /** Writes that have been answered: what was asked before one of them tells nothing of what stands now. */
  #written = 0;
  /** One function: a view read again is still watched once. */
  readonly #watch = (): void => this.news.ring();

  constructor(client: ZooKeeperClient, options: StandingViewOptions) {
    this.#client = client;
    this.#options = options;
    this.news = new Signal(options.signal);
  }

  /** Reads and watches it. @returns null where there is none; what is no view is told of and counts as none. */
  async read(): Promise<PublishedView | null> {
    const { signal, failed } = this.#options;
    for (;;) {
      const written = this.#written;
      try {
        const { data, stat } = await this.#client.get(paths.view, { signal, watch: this.#watch });
        if (written !== this.#written) continue;
        this.#version = stat.version;
        const view = viewIn(data.toString());
        this.epoch = view?.epoch ?? -1;
        if (view === null) failed(new Error(`${paths.view} in ZooKeeper is not a view: the leader replaces it`));
        return view;
      } catch (error) {
        if (!hasCode(error, "NO_NODE")) throw error;
      }
      if (written !== this.#written) continue;
      this.#version = -1;
      this.epoch = -1;
      if ((await this.#client.exists(paths.view, { signal, watch: this.#watch })) === null) return null;
    }
  }

  /** What was read is a view, but cannot stand here: it counts as none, and the leader replaces it. */
  disbelieve(): void {
    this.epoch = -1;
  }

  /**
   * Replaces what was read last, if the term is still the newest. @throws ZooKeeperError where either is not so any
   * more
   */
  async write(view: PublishedView, term: number): Promise<void> {
    const { acl, signal } = this.#options;
    const data = Buffer.from(JSON.stringify(view));
    const version = this.#version;
    const write: Operation =
      version < 0
        ? { kind: "create", path: paths.view, data, mode: "persistent", acl }
        : { kind: "set", path: paths.view, data, version };
    await this.#client.multi([{ kind: "check", path: paths.epoch, version: term }, write], { signal });
    this.#written++;
    this.#version = version + 1;
    this.epoch = view.epoch;
  }
}

/** The view in a node's text, or null where it is none. */
function viewIn(text: string): PublishedView | null {
  try {
    return publishedViewOf(JSON.parse(text));
  } catch {
    return null; // The only way JSON.parse has to say "not JSON".
  }
}
