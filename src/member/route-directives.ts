/** What a route does beside leading to an origin, from its configuration. */
import type { Config, RouteConfig } from "../config/schema.ts";
import { codedTypes, type Coding, type CompressionRules } from "../http/codings.ts";
import type { FieldChanges } from "../http/field-changes.ts";
import { hasCoding } from "../proxy/fetch/coder.ts";
import type { FixedAnswer, Route } from "../proxy/request/routes.ts";

/** See above. */
export function directivesOf(
  route: RouteConfig,
  config: Config,
): Pick<Route, "request" | "response" | "rewrite" | "fixed" | "compression"> {
  return {
    request: changesOf(route, "request"),
    response: changesOf(route, "response"),
    rewrite: route.rewrite ?? null,
    fixed: fixedOf(route),
    compression: compressionOf(route, config),
  };
}

function changesOf(route: RouteConfig, of: "request" | "response"): FieldChanges | null {
  const set = Object.entries(route["set-fields"]?.[of] ?? {}).flatMap(([name, value]) => [name.toLowerCase(), value]);
  const remove = (route["remove-fields"]?.[of] ?? []).map((name) => name.toLowerCase());
  return set.length + remove.length === 0 ? null : { set, remove: new Set(remove) };
}

/** Codings that this Node does not have are left out (routing.ts tells the operator). */
function compressionOf(route: RouteConfig, config: Config): CompressionRules | null {
  const codings = (route.compress ?? config.compress ?? []).filter((coding) => hasCoding(coding));
  if (codings.length === 0) return null;
  return {
    codings: [...new Set(codings)],
    types: route["compress-types"] ?? config["compress-types"] ?? codedTypes,
    leastBytes: route["compress-least"] ?? config["compress-least"] ?? leastBytes,
  };
}

const leastBytes = 1024;

function fixedOf({ redirect, respond }: RouteConfig): FixedAnswer | null {
  if (respond !== undefined) {
    const { status, text = "", type = "text/plain; charset=utf-8" } = respond;
    return { kind: "text", status, text, type };
  }
  if (redirect === undefined) return null;
  const { to, status = 308, rest = true } = typeof redirect === "string" ? { to: redirect } : redirect;
  return { kind: "redirect", status, to, rest };
}

/** Codings that are configured and that this Node does not have. */
export function missingCodings(config: Config): readonly Coding[] {
  const all = [config, ...(config.routes ?? [])].flatMap(({ compress }) => compress ?? []);
  return [...new Set(all)].filter((coding) => !hasCoding(coding));
}
