/**
 * `gyre config`: every setting, as a start with the same flags, variables and file would have it, and where it is from.
 */
import { concealed, concealedFields } from "../base/concealed.ts";
import { bytesText } from "../base/sizes.ts";
import { configSchema, type Config, type RouteConfig } from "../config/schema.ts";
import { configWithOrigins, defaultText } from "./config-options.ts";
import { say, sayJson, styled, table } from "./terminal.ts";

interface Setting {
  readonly name: string;
  /** As it was written, secrets aside; of a default, as it would be; null where there is none. */
  readonly value: unknown;
  readonly from: string;
}

/** Prints the settings. @throws Failure listing what is wrong with them. */
export function config({ json, ...options }: Readonly<Record<string, unknown>>): void {
  const { config: effective, given } = configWithOrigins(options);
  const settings = (Object.keys(configSchema.shape) as (keyof Config)[]).map((name): Setting => {
    const found = given.get(name);
    if (found !== undefined) return { name, value: shown(found.value), from: found.from };
    if (name === "memory") return { name, value: bytesText(effective.memory), from: "a quarter of what there is" };
    const standard = defaultText(name);
    return { name, value: standard === "" ? null : standard, from: "default" };
  });
  if (json === true) return sayJson(settings);
  const rows = settings.map(({ name, value, from }) => [name, textOf(value), from]);
  const [heading, ...lines] = table(["setting", "value", "from"], rows).split("\n");
  say(heading!);
  for (const [index, line] of lines.entries()) {
    const isDefault = settings[index]?.from === "default";
    say(isDefault ? styled("dim", line) : line);
  }
  return undefined;
}

/** What people paste where others read it. */
function shown(value: unknown): unknown {
  if (typeof value === "string") return concealed(value);
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]: [string, unknown]) => [
      key,
      key === "set-fields" ? shownChanges(inner as FieldSettings) : shown(inner),
    ]),
  );
}

type FieldSettings = NonNullable<RouteConfig["set-fields"]>;

function shownChanges({ request, ...others }: FieldSettings): unknown {
  return request === undefined ? others : { request: concealedFields(request), ...others };
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "-";
  return typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean);
}
