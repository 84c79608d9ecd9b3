/**
 * Fields by which a client asks an origin to take a request for one of another method. Where an origin obeys, a GET is
 * none, and what comes back (nothing, an error that may be stored) must not be given to those who ask for a GET.
 */
import type { FieldList } from "./fields.ts";

const overrides: ReadonlySet<string> = new Set(["x-http-method-override", "x-http-method", "x-method-override"]);

/** Whether that is what a field is for; `name` in lower case. CGI and its kin read an underscore as a hyphen. */
export function isMethodOverride(name: string): boolean {
  return name.charCodeAt(0) === 0x78 && overrides.has(name.includes("_") ? name.replaceAll("_", "-") : name);
}

/** Whether a request has such a field, but for a GET's that says GET: there are clients that send it with each. */
export function overridesMethod({ method, fields }: { readonly method: string; readonly fields: FieldList }): boolean {
  for (let at = 0; at < fields.length; at += 2)
    if (isMethodOverride(fields[at]!) && (method !== "GET" || fields[at + 1]!.toUpperCase() !== "GET")) return true;
  return false;
}
