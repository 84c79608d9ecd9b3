/**
 * Configuration from flags, GYRE_* variables and a YAML file, in this order of precedence, with errors that name their
 * place.
 */
import { closest, distance } from "fastest-levenshtein";
import type { z } from "zod";
import { hostPortOf } from "../base/host-port.ts";
import { bytesText } from "../base/sizes.ts";
import { diskBytesMin } from "../store/disk/folder.ts";
import { diskMemoryBytes } from "../store/disk/open-disk.ts";
import { memoryBytesMax } from "../store/pages/page-memory.ts";
import { storeBytesMin } from "../store/pages/room.ts";
import { lineOf, readDocument, type ReadDocument } from "./document.ts";
import type { ConfigProblem } from "./problem.ts";
import { listenersOf, mainListener, overlap, placeText, type ListenPlace } from "./listeners.ts";
import { configSchema, flagKeys, type Config } from "./schema.ts";
import { tooLong } from "./values.ts";
import { kindsOf, wording } from "./wording.ts";

/** Everything that is wrong with a configuration, a line each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ where, what }) => `${where}: ${what}`).join("\n"));
    this.problems = problems;
  }
}

export interface ConfigSources {
  readonly file?: string | undefined;
  /** By key, as given: text, or a list of texts. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Variables of Gyre that are no configuration keys. */
const otherVariables: ReadonlySet<string> = new Set([
  "GYRE_CONFIG",
  "GYRE_SECRET",
  "GYRE_RUN_DIR",
  "GYRE_DETACHED",
  "GYRE_NODE",
]);
const listKeys: ReadonlySet<string> = new Set([
  "allow",
  "allow-destination",
  "purge-allow",
  "trust-forwarded",
  "parent-except",
  "access-log-fields",
  "certificate-names",
  "compress",
  "compress-types",
]);

/** @throws ConfigError with every problem found. */
export function loadConfig(sources: ConfigSources): Config {
  return loadWithOrigins(sources).config;
}

/** A setting that somebody has given: as it was written, and where. */
export interface Given {
  readonly value: unknown;
  readonly from: string;
}

/** The configuration, and where each setting is from that is not a default. @throws ConfigError. */
export function loadWithOrigins({ file, flags, environment }: ConfigSources): {
  readonly config: Config;
  readonly given: ReadonlyMap<string, Given>;
} {
  const problems: ConfigProblem[] = [];
  const places = new Map<string, string>();
  const merged: Record<string, unknown> = {};
  const document = file === undefined ? null : readDocument(file, problems);
  for (const [key, value] of Object.entries(document?.values ?? {})) merged[key] = value;
  for (const [variable, value] of Object.entries(environment)) {
    if (
      !variable.startsWith("GYRE_") ||
      variable.startsWith("GYRE_TEST_") ||
      isServiceLink(variable, value) ||
      otherVariables.has(variable) ||
      value === undefined
    )
      continue;
    const key = variable.slice(5).toLowerCase().replaceAll("_", "-");
    if (!(flagKeys as readonly string[]).includes(key)) {
      problems.push({
        where: variable,
        what: `is not a setting${suggestion(key, flagKeys, (name) => `GYRE_${name.toUpperCase().replaceAll("-", "_")}`)}`,
      });
      continue;
    }
    const parts = (by: string): string[] => value.split(by).filter((part) => part !== "");
    merged[key] = listKeys.has(key) ? parts(",") : key === "listen" ? parts(" ") : value;
    places.set(key, variable);
  }
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    merged[key] = value;
    places.set(key, `--${key}`);
  }
  const given = new Map(
    Object.entries(merged).map(([key, value]) => [key, { value, from: place([key], places, document) }]),
  );
  // A small budget needs a small bound on one response: only a bound that somebody wrote can be wrong.
  const memory = configSchema.shape.memory.safeParse(merged["memory"]).data;
  if (merged["object-max"] === undefined && memory !== undefined)
    merged["object-max"] = Math.min(64 * 2 ** 20, Math.floor(memory / 4));
  for (const path of [...prototypesIn(document?.values), ...prototypesIn(flags)])
    problems.push({
      where: place(path, places, document),
      what: `"${path.join(".")}" is no name of a setting, nor of a field`,
    });
  const parsed = configSchema.safeParse(merged, { error: wording });
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(...problemsOf(issue, places, document));
  } else problems.push(...contradictions(parsed.data, places, document));
  if (problems.length > 0) throw new ConfigError(problems);
  return { config: parsed.data!, given };
}

