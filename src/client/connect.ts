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
import { fetch as undiciFetch, type Dispatcher, type RequestInfo, type RequestInit, type Response } from "undici";
import { placesOf } from "../coordination/places.ts";
import type { PublishedView } from "../ring/view.ts";
import { ensembleOf } from "../zookeeper/connect-string.ts";
import type { Directory } from "./directory.ts";
import { GyreDispatcher } from "./dispatcher.ts";
import { EmbeddedDirectory } from "./embedded-directory.ts";
import { ZooKeeperDirectory } from "./zookeeper-directory.ts";

export interface ConnectOptions {
  /** `zookeeper://host:2181,…/path`, or `http://host:port` of an embedded coordinator. */
  readonly coordinator: string;
  /** The cluster's name, for an embedded coordinator; default `gyre`. */
  readonly cluster?: string | undefined;
  /** The cluster's secret, for an embedded coordinator; default the variable GYRE_SECRET. */
  readonly secret?: string | undefined;
  /** `user:password` for ZooKeeper, where its nodes are not readable for everybody. */
  readonly credentials?: string | undefined;
  /** PEM certificates that `zookeeper+tls://` trusts. */
  readonly coordinatorCa?: string | undefined;
  /** PEM certificates of members that speak TLS. */
  readonly ca?: string | undefined;
  /** How long to wait for the first view, in ms; default 10,000. */
  readonly limitMs?: number | undefined;
}

export interface GyreClient {
  /** As the global `fetch`, through the cluster. */
  fetch(url: RequestInfo, init?: RequestInit): Promise<Response>;
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
    fetch: (url, init) => undiciFetch(url, { ...init, dispatcher }),
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

/** The directory that a coordinator's address names. @throws Error where it names none. */
export function directoryOf(options: ConnectOptions): Directory {
  const { coordinator, cluster = "gyre" } = options;
  if (coordinator.startsWith("zookeeper")) {
    const ensemble = ensembleOf(coordinator);
    if ("wrong" in ensemble) throw new Error(`coordinator ${coordinator}: ${ensemble.wrong}`);
    return new ZooKeeperDirectory({ ensemble, ca: options.coordinatorCa, credentials: options.credentials });
  }
  const places = placesOf(coordinator);
  if (places === null)
    throw new Error(`coordinator ${coordinator}: write zookeeper://host:2181,…/path or http://host:port`);
  const secret = options.secret ?? process.env["GYRE_SECRET"];
  if (secret === undefined)
    throw new Error(
      `the embedded coordinator at ${coordinator} asks for the cluster's secret: pass it, or set GYRE_SECRET`,
    );
  return new EmbeddedDirectory({ places, text: coordinator, cluster, secret: secret.trim() });
}
