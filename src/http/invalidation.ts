/** Which cache keys an answered request makes untrustworthy. RFC 9111 §4.4. */
import { fieldValue, type FieldList } from "./fields.ts";
import { isSafe } from "./messages.ts";
import { httpUri, originText, uriText, type HttpUri } from "./uri.ts";

/**
 * The URIs to invalidate after a response: the target's own after a non-error answer to an unsafe (or unknown) method,
 * and those of Location and Content-Location where they share its origin.
 */
export function invalidatedUris(method: string, target: HttpUri, status: number, responseFields: FieldList): string[] {
  if (isSafe(method) || method === "CONNECT" || status < 200 || status >= 400) return [];
  const uris = new Set([uriText(target)]);
  for (const name of ["location", "content-location"]) {
    const value = fieldValue(responseFields, name);
    const uri = value === undefined ? null : resolved(value, target);
    if (uri !== null && originText(uri) === originText(target)) uris.add(uriText(uri));
  }
  return [...uris];
}

/** Whether the response says that its content is the representation of the request's own URI. RFC 9110 §8.7. */
export function isLocatedAtTarget(target: HttpUri, responseFields: FieldList): boolean {
  const value = fieldValue(responseFields, "content-location");
  const uri = value === undefined ? null : resolved(value, target);
  return uri !== null && uriText(uri) === uriText(target);
}

/** A URI reference against its base, or null where it is no http URI. RFC 3986 §5. */
function resolved(reference: string, base: HttpUri): HttpUri | null {
  if (!URL.canParse(reference, uriText(base))) return null;
  const url = new URL(reference, uriText(base));
  return httpUri(`${url.protocol}//${url.host}${url.pathname}${url.search}`);
}
