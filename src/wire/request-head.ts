/**
 * Bytes to a request head, in one pass, by the letter of RFC 9112. What is ambiguous is refused with a status and a
 * reason, never repaired: a head that two readers could read differently is how requests are smuggled.
 */
import { authority } from "../http/uri.ts";
import { listElements, trimmed } from "../http/grammar.ts";
import type { RequestHead } from "../http/messages.ts";
import { isMethodOverride } from "../http/method-override.ts";
import { lowerName, validValue } from "./field-line.ts";
import type { WireLimits } from "./limits.ts";

/** How many content bytes follow the head: a count, or chunks. RFC 9112 §6.3. */
export const chunked = -1;

export interface ParsedHead extends RequestHead {
  /** Content-Length, 0 where there is no content, or `chunked`. */
  readonly contentBytes: number;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  /** No field can change the answer but those that Vary may name: what the fast way of a hit asks first. */
  readonly plain: boolean;
  /** The same but for conditions that a 304 may answer, or a HEAD: what is stored, or its head alone, is the answer. */
  readonly conditional: boolean;
  /** The Host field, or the authority of an absolute target; "" in HTTP/1.0 without either. */
  readonly host: string;
}

/** A request that is answered with an error and a closed connection. */
export interface Refusal {
  readonly status: 400 | 405 | 408 | 413 | 414 | 417 | 431 | 501 | 503 | 505;
  readonly reason: string;
}

/** Whether the parse ended in a refusal. */
export function isRefusal(result: ParsedHead | Refusal): result is Refusal {
  return "reason" in result;
}

/** Fields whose presence takes a request off the fast way. */
const decisive: ReadonlySet<string> = new Set([
  "authorization",
  "cache-control",
  "cdn-loop",
  "content-length",
  "expect",
  "if-match",
  "if-range",
  "if-unmodified-since",
  "pragma",
  "range",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "proxy-connection",
  "max-forwards",
]);

/**
 * The head in `text`: latin1 characters from the request line up to and including the CRLF that ends the last field
 * line (the empty line left out).
 */
export function requestHead(text: string, limits: WireLimits): ParsedHead | Refusal {
  const lineEnd = text.indexOf("\r\n");
  const methodEnd = text.indexOf(" ");
  if (methodEnd <= 0 || methodEnd > lineEnd) return refuse(400, "the request line is not METHOD TARGET VERSION");
  const method = text.startsWith("GET ") ? "GET" : text.slice(0, methodEnd);
  if (method !== "GET" && (method.length > 64 || lowerName(method) === null))
    return refuse(400, "the method is not a token");
  const targetEnd = text.indexOf(" ", methodEnd + 1);
  if (targetEnd === -1 || targetEnd > lineEnd) return refuse(400, "the request line is not METHOD TARGET VERSION");
  if (targetEnd - methodEnd - 1 > limits.uriBytesMax)
    return refuse(414, `the target is longer than ${limits.uriBytesMax} bytes`);
  const minor = versionMinor(text, targetEnd + 1, lineEnd);
  if (typeof minor !== "number") return minor;
  const sent = text.slice(methodEnd + 1, targetEnd);
  const isPlain = targetCharacters.test(sent);
  const target = isPlain ? sent : escapedTarget(sent);
  const form = isPlain || targetCharacters.test(target) ? targetForm(method, target) : null;
  if (form === null) return refuse(400, "the request target has no form that HTTP knows");

  const fields: string[] = [];
  let host: string | null = null;
  let length: string | null = null;
  let coding: string | null = null;
  let connection: string | null = null;
  let expectsContinue = false;
  let simple = method === "GET" || method === "HEAD";
  let conditions = method === "HEAD";
  let at = lineEnd + 2;
  while (at < text.length) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", at);
    // obs-fold and white space before the colon both fail the token test here. RFC 9112 §5.1, §5.2.
    if (colon === -1 || colon > end) return refuse(400, "a field line has no colon");
    const name = lowerName(text.slice(at, colon));
    if (name === null) return refuse(400, "a field name is not a token");
    const value = trimmed(text, colon + 1, end);
    // In the text itself: what is cut out of it is read by a detour.
    if (!validValue(text, colon + 1, end))
      return refuse(400, `the field ${name} holds a character that no field may hold`);
    fields.push(name, value);
    if (fields.length > limits.fieldsMax * 2) return refuse(431, `more than ${limits.fieldsMax} field lines`);
    switch (name) {
      case "host":
        if (host !== null) return refuse(400, "more than one Host");
        host = value;
        break;
      case "content-length":
        if (length !== null) return refuse(400, "more than one Content-Length");
        length = value;
        simple = false;
        break;
      case "transfer-encoding":
        coding = coding === null ? value : `${coding}, ${value}`;
        simple = false;
        break;
      case "connection":
        connection = connection === null ? value : `${connection}, ${value}`;
        break;
      case "expect":
        if (value.toLowerCase() !== "100-continue") return refuse(417, "only 100-continue can be expected");
        expectsContinue = minor === 1;
        simple = false;
        break;
      case "if-none-match":
      case "if-modified-since":
        conditions = true;
        break;
      default:
        if (simple && (decisive.has(name) || isMethodOverride(name))) simple = false;
    }
    at = end + 2;
  }

  const contentBytes = framing(minor, length, coding, limits);
  if (typeof contentBytes !== "number") return contentBytes;
  // RFC 9110 §9.3.6: content of a CONNECT has no meaning, and would be taken for the tunnel's first bytes.
  if (contentBytes !== 0 && method === "CONNECT") return refuse(400, "CONNECT with content");
  const place = hostOf(form, target, host, minor);
  if (typeof place !== "string") return place;
  const options = connection === null ? [] : listElements(connection.toLowerCase());
  if (options.length > 0 && simple) simple = options.every((option) => option === "keep-alive" || option === "close");
  const keepAlive = !options.includes("close") && (minor === 1 || options.includes("keep-alive"));
  const plain = simple && !conditions;
  const conditional = simple && conditions;
  return {
    method,
    target,
    form,
    minor,
    fields,
    contentBytes,
    keepAlive,
    expectsContinue,
    plain,
    conditional,
    host: place,
  };
}

