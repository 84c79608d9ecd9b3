/** `gyre check`: whether a configuration would be accepted, without starting anything. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { dirname, resolve } from "node:path";
import { canBeCertified } from "../certificates/certificate.ts";
import { ConfigError, loadWithOrigins, type Given } from "../config/load.ts";
import { ownerHere } from "../base/owner.ts";
import type { ConfigProblem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import { filedCertificates } from "../member/certificate-files.ts";
import { namesOf } from "../member/certificates.ts";
import { mustHaveTracePackages } from "../member/traces.ts";
import { threadCount, unshareable } from "../member/thread-count.ts";
import { unlistenable } from "../member/listenable.ts";
import { listenersFor } from "../member/listeners.ts";
import { peerIdentityOf } from "../member/peer-identity.ts";
import { originCertificates } from "../member/origin-certificates.ts";
import { openToOthers, refuseOpenProxy, refuseWildcardPeer } from "../member/refusals.ts";
import { buildRouting } from "../member/routing.ts";
import { unheard } from "../origin/fetch.ts";
import { RouteNumbers } from "../proxy/request/route-counts.ts";
import { asItStands } from "./as-it-stands.ts";
import { Failure } from "./failure.ts";
import { note, say, sayJson } from "./terminal.ts";

/** What a start would trip over is a problem; what may be right by then is a warning. */
interface Found {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** Prints that the file is valid. @throws Failure listing what is not. */
export async function check(
  file: string | undefined,
  { config, json }: { readonly config?: string; readonly json?: boolean },
): Promise<void> {
  if (file !== undefined && config !== undefined) throw new Failure("one file is checked: name it once", 2);
  const name = file ?? config ?? process.env["GYRE_CONFIG"];
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
  const attempt = (where: string, trial: () => void, before = ""): void => {
    try {
      trial();
    } catch (error) {
      problems.push({ where, what: `${before}${(error as Error).message}` });
    }
  };
  attempt(at(config.tls === undefined ? "tls-cert" : "tls"), () => void filedCertificates(config));
  attempt(at("listen"), () => refuseOpenProxy(config, listenersFor(config)));
  const warnings: ConfigProblem[] = [];
  for (const { place, address, shared } of listenersFor(config)) {
    if ("path" in place && place.owner !== undefined) {
      const { owner } = place;
      attempt(at("listen"), () => void ownerHere(owner));
    }
    const wrong = unlistenable(place) ?? (shared ? unshareable() : null);
    if (wrong === null) continue;
    const what = `${address} cannot be listened at: ${wrong}`;
    // Who starts it may open what is not open here.
    if ("fd" in place) warnings.push({ where: at("listen"), what: `warning: ${what}` });
    else problems.push({ where: at("listen"), what });
  }
  attempt(at("peer"), () => refuseWildcardPeer(config));
  attempt(at("threads"), () => threadCount(config.threads, config.memory));
  attempt(at("ca"), () => void originCertificates(config, {}, null));
  // Each fault once: what is said of all routes has been looked at.
  const ofRoutes = { ...config, ca: undefined };
  attempt(at("routes"), () =>
    buildRouting(ofRoutes, { notes: unheard, own: () => false, numbers: new RouteNumbers() }).close(),
  );
  // Where no name is given and others are to be joined, it is made up at the start.
  const name = config.name ?? (config.coordinator === "embedded" ? "m1" : null);
  if (name !== null) attempt(at("peer-tls-cert"), () => void peerIdentityOf(config, name));
  for (const key of ["coordinator-ca", "coordinator-credentials", "acme-ca"] as const) {
    const file = config[key];
    if (file !== undefined) attempt(at(key), () => accessSync(file, constants.R_OK), `${key} cannot be read: `);
  }
  if (config.state !== undefined) attempt(at("state"), () => mustBeFolder(config.state!), "state cannot be used: ");
  if (config["trace-export"] !== undefined)
    await mustHaveTracePackages().catch((error: Error) =>
      problems.push({ where: at("trace-export"), what: error.message }),
    );
  const secret = config["secret-file"];
  if (secret !== undefined)
    attempt(at("secret-file"), () => {
      accessSync(secret, constants.R_OK);
      const open = openToOthers(secret);
      if (open !== null) throw new Error(open);
    });
  for (const key of ["disk", "access-log-file"] as const) {
    const path = config[key];
    if (path !== undefined)
      attempt(at(key), () => (key === "disk" ? mustBeFolder(path) : mustBeFile(path)), `${key} cannot be used: `);
  }
  warnings.push(...asItStands(config, at("routes")), ...uncertifiable(config, at("certificates")));
  warnings.push(...(await unresolved(config, at("routes"))));
  return { problems, warnings };
}

/** A folder that a start would make, or write to. @throws Error where it could not. */
function mustBeFolder(folder: string): void {
  let there = resolve(folder);
  while (!existsSync(there)) there = dirname(there);
  if (!statSync(there).isDirectory()) throw new Error(`${there} is no folder`);
  accessSync(there, constants.W_OK);
}

/** A file that a start would write to: in a folder that is there. @throws Error where it could not. */
function mustBeFile(path: string): void {
  if (existsSync(path) && statSync(path).isDirectory()) throw new Error(`${path} is a folder`);
  accessSync(existsSync(path) ? path : dirname(resolve(path)), constants.W_OK);
}

/** What stands in the way of certificates from an authority, for people. */
function uncertifiable(config: Config, where: string): ConfigProblem[] {
  if (config.certificates !== "auto") return [];
  const listeners = listenersFor(config);
  const found: string[] = [];
  if (!listeners.some(({ tls }) => tls)) found.push("certificates: auto, and no listener speaks TLS");
  if (!namesOf(config).some((name) => canBeCertified(name)))
    found.push("certificates: auto, and neither a route's host nor certificate-names can be certified");
  if (config["acme-challenge"] === "http-01" && listeners.every(({ tls }) => tls))
    found.push("acme-challenge: http-01 is asked for without TLS, and all listeners speak TLS");
  return found.map((what) => ({ where, what: `warning: ${what}` }));
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
