/**
 * The chunked coding, read strictly and by any split of the bytes. RFC 9112 §7.1. Extensions are bounded and dropped;
 * trailers are kept apart from the head. A size that is not plain hexadecimal, or a line end that is not CRLF, ends it
 * all. Of an origin, blanks behind a size are borne with: servers that pad it are old and many, and nobody can be led
 * to another end of the content by them; so is, in trailers, what is borne with in heads (response-head.ts).
 */
import type { FieldList } from "../http/fields.ts";
import { trimmed } from "../http/grammar.ts";
import { lowerName, validValue } from "./field-line.ts";

/** Together, the extensions and trailers of one content may have this many bytes. */
export const overheadBytesMax: number = 16 * 1024;

type State =
  | "size"
  | "padding"
  | "extension"
  | "size-lf"
  | "data"
  | "data-cr"
  | "data-lf"
  | "trailer"
  | "done"
  | "failed";

/** Fields that must not come in trailers, since they frame, route or authenticate. RFC 9110 §6.5.1. */
const forbiddenTrailers: ReadonlySet<string> = new Set([
  "transfer-encoding",
  "content-length",
  "host",
  "connection",
  "trailer",
  "te",
  "upgrade",
  "content-encoding",
  "content-type",
  "content-range",
  "authorization",
  "cache-control",
  "set-cookie",
  "cookie",
  "expect",
  "range",
  "max-forwards",
  "keep-alive",
  "proxy-connection",
  "via",
  "age",
  "vary",
]);

/** Decodes one content. */
export class ChunkedDecoder {
  readonly #manner: "strict" | "lenient";
  #state: State = "size";
  #left = 0;
  #digits = 0;
  #sized = false;
  #overhead = 0;
  #line = "";
  #trailers: string[] = [];
  /** The name of the last one. */
  #trailer = "";

  /** What was wrong, once a feed has returned -1. */
  failure = "";

  constructor(manner: "strict" | "lenient" = "strict") {
    this.#manner = manner;
  }

  get done(): boolean {
    return this.#state === "done";
  }

  get trailers(): FieldList {
    return this.#trailers;
  }

  /**
   * Takes bytes from `offset`; content goes to `take` as views of `bytes`, small pieces of it together.
   * @returns the offset after the last byte used (the end, or behind the final CRLF), or -1 where the coding is broken.
   */
  feed(bytes: Buffer, offset: number, take: (content: Buffer) => void): number {
    const pieces = new Pieces(bytes, take);
    const used = this.#decode(bytes, offset, pieces);
    pieces.leave();
    return used;
  }

