/**
 * Configuration from flags, GYRE_* variables and a YAML file, in this order of precedence, with errors that name their
 * place.
 */
import { closest, distance } from "fastest-levenshtein";
import type { z } from "zod";
import { bytesText } from "../base/sizes.ts";
import { diskBytesMin } from "../store/disk/folder.ts";
import { diskMemoryBytes } from "../store/disk/open-disk.ts";
import { storeBytesMin } from "../store/pages/room.ts";
import { lineOf, readDocument, type ReadDocument } from "./document.ts";
import type { ConfigProblem } from "./problem.ts";
import { configSchema, flagKeys, type Config } from "./schema.ts";

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
const otherVariables: ReadonlySet<string> = new Set(["GYRE_CONFIG", "GYRE_SECRET", "GYRE_RUN_DIR", "GYRE_DETACHED"]);
const listKeys: ReadonlySet<string> = new Set([
  "allow",
  "allow-destination",
  "purge-allow",
  "trust-forwarded",
  "parent-except",
]);

/** @throws ConfigError with every problem found. */
export function loadConfig({ file, flags, environment }: ConfigSources): Config {
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
    merged[key] = listKeys.has(key) ? value.split(",").filter((part) => part !== "") : value;
    places.set(key, variable);
  }
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    merged[key] = value;
    places.set(key, `--${key}`);
  }
  // A small budget needs a small bound on one response: only a bound that somebody wrote can be wrong.
  const memory = configSchema.shape.memory.safeParse(merged["memory"]).data;
  if (merged["object-max"] === undefined && memory !== undefined)
    merged["object-max"] = Math.min(64 * 2 ** 20, Math.floor(memory / 4));
  const parsed = configSchema.safeParse(merged);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(...problemsOf(issue, places, document));
  } else problems.push(...contradictions(parsed.data, places));
  if (problems.length > 0) throw new ConfigError(problems);
  return parsed.data!;
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
function contradictions(config: Config, places: ReadonlyMap<string, string>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const at = (key: string): string => places.get(key) ?? key;
  if ((config["tls-cert"] === undefined) !== (config["tls-key"] === undefined)) {
    problems.push({ where: at("tls-cert"), what: "tls-cert and tls-key go together" });
  }
  if (config.routes?.length === 0 && config.forward === undefined) {
    problems.push({
      where: at("routes"),
      what: "routes is empty: that leaves nothing to do. Add a route, or say forward: true for a forward proxy",
    });
  }
  if (config.origin !== undefined && config.routes !== undefined) {
    problems.push({ where: at("origin"), what: "origin and routes exclude each other: give the origin as a route" });
  }
  const diskMemory = config.disk === undefined ? 0 : diskMemoryBytes(config.memory, config["disk-size"]);
  const needed = storeBytesMin + diskMemory;
  if (config.memory < needed) {
    const what = `memory is less than a store ${diskMemory > 0 ? "with a disk " : ""}needs: ${bytesText(needed)}`;
    problems.push({ where: at("memory"), what });
  }
  if (config.disk !== undefined && config["disk-size"] < diskBytesMin) {
    const what = `disk-size is less than a disk tier needs: ${bytesText(diskBytesMin)}`;
    problems.push({ where: at("disk-size"), what });
  }
  if (config["object-max"] > config.memory)
    problems.push({ where: at("object-max"), what: "object-max is larger than memory" });
  return problems;
}

function problemsOf(
  issue: z.core.$ZodIssue,
  places: ReadonlyMap<string, string>,
  document: ReadDocument | null,
): ConfigProblem[] {
  const path = issue.path as (string | number)[];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(path);
    return issue.keys.map((key) => ({
      where: place([...path, key], places, document),
      what: `unknown setting "${[...path, key].join(".")}"${suggestion(key, known, (name) => name)}`,
    }));
  }
  const name = path.length > 0 && places.get(String(path[0])) === undefined ? `${path.join(".")}: ` : "";
  return [{ where: place(path, places, document), what: `${name}${issue.message}` }];
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
  let schema: unknown = configSchema;
  for (const step of path) {
    schema = inner(schema);
    const { shape, element } = schema as { shape?: Record<string, unknown>; element?: unknown };
    schema = typeof step === "number" ? element : shape?.[step];
  }
  return Object.keys((inner(schema) as { shape?: object }).shape ?? {});
}

/** A schema without the optional and default wrappers around it. */
function inner(schema: unknown): unknown {
  let current = schema as { unwrap?: () => unknown; def?: { type?: string } };
  while (current?.def?.type === "optional" || current?.def?.type === "default")
    current = current.unwrap!() as typeof current;
  return current;
}

/** ` (did you mean …?)` where a known name is near. */
export function suggestion(given: string, known: readonly string[], spelled: (name: string) => string): string {
  if (known.length === 0) return "";
  const best = closest(given, known as string[]);
  return distance(given, best) <= Math.max(2, Math.floor(best.length / 3)) ? ` (did you mean ${spelled(best)}?)` : "";
}
