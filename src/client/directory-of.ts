/** Which directory a client reads: by the address of the coordinator. */
import { placesOf } from "../coordination/places.ts";
import { ensembleOf } from "../zookeeper/connect-string.ts";
import type { Directory } from "./directory.ts";
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

/** The directory that a coordinator's address names. @throws Error where it names none. */
export function directoryOf(options: ConnectOptions): Directory {
  const { coordinator, cluster = "gyre" } = options;
  if (typeof (coordinator as unknown) !== "string")
    throw new Error(
      'connect({ coordinator }): say where the cluster is, as in "zookeeper://host:2181,…/path" or "http://host:port"',
    );
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
