/**
 * What a connection of HTTP/2 sends beside requests and their content: a little for pings, settings and windows is
 * right, and much of it is an attack (CVE-2019-9512, -9515, -9518 and their kin). Bytes cannot be told apart by kind
 * where the library says nothing of a frame, so they are held against what has been asked for and given meanwhile.
 * Pure: times come in, in ms, monotonic.
 */

const windowMs = 10_000;
/** Of each kind in a window; browsers send one in many seconds, gRPC one for each round trip of a large transfer. */
const pingsMax = 500;
const settingsMax = 50;
/** Bytes in a window that need no reason, for each request, and for each byte of content sent or received. */
const bytesFree = 64 * 1024;
const bytesForRequest = 40 * 1024;
const partOfContent = 1 / 16;

/** One connection's. */
export class Overhead {
  #sinceMs: number;
  #read = 0;
  #written = 0;
  #requests = 0;
  #unread = 0;
  #content = 0;
  #pings = 0;
  #settings = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  asked(): void {
    this.#requests++;
  }

  /** Content has come in. */
  content(bytes: number): void {
    this.#content += bytes;
  }

  /** So much content may come that is not heard of. */
  unread(bytes: number): void {
    this.#unread += bytes;
  }

  /** @returns whether that is too much. */
  counted(what: "ping" | "settings"): boolean {
    return what === "ping" ? ++this.#pings > pingsMax : ++this.#settings > settingsMax;
  }

  /** Whether what has come in since the window began has no reason; then a new one begins. */
  isTooMuch(nowMs: number, bytesRead: number, bytesWritten: number): boolean {
    const overhead = bytesRead - this.#read - this.#content;
    const given = this.#content + bytesWritten - this.#written;
    const isTooMuch = overhead > bytesFree + this.#requests * bytesForRequest + this.#unread + given * partOfContent;
    if (nowMs - this.#sinceMs < windowMs && !isTooMuch) return false;
    this.#sinceMs = nowMs;
    this.#read = bytesRead;
    this.#written = bytesWritten;
    this.#requests = 0;
    this.#unread = 0;
    this.#content = 0;
    this.#pings = 0;
    this.#settings = 0;
    return isTooMuch;
  }
}
