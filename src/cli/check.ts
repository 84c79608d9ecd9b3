/** `gyre check`: whether a configuration would be accepted, without starting anything. */
import { accessSync, constants, existsSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { dirname, resolve } from "node:path";
import { ConfigError, loadWithOrigins, type Given } from "../config/load.ts";
import { ownerHere } from "../base/owner.ts";
import type { ConfigProblem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import { threadCount } from "../member/thread-count.ts";
import { listenersFor } from "../member/listeners.ts";
import { peerIdentityOf } from "../member/peer-identity.ts";
import { openToOthers, refuseOpenProxy, refuseWildcardPeer } from "../member/refusals.ts";
import { buildRouting, tlsOf } from "../member/routing.ts";
import { unheard } from "../origin/fetch.ts";
import { RouteNumbers } from "../proxy/request/route-counts.ts";
import { Failure } from "./failure.ts";
import { note, say, sayJson } from "./terminal.ts";

/** What a start would trip over is a problem; what may be right by then is a warning. */
interface Found {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** Prints that the file is valid. @throws Failure listing what is not. */
export async function check(file: string | undefined, { json }: { readonly json?: boolean }): Promise<void> {
  const name = file ?? process.env["GYRE_CONFIG"];
  const { problems, warnings } = await look(name);
  if (json === true) sayJson({ file: name ?? null, valid: problems.length === 0, problems, warnings });
  else {
    for (const { where, what } of warnings) note(`${where}: ${what}`);
    if (problems.length === 0) say(`${name ?? "flags and variables"}: valid`);
  }
  if (problems.length > 0)
    throw new Failure(json === true ? "" : problems.map(({ where, what }) => `${where}: ${what}`).join("\n"));
}

async function look(file: string | undefined): Promise<Found> {
  let config: Config;
  let given: ReadonlyMap<string, Given>;
  try {
    ({ config, given } = loadWithOrigins({ file, flags: {}, environment: process.env }));
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems, warnings: [] };
    throw error;
  }
  const at = (key: string): string => given.get(key)?.from ?? file ?? "configuration";
  const problems: ConfigProblem[] = [];
  const attempt = (where: string, trial: () => void): void => {
    try {
      trial();
    } catch (error) {
      problems.push({ where, what: (error as Error).message });
    }
  };
  attempt(at(config.tls === undefined ? "tls-cert" : "tls"), () => tlsOf(config));
  attempt(at("listen"), () => refuseOpenProxy(config, listenersFor(config)));
  for (const { place } of listenersFor(config))
    if ("path" in place && place.owner !== undefined) {
      const { owner } = place;
      attempt(at("listen"), () => void ownerHere(owner));
    }
  attempt(at("peer"), () => refuseWildcardPeer(config));
  attempt(at("threads"), () => threadCount(config.threads));
  attempt(at("routes"), () =>
    buildRouting(config, { notes: unheard, own: () => false, numbers: new RouteNumbers() }).close(),
  );
  const { name } = config;
  if (name !== undefined) attempt(at("peer-tls-cert"), () => void peerIdentityOf(config, name));
  const secret = config["secret-file"];
  if (secret !== undefined)
    attempt(at("secret-file"), () => {
      accessSync(secret, constants.R_OK);
      const open = openToOthers(secret);
      if (open !== null) throw new Error(open);
    });
  for (const key of ["disk", "access-log-file"] as const) {
    const path = config[key];
    if (path !== undefined) attempt(at(key), () => mustBeWritable(key === "disk" ? path : dirname(resolve(path))));
  }
  return { problems, warnings: await unresolved(config, at("routes")) };
}

/** A folder that a start would make, or write to. @throws Error where it could not. */
function mustBeWritable(folder: string): void {
  let there = resolve(folder);
  while (!existsSync(there)) there = dirname(there);
  accessSync(there, constants.W_OK);
}

/** Origins whose names lead nowhere from here, at this moment. */
async function unresolved(config: Config, where: string): Promise<ConfigProblem[]> {
  const urls = (config.routes ?? []).flatMap(
    ({ origin, origins }) => origins ?? (origin === undefined ? [] : [origin]),
  );
  if (config.origin !== undefined) urls.push(config.origin);
  const hosts = new Set(
    urls
      .map((given) => (typeof given === "string" ? given : given.url))
      .filter((url) => url.startsWith("http"))
      .map((url) => new URL(url).hostname),
  );
  const found = await Promise.all(
    [...hosts].map((host) =>
      lookup(host.replace(/^\[|\]$/g, "")).then(
        () => null,
        (error: NodeJS.ErrnoException) => ({
          where,
          what: `warning: the origin ${host} cannot be found from here (${error.code ?? error.message})`,
        }),
      ),
    ),
  );
  return found.filter((one) => one !== null);
}
