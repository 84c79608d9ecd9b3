/**
 * Which requests somebody wants to see: terms that must all hold, written as in `outcome=miss status>=500`.
 *
 *   name=value    equal, letters of either case alike; `*` stands for any text
 *   name!=value   not
 *   name~text     contains it
 *   name!~text    does not
 *   name>=number  and > < <=
 */
import type { SeenRequest } from "./seen-request.ts";

/** Names that terms may use, and what they look at. */
const looks: Readonly<Record<string, (request: SeenRequest) => string | number | null>> = {
  member: ({ member }) => member,
  client: ({ client }) => client,
  method: ({ method }) => method,
  uri: ({ uri }) => uri,
  status: ({ status }) => status,
  outcome: ({ outcome }) => outcome,
  reason: ({ reason }) => reason,
  owner: ({ owner }) => owner,
  route: ({ route }) => route,
  origin: ({ origin }) => origin,
  "request-id": ({ requestId }) => requestId,
  bytes: ({ bytes }) => bytes,
  ms: ({ durationMs }) => durationMs,
  "user-agent": ({ userAgent }) => userAgent,
  referer: ({ referer }) => referer,
};
/** Characters and terms of a filter. */
const charactersMax = 1000;
const termsMax = 20;

/** The names that a filter may use. */
export const filterNames: readonly string[] = Object.keys(looks);

export type RequestFilter = (request: SeenRequest) => boolean;

/** The filter that a text describes, or what is wrong with it. An empty one lets everything through. */
export function requestFilter(text: string): RequestFilter | { readonly wrong: string } {
  if (text.length > charactersMax) return { wrong: `a filter has ${charactersMax} characters at most` };
  const terms: RequestFilter[] = [];
  for (const word of text.split(/\s+/).filter((one) => one !== "")) {
    const parts = /^([a-z-]+)(!=|!~|>=|<=|=|~|>|<)(.*)$/s.exec(word);
    if (parts === null) return { wrong: `"${word}" is no term: write name=value, as in outcome=miss or status>=500` };
    const [, name = "", sign = "", value = ""] = parts;
    const look = Object.hasOwn(looks, name) ? looks[name] : undefined;
    if (look === undefined) return { wrong: `"${name}" is not known: ${filterNames.join(", ")} are` };
    if (/[<>]/.test(sign) && (value === "" || Number.isNaN(Number(value))))
      return { wrong: `"${word}" compares with something that is no number` };
    terms.push(term(look, sign, value));
  }
  if (terms.length > termsMax) return { wrong: `a filter has ${termsMax} terms at most` };
  return (request) => terms.every((holds) => holds(request));
}

function term(look: (request: SeenRequest) => string | number | null, sign: string, value: string): RequestFilter {
  const wanted = value.toLowerCase();
  const textOf = (request: SeenRequest): string => String(look(request) ?? "").toLowerCase();
  const limit = Number(value);
  const numberOf = (request: SeenRequest): number => Number(look(request) ?? Number.NaN);
  switch (sign) {
    case "=":
      return (request) => matches(wanted, textOf(request));
    case "!=":
      return (request) => !matches(wanted, textOf(request));
    case "~":
      return (request) => textOf(request).includes(wanted);
    case "!~":
      return (request) => !textOf(request).includes(wanted);
    case ">=":
      return (request) => numberOf(request) >= limit;
    case "<=":
      return (request) => numberOf(request) <= limit;
    case ">":
      return (request) => numberOf(request) > limit;
    default:
      return (request) => numberOf(request) < limit;
  }
}

/** Whether a text is what a pattern with stars says; in time that grows with the text alone, star by star. */
export function matches(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === text;
  const [first = "", ...rest] = parts;
  const last = rest.pop()!;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