/** More than any setting has: what is deeper is refused as unknown. */
const depthMax = 8;

/** Where `__proto__` is a key: plain maps, and the schema library's, pass over it without a word. */
function prototypesIn(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null || path.length > depthMax) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = [...path, Array.isArray(value) ? Number(key) : key];
    return key === "__proto__" ? [at] : prototypesIn(inner, at);
  });
}

/**
 * What Kubernetes sets in every container of a name space where a service is called gyre, or gyre-something: where that
 * is to be found. They look like settings and are none.
 */
export function isServiceLink(variable: string, value: string | undefined): boolean {
  if (/^GYRE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)$/.test(variable))
    return true;
  return /^GYRE_(?:\w+_)?PORT$/.test(variable) && /^(?:tcp|udp|sctp):\/\//.test(value ?? "");
}

/** What each key's value may not be beside another's. */
function contradictions(
  config: Config,
  places: ReadonlyMap<string, string>,
  document: ReadDocument | null,
): ConfigProblem[] {
  const placeOf = (path: readonly (string | number)[]): string => place(path, places, document);
  const problems: ConfigProblem[] = [];
  /** Where the first of these stands that somebody has given. */
  const at = (...keys: readonly string[]): string => {
    const given = keys.find((key) => places.has(key) || (document !== null && key in document.values));
    return given === undefined ? keys[0]! : placeOf([given]);
  };
  if ((config["tls-cert"] === undefined) !== (config["tls-key"] === undefined)) {
    problems.push({ where: at("tls-cert", "tls-key"), what: "tls-cert and tls-key go together" });
  }
  problems.push(...wrongListeners(config, at));
  if (config["drain-notice"] > config["drain-limit"] / 2)
    problems.push({
      where: at("drain-notice", "drain-limit"),
      what: "drain-notice is a part of drain-limit, half of it at most: the rest is for answers under way",
    });
  if (config.tls !== undefined && config["tls-cert"] !== undefined)
    problems.push({
      where: at("tls-cert"),
      what: "tls-cert and tls are two forms of one setting: give all certificates under tls",
    });
  const certified = new Set<string>();
  for (const name of (config.tls ?? []).flatMap(({ names = [] }) => names.map((one) => one.toLowerCase()))) {
    if (certified.has(name))
      problems.push({ where: at("tls"), what: `two certificates are for ${name}: one would never be shown` });
    certified.add(name);
  }
  if (config.routes?.length === 0 && config.forward === undefined) {
    problems.push({
      where: at("routes"),
      what: "routes is empty: that leaves nothing to do. Add a route, or say forward: true for a forward proxy",
    });
  }
  const routes = new Map<string, number>();
  for (const [index, { host, path = "/" }] of (config.routes ?? []).entries()) {
    const what = `${host ?? "any host"}${path}`;
    const other = routes.get(what);
    if (other !== undefined)
      problems.push({
        where: placeOf(["routes", index]),
        what: `routes.${index} is for ${what}, and so is routes.${other}: it would never be asked`,
      });
    else routes.set(what, index);
  }
  if (config.origin !== undefined && config.routes !== undefined) {
    problems.push({ where: at("origin"), what: "origin and routes exclude each other: give the origin as a route" });
  }
  if (config.certificates === "auto") {
    if (config.state === undefined)
      problems.push({
        where: at("certificates"),
        what: "certificates: auto needs a folder to keep them in: give state",
      });
    if (config["peer-tls"] === "off")
      problems.push({
        where: at("peer-tls"),
        what: "certificates: auto shares keys over the members' links: peer-tls may not be off",
      });
  }
  const ofPeers = (["peer-tls-cert", "peer-tls-key", "peer-tls-ca"] as const).filter(
    (key) => config[key] !== undefined,
  );
  if (ofPeers.length % 3 !== 0)
    problems.push({ where: at(ofPeers[0]!), what: "peer-tls-cert, peer-tls-key and peer-tls-ca belong together" });
  if (ofPeers.length > 0 && config["peer-tls"] === "off")
    problems.push({ where: at("peer-tls"), what: "peer-tls is off, and peer-tls-cert gives a certificate for links" });
  if (config["access-log-syslog"] !== undefined && config["access-log-file"] !== undefined)
    problems.push({ where: at("access-log-syslog"), what: "access-log-syslog and access-log-file exclude each other" });
  const diskMemory = config.disk === undefined ? 0 : diskMemoryBytes(config.memory, config["disk-size"]);
  const needed = storeBytesMin + diskMemory;
  if (config.memory < needed) {
    const what = `memory is less than a store ${diskMemory > 0 ? "with a disk " : ""}needs: ${bytesText(needed)}`;
    problems.push({ where: at("memory", "disk-size"), what });
  }
  if (config.memory > memoryBytesMax)
    problems.push({ where: at("memory"), what: `memory is more than a store can have: ${bytesText(memoryBytesMax)}` });
  if (config.disk !== undefined && config["disk-size"] < diskBytesMin) {
    const what = `disk-size is less than a disk tier needs: ${bytesText(diskBytesMin)}`;
    problems.push({ where: at("disk-size", "disk"), what });
  }
  if (config["object-max"] > config.memory)
    problems.push({ where: at("object-max", "memory"), what: "object-max is larger than memory" });
  return problems;
}

