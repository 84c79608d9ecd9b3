/**
 * Where the head of a request ends, looked for while its bytes come. What has been looked through is not looked through
 * again: else a head of many lines that comes byte by byte costs with each of them as much as all that is there.
 */
import type { WireLimits } from "./limits.ts";
import type { Refusal } from "./request-head.ts";

/** The search for one head; `restart` begins the next. */
export class HeadSearch {
  #searched = 0;

  /** What was looked through is gone: the next bytes are others. */
  restart(): void {
    this.#searched = 0;
  }

  /**
   * Looks at what there is of a head, from its first byte on. @returns how many bytes stand before the empty line's own
   * CRLF, `more`, or why no right head can come of it.
   */
  look(bytes: Buffer, { headBytesMax, uriBytesMax }: WireLimits): number | "more" | Refusal {
    const from = this.#searched;
    const end = bytes.indexOf("\r\n\r\n", Math.max(0, from - 3));
    if (end !== -1 && end <= headBytesMax) return end;
    // Three bytes of the empty line may be among them: a head of just the largest size is right however it is split.
    if (end !== -1 || bytes.length > headBytesMax + 3) {
      const lineEnd = bytes.indexOf("\r\n");
      return lineEnd === -1 || lineEnd > uriBytesMax + 80
        ? { status: 414, reason: `the target is longer than ${uriBytesMax} bytes` }
        : { status: 431, reason: `the head is longer than ${headBytesMax} bytes` };
    }
    // A bare LF can never become a right head: no need to wait for the rest.
    for (let lf = bytes.indexOf(0x0a, from); lf !== -1; lf = bytes.indexOf(0x0a, lf + 1))
      if (bytes[lf - 1] !== 0x0d) return { status: 400, reason: "a line ended by LF alone" };
    this.#searched = bytes.length;
    return "more";
  }
}
