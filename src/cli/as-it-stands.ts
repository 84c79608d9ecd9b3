/** What other servers would take for a pattern or a variable, and here stands for itself: `gyre check` says so. */
import type { ConfigProblem } from "../config/problem.ts";
import type { Config, RouteConfig } from "../config/schema.ts";

/** `$host`, `${host}`, `$1`, `%{host}`. */
const variable = /\$(?:\{|\d|[a-z]\w+)|%\{\w/i;
/** Wildcards, and the ends of regular expressions. */
const pattern = /\*|\$$|\(\?|\\/;

/** Warnings for such values of routes. */
export function asItStands(config: Config, where: string): readonly ConfigProblem[] {
  return (config.routes ?? [])
    .flatMap((route, index) => ofRoute(route).map((what) => `routes.${index}.${what}`))
    .map((what) => ({ where, what: `warning: ${what}` }));
}

function ofRoute({ path, redirect, rewrite, "set-fields": fields }: RouteConfig): string[] {
  const found: string[] = [];
  if (path !== undefined && pattern.test(path))
    found.push(`path: a path is a prefix, and no pattern: only what begins with ${path} as it stands is asked here`);
  const values: Record<string, string | undefined> = {
    redirect: typeof redirect === "object" ? redirect.to : redirect,
    rewrite,
  };
  for (const kind of ["request", "response"] as const)
    for (const [name, value] of Object.entries(fields?.[kind] ?? {})) values[`set-fields.${kind}.${name}`] = value;
  for (const [name, value] of Object.entries(values))
    if (value !== undefined && variable.test(value))
      // Not shown: it may be part of a secret.
      found.push(`${name}: there are no variables: what looks like one is sent as it stands`);
  return found;
}