function versionMinor(text: string, start: number, end: number): 0 | 1 | Refusal {
  if (end - start !== 8 || !text.startsWith("HTTP/", start))
    return refuse(400, "the request line is not METHOD TARGET VERSION");
  if (text.startsWith("1.1", start + 5)) return 1;
  const version = text.slice(start + 5, end);
  if (version === "1.0") return 0;
  return /^\d\.\d$/.test(version)
    ? refuse(505, `HTTP/${version} is not spoken here`)
    : refuse(400, "the version is not HTTP/digit.digit");
}

const targetCharacters = /^[\x21\x22\x24-\x7e]+$/;

/**
 * Bytes above 127, which browsers escape and other clients send as they are, escaped before anything else sees them.
 * RFC 3986 §2.1.
 */
function escapedTarget(target: string): string {
  return target.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** RFC 9112 §3.2: which of the four forms a target has; a fragment, a blank or a control character is in none. */
function targetForm(method: string, target: string): RequestHead["form"] | null {
  if (method === "CONNECT") return authority(target, "https") !== null && /:\d+$/.test(target) ? "authority" : null;
  if (target.charCodeAt(0) === 0x2f) return "origin";
  if (target === "*") return method === "OPTIONS" ? "asterisk" : null;
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?]/i.test(target) ? "absolute" : null;
}

/** RFC 9112 §6.3: the one meaning of the framing fields, or a refusal where two readers could differ. */
function framing(minor: 0 | 1, length: string | null, coding: string | null, limits: WireLimits): number | Refusal {
  if (coding !== null) {
    // §6.1: a server may refuse both together, and must not trust a coding from HTTP/1.0.
    if (length !== null) return refuse(400, "both Content-Length and Transfer-Encoding");
    if (minor === 0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
    const codings = listElements(coding.toLowerCase());
    if (codings.length === 1 && codings[0] === "chunked" && coding.length === 7) return chunked;
    if (codings.at(-1) !== "chunked" || codings.indexOf("chunked") !== codings.length - 1) {
      return refuse(400, "Transfer-Encoding does not end in one chunked");
    }
    return refuse(501, "only the chunked transfer coding is understood");
  }
  if (length === null) return 0;
  if (!/^\d{1,15}$/.test(length)) return refuse(400, "Content-Length is not one plain number");
  const bytes = Number(length);
  if (limits.bodyBytesMax > 0 && bytes > limits.bodyBytesMax)
    return refuse(413, `content above ${limits.bodyBytesMax} bytes`);
  return bytes;
}

/** RFC 9112 §3.2: exactly one Host in HTTP/1.1; beside an absolute target it is ignored and replaced (§3.2.2). */
function hostOf(form: RequestHead["form"], target: string, host: string | null, minor: 0 | 1): string | Refusal {
  if (host === null && minor === 1) return refuse(400, "no Host");
  if (host !== null && host !== "" && authority(host, "http") === null) return refuse(400, "Host is not host[:port]");
  if (form === "authority") return target.toLowerCase();
  if (form !== "absolute")
    return host === "" && form === "origin" && minor === 1 ? refuse(400, "Host is empty") : (host ?? "");
  const start = target.indexOf("//") + 2;
  const rest = target.slice(start);
  const end = rest.search(/[/?]/);
  const place = end === -1 ? rest : rest.slice(0, end);
  const secure = target.slice(0, 6).toLowerCase() === "https:";
  if (authority(place, secure ? "https" : "http") === null)
    return refuse(400, "the target's authority is not host[:port]");
  return place;
}

function refuse(status: Refusal["status"], reason: string): Refusal {
  return { status, reason };
}
