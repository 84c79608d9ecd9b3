/** The heads of a request and of a response, as every layer sees them. */
import type { FieldList } from "./fields.ts";

/** A request's head after the strict parse: nothing in it is ambiguous any more. */
export interface RequestHead {
  /** Case-sensitive. RFC 9110 §9.1. */
  readonly method: string;
  /** The request target as received, in the form named. RFC 9112 §3.2. */
  readonly target: string;
  readonly form: "origin" | "absolute" | "authority" | "asterisk";
  /** The minor HTTP version: 0 for HTTP/1.0, 1 for HTTP/1.1. */
  readonly minor: 0 | 1;
  readonly fields: FieldList;
}

/** A final or interim response's head. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: FieldList;
}

/** QUERY: RFC 10008. The last three are WebDAV's (RFC 4918, 3253, 5323), by the IANA's registry of methods. */
const safeMethods: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "QUERY",
  "PROPFIND",
  "REPORT",
  "SEARCH",
]);

/** Methods defined as safe. RFC 9110 §9.2.1. */
export function isSafe(method: string): boolean {
  return safeMethods.has(method);
}

/** Methods that may be repeated after a lost answer. RFC 9110 §9.2.2. */
export function isIdempotent(method: string): boolean {
  return isSafe(method) || method === "PUT" || method === "DELETE";
}

/** Whether a response to this request with this status has no content, whatever its fields say. RFC 9112 §6.3. */
export function hasNoContent(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304 || status < 200;
}

/**
 * Whether a redirect is followed by a request of the same method: a 303 is by a GET, and after a POST so are 301 and
 * 302. RFC 9110 §15.4.
 */
export function keepsMethod(method: string, status: number): boolean {
  if (status < 300 || status > 399) return false;
  if (status === 303) return method === "GET" || method === "HEAD";
  return method !== "POST" || status > 302;
}

const phrases: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "Switching Protocols",
  102: "Processing",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  208: "Already Reported",
  226: "IM Used",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  305: "Use Proxy",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  506: "Variant Also Negotiates",
  507: "Insufficient Storage",
  508: "Loop Detected",
  510: "Not Extended",
  511: "Network Authentication Required",
};

/** The reason phrase, by the IANA's registry; only the number means anything. RFC 9110 §15. */
export function reasonPhrase(status: number): string {
  return phrases[status] ?? "";
}

/** Statuses of other specifications, or of none any more, whose own rules nobody has looked at here. */
const unexamined: ReadonlySet<number> = new Set([102, 207, 208, 226, 305, 402, 423, 424, 451, 506, 507, 510, 511]);

/** Whether a status's own requirements are met here. RFC 9111 §5.2.2.3. */
export function isUnderstood(status: number): boolean {
  return reasonPhrase(status) !== "" && !unexamined.has(status);
}
