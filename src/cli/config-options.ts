/** The configuration's keys as flags of a command, with their descriptions, and back. */
import type { Command } from "commander";
import { ConfigError, loadWithOrigins } from "../config/load.ts";
import { configSchema, flagKeys, type Config } from "../config/schema.ts";
import { Failure } from "./failure.ts";

const repeatable: ReadonlySet<string> = new Set([
  "allow",
  "allow-destination",
  "purge-allow",
  "trust-forwarded",
  "parent-except",
  "access-log-fields",
  "certificate-names",
  "compress",
  "compress-types",
  "listen",
]);
const switches: ReadonlySet<string> = new Set([
  "request-id",
  "forward",
  "proxy-protocol",
  "verify-tls",
  "peer-tls-require",
]);
const placeholders: Readonly<Record<string, string>> = {
  listen: "HOST:PORT",
  peer: "HOST:PORT",
  admin: "HOST:PORT",
  coordinator: "WHERE",
  "secret-file": "FILE",
  "peer-tls": "auto|on|off",
  "peer-tls-cert": "FILE",
  "peer-tls-key": "FILE",
  "peer-tls-ca": "FILE",
  origin: "URL",
  allow: "CIDR",
  "allow-destination": "CIDR",
  "purge-allow": "CIDR",
  "trust-forwarded": "CIDR",
  "access-log-fields": "NAME",
  "access-log-syslog": "PLACE",
  compress: "CODING",
  certificates: "files|auto",
  "certificate-names": "NAME",
  state: "DIR",
  "trace-sample": "all|off|1/N",
  "trace-export": "URL",
  "acme-directory": "URL",
  "acme-contact": "ADDRESS",
  "acme-challenge": "WAY",
  "acme-ca": "FILE",
  "compress-types": "TYPE",
  "compress-least": "SIZE",
  memory: "SIZE",
  threads: "NUMBER",
  "object-max": "SIZE",
  disk: "DIR",
  "disk-size": "SIZE",
  "hot-copies": "SIZE",
  "load-bound": "NUMBER|off",
  "still-after": "TIME",
  weight: "NUMBER",
  "tls-cert": "FILE",
  "tls-key": "FILE",
  ca: "FILE",
  "connect-ports": "PORTS",
  resolver: "HOST:PORT",
  parent: "URL",
  "parent-except": "HOST",
};

/** Adds `--config` and one flag for each key; `except` are those that the command sets itself. */
export function withConfigOptions(command: Command, except: readonly string[] = []): Command {
  command.option("--config <FILE>", "settings in YAML (see schema/gyre.schema.json); also GYRE_CONFIG");
  for (const key of flagKeys) {
    if (except.includes(key)) continue;
    const schema = configSchema.shape[key] as { description?: string; unwrap?: () => { description?: string } };
    const description = schema.description ?? schema.unwrap?.().description ?? "";
    const standard = defaultText(key);
    const text = standard === "" ? description : `${description} (default ${standard})`;
    if (switches.has(key)) command.option(`--${key} [true|false]`, text);
    else if (repeatable.has(key)) command.option(`--${key} <${placeholders[key]}...>`, text);
    else command.option(`--${key} <${placeholders[key] ?? "VALUE"}>`, text);
  }
  return command;
}

/** The file that a command's options or the environment name. */
export function configFileOf(options: Readonly<Record<string, unknown>>): string | undefined {
  return (options["config"] as string | undefined) ?? process.env["GYRE_CONFIG"];
}

/** The configuration that a command's options give. @throws Failure listing every problem. */
export function configOf(options: Readonly<Record<string, unknown>>): Config {
  return configWithOrigins(options).config;
}

/** The same, and where each setting is from that is not a default. @throws Failure listing every problem. */
export function configWithOrigins(options: Readonly<Record<string, unknown>>): ReturnType<typeof loadWithOrigins> {
  const flags: Record<string, unknown> = {};
  for (const key of flagKeys) {
    const value = options[camel(key)];
    if (value === undefined) continue;
    flags[key] =
      repeatable.has(key) && key !== "listen" ? (value as string[]).flatMap((part) => part.split(",")) : value;
  }
  try {
    return loadWithOrigins({ file: configFileOf(options), flags, environment: process.env });
  } catch (error) {
    if (error instanceof ConfigError) throw new Failure(error.message, 2);
    throw error;
  }
}

/** The flags as a command line again, for members that a command starts. */
export function configArguments(options: Readonly<Record<string, unknown>>, except: readonly string[]): string[] {
  const list: string[] = options["config"] === undefined ? [] : ["--config", options["config"] as string];
  for (const key of flagKeys) {
    const value = options[camel(key)];
    if (value === undefined || except.includes(key)) continue;
    list.push(`--${key}`, ...(Array.isArray(value) ? value.map(String) : [value as string]));
  }
  return list;
}

function camel(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** A setting's default as it would be written; empty where it has none. */
export function defaultText(key: keyof Config): string {
  if (key === "memory") return "";
  const value = configSchema.shape[key].safeParse(undefined).data as unknown;
  if (value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) return "";
  if (key === "object-max") return "64MB";
  if (key === "disk-size") return "10GB";
  if (key === "listen") return "127.0.0.1:8080";
  if (typeof value === "number" && (key.includes("timeout") || key.includes("idle") || key.includes("limit")))
    return `${value / 1000}s`;
  return String(value as string | number | boolean);
}
