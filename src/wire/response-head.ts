/**
 * Bytes to a response head, by the letter of RFC 9112, as strict as for requests but for what the RFC requires a
 * recipient to bear with: another minor version, white space before the colon of a field (removed, §5.1), folded lines
 * (replaced by spaces, §5.2), equal lengths said twice (RFC 9110 §8.6).
 */
import { betweenCommas, listElements, trimmed } from "../http/grammar.ts";
import { hasNoContent } from "../http/messages.ts";
import { fieldLines, hasField, withField } from "../http/fields.ts";
import { lowerName, validValue } from "./field-line.ts";

/** How a response's content ends. RFC 9112 §6.3. */
export type ResponseFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** By the orderly end of the connection. */
  | { readonly kind: "end" };

export interface ResponseHead {
  readonly status: number;
  /** Names in lower case, each line by itself. */
  readonly fields: readonly string[];
  readonly minor: number;
  readonly framing: ResponseFraming;
  /** Whether the connection can be used again once the content has ended. */
  readonly keepAlive: boolean;
}

/** A response that no recipient may make sense of, with what is wrong with it. */
export interface BadResponse {
  readonly bad: string;
}

/**
 * Registered codings. A word that names none cannot have been applied: it says nothing, and is left out like every
 * hop-by-hop field.
 */
const codingsThatChangeContent: ReadonlySet<string> = new Set([
  "gzip",
  "x-gzip",
  "deflate",
  "compress",
  "x-compress",
  "br",
  "zstd",
  "dcb",
  "dcz",
  "exi",
  "pack200-gzip",
  "aes128gcm",
]);

/**
 * The head in `text`: latin1 characters from the status line up to and including the CRLF that ends the last field
 * line. `method` is that of the request that it answers.
 */
export function responseHead(text: string, method: string, fieldsMax: number): ResponseHead | BadResponse {
  const lineEnd = text.indexOf("\r\n");
  const line = /^HTTP\/1\.(\d) (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(text.slice(0, lineEnd));
  if (line === null) return { bad: "a status line that is none" };
  const minor = line[1] === "0" ? 0 : 1;
  const status = Number(line[2]);
  if (status < 100) return { bad: `the status ${line[2]}` };
  const fields: string[] = [];
  let at = lineEnd + 2;
  while (at < text.length) {
    const end = text.indexOf("\r\n", at);
    const first = text.charCodeAt(at);
    if (first === 0x20 || first === 0x09) {
      if (fields.length === 0) return { bad: "white space before the first field" };
      const more = trimmed(text, at, end);
      if (!validValue(more, 0, more.length)) return { bad: "a control character in a field" };
      const value = fields[fields.length - 1]!;
      fields[fields.length - 1] = value === "" ? more : `${value} ${more}`;
    } else {
      const colon = text.indexOf(":", at);
      if (colon === -1 || colon > end) return { bad: "a field line without a colon" };
      const name = lowerName(text.slice(at, colon)) ?? lowerName(trimmed(text, at, colon));
      if (name === null) return { bad: "a field name that is none" };
      const value = trimmed(text, colon + 1, end);
      if (!validValue(value, 0, value.length)) return { bad: `a control character in the field ${name}` };
      fields.push(name, value);
      if (fields.length > fieldsMax * 2) return { bad: `more than ${fieldsMax} field lines` };
    }
    at = end + 2;
  }
  const framing = framingOf(fields, status, method);
  if ("bad" in framing) return framing;
  // One length, said once and plainly, whatever it was said as.
  const plain = framing.kind === "length" || fields.includes("content-length") ? withLength(fields) : fields;
  const options = elementsOf(fields, "connection");
  const keepAlive =
    framing.kind !== "end" && !options.includes("close") && (minor === 1 || options.includes("keep-alive"));
  // §6.1: whoever sends a transfer coding in HTTP/1.0 has its framing from elsewhere.
  const trusted = minor === 1 || !hasField(fields, "transfer-encoding");
  return { status, fields: plain, minor, framing, keepAlive: keepAlive && trusted };
}

const none: readonly string[] = [];

/** The elements of a field's lines, in lower case. */
function elementsOf(fields: readonly string[], name: string): readonly string[] {
  return hasField(fields, name) ? listElements(fieldLines(fields, name).join(",").toLowerCase()) : none;
}

function withLength(fields: readonly string[]): readonly string[] {
  const lines = fieldLines(fields, "content-length");
  const [first] = lines;
  if (first === undefined) return fields;
  const length = String(Number(trimmed(first.split(",", 1)[0]!)));
  return lines.length === 1 && first === length ? fields : withField(fields, "content-length", length);
}

function lengthsIn(lines: readonly string[]): readonly string[] {
  // Nearly always one, and plain.
  if (lines.length === 0) return lines;
  if (lines.length === 1 && !lines[0]!.includes(",")) return [trimmed(lines[0]!)];
  return lines.flatMap((line) => betweenCommas(line));
}

function framingOf(fields: readonly string[], status: number, method: string): ResponseFraming | BadResponse {
  const codings = elementsOf(fields, "transfer-encoding");
  const lengths = lengthsIn(fieldLines(fields, "content-length"));
  if (codings.some((coding) => codingsThatChangeContent.has(coding.split(";", 1)[0]!)))
    return { bad: `content in a transfer coding that is not understood (${codings.join(", ")})` };
  if (hasField(fields, "transfer-encoding") && lengths.length > 0)
    return { bad: "both Content-Length and Transfer-Encoding" };
  const [length] = lengths;
  if (length !== undefined && (!/^\d{1,15}$/.test(length) || lengths.some((other) => other !== length)))
    return { bad: "a Content-Length that is not one plain number" };
  if (hasNoContent(method, status) || (method === "CONNECT" && status < 300)) return { kind: "none" };
  const last = codings.at(-1);
  if (last === "chunked") {
    if (codings.indexOf("chunked") !== codings.length - 1) return { bad: "content that is chunked twice" };
    return { kind: "chunked" };
  }
  if (codings.includes("chunked")) return { bad: "a transfer coding after chunked" };
  // RFC 9112 §7: who says something like "chunked" means that. Other names that nobody has are borne: content ends with
  // its connection then.
  if (hasField(fields, "transfer-encoding") && (codings.length === 0 || codings.some((one) => one.includes("chunked"))))
    return { bad: `content in a transfer coding that is not understood (${codings.join(", ")})` };
  if (length === undefined) return { kind: "end" };
  return { kind: "length", bytes: Number(length) };
}
