/** What a route does beside leading to an origin, from its configuration. */
import type { RouteConfig } from "../config/schema.ts";
import type { FieldChanges } from "../http/field-changes.ts";
import type { FixedAnswer, Route } from "../proxy/request/routes.ts";

/** See above. */
export function directivesOf(route: RouteConfig): Pick<Route, "request" | "response" | "rewrite" | "fixed"> {
  return {
    request: changesOf(route, "request"),
    response: changesOf(route, "response"),
    rewrite: route.rewrite ?? null,
    fixed: fixedOf(route),
  };
}

function changesOf(route: RouteConfig, of: "request" | "response"): FieldChanges | null {
  const set = Object.entries(route["set-fields"]?.[of] ?? {}).flatMap(([name, value]) => [name.toLowerCase(), value]);
  const remove = (route["remove-fields"]?.[of] ?? []).map((name) => name.toLowerCase());
  return set.length + remove.length === 0 ? null : { set, remove: new Set(remove) };
}

function fixedOf({ redirect, respond }: RouteConfig): FixedAnswer | null {
  if (respond !== undefined) {
    const { status, text = "", type = "text/plain; charset=utf-8" } = respond;
    return { kind: "text", status, text, type };
  }
  if (redirect === undefined) return null;
  const { to, status = 308, rest = true } = typeof redirect === "string" ? { to: redirect } : redirect;
  return { kind: "redirect", status, to, rest };
}
