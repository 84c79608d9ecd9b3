/**
 * `gyre config`: every setting, as a start with the same flags, variables and file would have it, and where it is from.
 */
import { concealed, concealedFields } from "../base/concealed.ts";
import { bytesText } from "../base/sizes.ts";
import { configSchema, type Config, type RouteConfig } from "../config/schema.ts";
import { configWithOrigins, defaultText } from "./config-options.ts";
import { say, sayJson, styled } from "./terminal.ts";

interface Setting {
  readonly name: string;
  /** As it was written, secrets aside; of a default, as it would be; null where there is none. */
  readonly value: unknown;
  readonly from: string;
}

/** Longer values, as of routes, do not push the others' third column away. */
const valueWidthMax = 60;

/** Prints the settings. @throws Failure listing what is wrong with them. */
export function config({ json, ...options }: Readonly<Record<string, unknown>>): void {
  const { config: effective, given } = configWithOrigins(options);
  const settings = (Object.keys(configSchema.shape) as (keyof Config)[]).map((name): Setting => {
    const found = given.get(name);
    if (found !== undefined) return { name, value: shown(found.value), from: found.from };
    if (name === "memory") return { name, value: bytesText(effective.memory), from: "a quarter of what there is" };
    if (name === "object-max" && effective[name] < configSchema.shape[name].parse(undefined))
      return { name, value: bytesText(effective[name]), from: "a quarter of memory" };
    const standard = defaultText(name);
    return { name, value: standard === "" ? null : standard, from: "default" };
  });
  if (json === true) return sayJson(settings);
  const line = (cells: readonly [name: string, value: string, from: string]): string =>
    `${cells[0].padEnd(nameWidth)}  ${cells[1].padEnd(valueWidth)}  ${cells[2]}`;
  const texts = settings.map(({ name, value, from }) => [name, textOf(value), from] as const);
  const nameWidth = Math.max(...texts.map(([name]) => name.length));
  const valueWidth = Math.max(...texts.map(([, { length }]) => (length > valueWidthMax ? 0 : length)));
  say(styled("bold", line(["setting", "value", "from"])));
  for (const text of texts) say(text[2] === "default" ? styled("dim", line(text)) : line(text));
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
