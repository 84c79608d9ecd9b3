/**
 * `gyre/client`: a cluster as a library sees it. It finds the members by the coordinator, sends each request straight
 * to the member that owns the URL, and goes to another one where that is gone.
 *
 * ```ts
 * import { connect } from "gyre/client";
 * const gyre = await connect({ coordinator: "zookeeper://z1:2181,z2:2181/gyre" });
 * const response = await gyre.fetch("http://example.com/");
 * await gyre.close();
 * ```
 */
import type { Dispatcher } from "undici";
import type { PublishedView } from "../ring/view.ts";
import { directoryOf, type ConnectOptions } from "./directory-of.ts";
import { GyreDispatcher } from "./dispatcher.ts";

export type { ConnectOptions };

export interface GyreClient {
  /** The global `fetch`, through the cluster: it takes and gives what that does. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** For undici's own functions: `request(url, { dispatcher })`. */
  readonly dispatcher: Dispatcher;
  /** The newest view; never null once connected. */
  readonly view: PublishedView | null;
  /** The leader's name; null while there is none. */
  readonly leader: string | null;
  close(): Promise<void>;
}

/** Connects to a cluster. @throws Error where the coordinator cannot be understood or reached. */
export async function connect(options: ConnectOptions): Promise<GyreClient> {
  const directory = directoryOf(options);
  try {
    await directory.ready(options.limitMs ?? 10_000);
  } catch (error) {
    await directory.close();
    throw error;
  }
  const dispatcher = new GyreDispatcher(directory, { ca: options.ca });
  return {
    // Node takes a dispatcher beside what the standard names.
    fetch: (input, init) => globalThis.fetch(input, { ...init, dispatcher } as unknown as RequestInit),
    dispatcher,
    get view() {
      return directory.view;
    },
    get leader() {
      return directory.leader;
    },
    close: async () => {
      await dispatcher.close();
      await directory.close();
    },
  };
}
