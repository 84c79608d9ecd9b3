import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HeadSearch } from "./head-search.ts";
import { wireLimits } from "./limits.ts";

const whole = (text: string): ReturnType<HeadSearch["look"]> => new HeadSearch().look(Buffer.from(text), wireLimits);

/** What is found when a text comes in pieces. */
function inPieces(text: string, cuts: readonly number[]): ReturnType<HeadSearch["look"]> {
  const search = new HeadSearch();
  for (const cut of [...cuts].sort((one, other) => one - other)) {
    const found = search.look(Buffer.from(text.slice(0, cut)), wireLimits);
    if (found !== "more") return found;
  }
  return search.look(Buffer.from(text), wireLimits);
}

describe("HeadSearch", () => {
  it("finds where a head ends, or says why none can", () => {
    expect(whole("GET / HTTP/1.1\r\nHost: a\r\n\r\nmore")).toBe(23);
    expect(whole("GET / HTTP/1.1\r\nHost: a\r\n\r")).toBe("more");
    expect(whole("GET / HTTP/1.1\nHost: a")).toMatchObject({ status: 400 });
    expect(whole(`GET /${"a".repeat(40_000)}`)).toMatchObject({ status: 414 });
    expect(whole(`GET / HTTP/1.1\r\n${"a: b\r\n".repeat(8000)}`)).toMatchObject({ status: 431 });
  });

  it("finds the same however the bytes are split, a bare LF too", () => {
    const piece = fc.constantFrom("\r\n", "\r", "\n", "a: b", "GET / HTTP/1.1", "x");
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
    fc.assert(
      fc.property(text, fc.array(fc.nat(60), { maxLength: 8 }), (bytes, cuts) => {
        const found = inPieces(bytes, cuts);
        // A bare LF is told of as soon as it comes; what else is wrong with a whole head is its reader's to say.
        if (typeof found === "object") expect(bytes).toMatch(/(?:^|[^\r])\n/);
        else expect(found).toBe(whole(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it("looks at each byte once, however many lines have come before it", () => {
    const search = new HeadSearch();
    const head = Buffer.from(`GET / HTTP/1.1\r\n${"a:\r\n".repeat(7000)}x: ${"y".repeat(2000)}`);
    const looks: number[] = [];
    // What is looked through is counted by where it begins: `indexOf` is asked from there.
    const counted = (bytes: Buffer): Buffer =>
      Object.assign(bytes, {
        indexOf: (what: number | string, from = 0) => {
          if (typeof what === "number") looks.push(bytes.length - from);
          return Buffer.prototype.indexOf.call(bytes, what, from);
        },
      });
    for (let length = head.length - 2000; length <= head.length; length++)
      expect(search.look(counted(head.subarray(0, length)), wireLimits)).toBe("more");
    // Once through all the lines, then from the newest byte on.
    expect(looks.length).toBeLessThan(7000 + 2 * 2001 + 10);
  });
});