  #decode(bytes: Buffer, offset: number, pieces: Pieces): number {
    let at = offset;
    while (at < bytes.length) {
      const code = bytes[at]!;
      switch (this.#state) {
        case "size": {
          const digit = hexDigit(code);
          if (digit >= 0) {
            // Leading zeros mean nothing, but must end.
            if (this.#left > 0 || digit > 0) this.#digits++;
            else if (++this.#overhead > overheadBytesMax) return this.#fail("a chunk size padded without end");
            if (this.#digits > 13) return this.#fail("a chunk size above 2^52");
            this.#sized = true;
            this.#left = this.#left * 16 + digit;
          } else if (!this.#sized) return this.#fail("a chunk without a size");
          else if (code === 0x0d) this.#state = "size-lf";
          else if (code === 0x3b) this.#state = "extension";
          else if (this.#manner === "lenient" && (code === 0x20 || code === 0x09)) this.#state = "padding";
          else return this.#fail("a chunk size that is not hexadecimal");
          at++;
          break;
        }
        case "extension":
          if (code === 0x0d) this.#state = "size-lf";
          else if (code !== 0x09 && (code < 0x20 || code === 0x7f))
            return this.#fail("a control character in a chunk extension");
          else if (++this.#overhead > overheadBytesMax) return this.#fail("chunk extensions without end");
          at++;
          break;
        case "padding":
          if (code === 0x0d) this.#state = "size-lf";
          else if (code === 0x3b) this.#state = "extension";
          else if (code !== 0x20 && code !== 0x09) return this.#fail("a chunk size that is not hexadecimal");
          else if (++this.#overhead > overheadBytesMax) return this.#fail("a chunk size padded without end");
          at++;
          break;
        case "size-lf":
          if (code !== 0x0a) return this.#fail("a chunk size line not ended by CRLF");
          this.#digits = 0;
          this.#sized = false;
          this.#state = this.#left === 0 ? "trailer" : "data";
          at++;
          break;
        case "data": {
          const end = Math.min(bytes.length, at + this.#left);
          pieces.add(at, end);
          this.#left -= end - at;
          at = end;
          if (this.#left === 0) this.#state = "data-cr";
          break;
        }
        case "data-cr":
          if (code !== 0x0d) return this.#fail("a chunk longer than its size");
          this.#state = "data-lf";
          at++;
          break;
        case "data-lf":
          if (code !== 0x0a) return this.#fail("a chunk not ended by CRLF");
          this.#state = "size";
          at++;
          break;
        case "trailer":
          if (++this.#overhead > overheadBytesMax) return this.#fail("trailers without end");
          this.#line += String.fromCharCode(code);
          at++;
          if (code === 0x0a && !this.#endLine()) return -1;
          break;
        case "done":
          return at;
        case "failed":
          return -1;
      }
      if (this.done) return at;
    }
    return at;
  }

  #endLine(): boolean {
    const line = this.#line;
    this.#line = "";
    if (!line.endsWith("\r\n")) return this.#fail("a trailer line not ended by CRLF") !== -1;
    if (line === "\r\n") {
      this.#state = "done";
      return true;
    }
    const isBlankFirst = line.startsWith(" ") || line.startsWith("\t");
    const isBorne = this.#manner === "lenient";
    const isFolded = isBorne && isBlankFirst && this.#trailer !== "";
    const colon = isFolded ? -1 : line.indexOf(":");
    const said = line.slice(0, Math.max(0, colon));
    const plain = isFolded ? this.#trailer : lowerName(said);
    const name = plain ?? (isBorne && !isBlankFirst ? lowerName(trimmed(said)) : null);
    if (name === null || !validValue(line, colon + 1, line.length - 2)) return this.#fail("a malformed trailer") !== -1;
    this.#trailer = name;
    if (forbiddenTrailers.has(name)) return true;
    const value = trimmed(line.slice(colon + 1, -2));
    if (isFolded) this.#trailers.push(trimmed(`${this.#trailers.pop()} ${value}`));
    else this.#trailers.push(name, value);
    return true;
  }

  #fail(reason: string): -1 {
    this.#state = "failed";
    this.failure = reason;
    return -1;
  }
}

/** Pieces of content that are smaller leave together, up to so many bytes. */
const smallBytes = 512;
const togetherBytes = 4096;

/**
 * The content in one feed. What leaves by itself is an event, a write and a chunk for everybody behind: whoever sends a
 * byte in each chunk (or, of an origin, a line) would cost a hundred times what the bytes are worth.
 */
class Pieces {
  readonly #bytes: Buffer;
  readonly #take: (content: Buffer) => void;
  /** A small one that lies where it came; `to` is 0 where there is none. */
  #from = 0;
  #to = 0;
  /** It and those behind it. */
  #together: Buffer | null = null;
  #filled = 0;

  constructor(bytes: Buffer, take: (content: Buffer) => void) {
    this.#bytes = bytes;
    this.#take = take;
  }

  add(from: number, to: number): void {
    const bytes = this.#bytes;
    if (to - from >= smallBytes) {
      this.leave();
      return this.#take(bytes.subarray(from, to));
    }
    if (this.#filled + to - from > togetherBytes) this.leave();
    if (this.#to === 0) {
      [this.#from, this.#to] = [from, to];
      return undefined;
    }
    if (this.#together === null) {
      // Not more than there can be: a reader that is behind holds it for a few bytes, which are all that is counted.
      this.#together = Buffer.allocUnsafe(Math.min(togetherBytes, bytes.length - this.#from));
      this.#filled = bytes.copy(this.#together, 0, this.#from, this.#to);
    }
    // One by one, since a call of `copy` costs more than most of these.
    for (let at = from; at < to; at++) this.#together[this.#filled++] = bytes[at]!;
    return undefined;
  }

  /** Gives what there is. */
  leave(): void {
    if (this.#to === 0) return;
    const content = this.#together?.subarray(0, this.#filled) ?? this.#bytes.subarray(this.#from, this.#to);
    this.#together = null;
    [this.#filled, this.#to] = [0, 0];
    this.#take(content);
  }
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