/** What listeners may not be, by themselves and beside each other. */
function wrongListeners(config: Config, at: (...keys: readonly string[]) => string): ConfigProblem[] {
  const hasTls = config.tls !== undefined || config["tls-cert"] !== undefined || config.certificates === "auto";
  const listeners = listenersOf({ ...config, hasTls, hasHttp2: false });
  const wrong = (what: string): ConfigProblem => ({ where: at("listen"), what });
  const problems: ConfigProblem[] = [];
  const seen: { readonly called: string; readonly place: ListenPlace }[] = [];
  for (const { address, place, tls, redirect, role } of listeners) {
    const other = seen.find((one) => overlap(one.place, place));
    if (other !== undefined) {
      const isSame = placeText(other.place) === placeText(place);
      problems.push(wrong(`${address} is listened at ${isSame ? "twice" : `already, by ${other.called}`}`));
    }
    seen.push({ called: address, place });
    const long = "path" in place ? tooLong(place.path) : null;
    if (long !== null) problems.push(wrong(`${address} ${long}`));
    if (tls && !hasTls)
      problems.push(
        wrong(`${address} is to speak TLS, and there is no certificate: give tls-cert and tls-key, or tls`),
      );
    if (tls && redirect) problems.push(wrong(`${address} speaks TLS already: it has nothing to redirect to`));
    const forwards = config.forward ?? (config.origin === undefined && config.routes === undefined);
    if (role === "forward" && !forwards)
      problems.push(wrong(`${address} is for the forward proxy, which is off: say forward: true`));
    if (role === "reverse" && config.origin === undefined && config.routes === undefined)
      problems.push(wrong(`${address} is for the reverse proxy, and there is no origin and no route`));
  }
  for (const key of ["peer", "admin"] as const) {
    const place = hostPortOf(config[key])!;
    const other = seen.find((one) => overlap(one.place, place));
    if (other !== undefined)
      problems.push({
        where: at("listen", key),
        what: `${other.called} is the ${key} port as well: each needs one of its own`,
      });
    seen.push({ called: `${key} ${config[key]}`, place });
  }
  if (listeners.some(({ redirect }) => redirect) && !listeners.some(({ tls }) => tls))
    problems.push(wrong("a listener redirects to https, and none speaks TLS: add one as in 443,tls"));
  const main = mainListener(listeners);
  if (main.redirect || "path" in main.place)
    problems.push(wrong("at least one listener must have a port at which clients and other members find it"));
  return problems;
}

