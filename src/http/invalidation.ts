/** Which cache keys an answered request makes untrustworthy. RFC 9111 §4.4. */
import { fieldValue, type FieldList } from "./fields.ts";
import { isSafe } from "./messages.ts";
import { httpUri, originText, uriText, type HttpUri } from "./uri.ts";

/** WebDAV's, whose Destination says what else they write. RFC 4918 §9.8, §9.9, §10.3. */
const writeElsewhere: ReadonlySet<string> = new Set(["COPY", "MOVE"]);

/**
 * The URIs to invalidate after a response: the target's own after a non-error answer to an unsafe (or unknown) method,
 * and those of Location, Content-Location and a request's Destination where they share its origin.
 */
export function invalidatedUris(
  { method, fields: requestFields }: { readonly method: string; readonly fields: FieldList },
  target: HttpUri,
  status: number,
  responseFields: FieldList,
): string[] {
  if (isSafe(method) || method === "CONNECT" || status < 200 || status >= 400) return [];
  const uris = new Set([uriText(target)]);
  const others = [fieldValue(responseFields, "location"), fieldValue(responseFields, "content-location")];
  if (writeElsewhere.has(method)) others.push(fieldValue(requestFields, "destination"));
  for (const value of others) {
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