function problemsOf(
  issue: z.core.$ZodIssue,
  places: ReadonlyMap<string, string>,
  document: ReadDocument | null,
): ConfigProblem[] {
  const path = issue.path as (string | number)[];
  const nearest = nearestOf(issue);
  if (nearest.length > 0)
    return nearest.flatMap((one) => problemsOf({ ...one, path: [...path, ...one.path] }, places, document));
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(path);
    const near = (key: string): string => {
      const outer = known.find((name) => knownKeys([...path, name]).includes(key));
      return outer === undefined ? suggestion(key, known, (name) => name) : ` (did you mean ${outer}.${key}?)`;
    };
    return issue.keys.map((key) => ({
      where: place([...path, key], places, document),
      what: `unknown setting "${[...path, key].join(".")}"${near(key)}`,
    }));
  }
  if (issue.code === "invalid_key")
    return issue.issues.flatMap((one) => problemsOf({ ...one, path }, places, document));
  const name = path.length > 0 && places.get(String(path[0])) === undefined ? `${path.join(".")}: ` : "";
  const isUnsaid = issue.code === "invalid_union" && issue.message === unsaid;
  const what = (isUnsaid ? kindsOf(issue.errors) : null) ?? issue.message;
  return [{ where: place(path, places, document), what: `${name}${what}` }];
}

/** The library's word for a value that fits none of several forms. */
const unsaid = "Invalid input";

/** Of a value that fits none of several forms: what is wrong with the one that it comes nearest to. */
function nearestOf(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
  // Some say it themselves.
  if (issue.code !== "invalid_union" || issue.message !== unsaid) return [];
  const isOfType = (issues: readonly z.core.$ZodIssue[]): boolean =>
    !issues.some(({ code, path }) => (code === "invalid_type" || code === "invalid_value") && path.length === 0);
  const forms = issue.errors.filter(isOfType).toSorted((a, b) => depthOf(b) - depthOf(a));
  return forms[0] ?? [];
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}

function place(
  path: readonly (string | number)[],
  places: ReadonlyMap<string, string>,
  document: ReadDocument | null,
): string {
  const given = places.get(String(path[0]));
  if (given !== undefined) return given;
  if (document === null) return path.join(".") || "configuration";
  return `${document.file}:${lineOf(path, document)}`;
}

function knownKeys(path: readonly (string | number)[]): readonly string[] {
  let schemas: readonly Schema[] = [configSchema as Schema];
  for (const step of path) {
    const next = (schema: Schema): Schema | undefined =>
      typeof step === "number" ? schema.element : schema.shape?.[step];
    schemas = schemas.flatMap(within).flatMap((schema) => next(schema) ?? []);
  }
  return schemas.flatMap(within).flatMap(({ shape = {} }) => Object.keys(shape));
}

/** What of zod's schemas leads to those inside them. */
interface Schema {
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly element?: Schema;
  readonly def?: { readonly innerType?: Schema; readonly in?: Schema; readonly options?: readonly Schema[] };
}

/** The schemas that a value may have to fit: one without what is wrapped around it, or each form of several. */
function within(schema: Schema): readonly Schema[] {
  const { innerType, in: input, options } = schema.def ?? {};
  if (options !== undefined) return options.flatMap(within);
  const wrapped = innerType ?? input;
  return wrapped === undefined ? [schema] : within(wrapped);
}

/** ` (did you mean …?)` where a known name is near. */
export function suggestion(given: string, known: readonly string[], spelled: (name: string) => string): string {
  if (known.length === 0) return "";
  const best = closest(given, known as string[]);
  return distance(given, best) <= Math.max(2, Math.floor(best.length / 3)) ? ` (did you mean ${spelled(best)}?)` : "";
}
