import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkedDecoder } from "./chunked.ts";

/**
 * Decodes bytes cut at the given places; null where the coding is broken, else content, trailers and what is left over.
 */
function decode(
  text: string,
  cuts: readonly number[] = [],
): { content: string; trailers: readonly string[]; rest: string; done: boolean } | null {
  const decoder = new ChunkedDecoder();
  let content = "";
  let rest = "";
  const edges = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  for (let i = 0; i + 1 < edges.length; i++) {
    const piece = Buffer.from(text.slice(edges[i], edges[i + 1]), "latin1");
    if (decoder.done) {
      rest += piece.toString("latin1");
      continue;
    }
    const used = decoder.feed(piece, 0, (bytes) => (content += bytes.toString("latin1")));
    if (used === -1) return null;
    rest += piece.subarray(used).toString("latin1");
  }
  return { content, trailers: decoder.trailers, rest, done: decoder.done };
}

describe("ChunkedDecoder", () => {
  it("reads chunks, extensions and trailers, and leaves what follows alone (§7.1)", () => {
    expect(decode('4;name="value"\r\nWiki\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET /')).toEqual({
      content: "Wiki0123456789",
      trailers: ["x-sum", "1"],
      rest: "GET /",
      done: true,
    });
  });

  it("drops trailers that frame, route or authenticate (RFC 9110 §6.5.1)", () => {
    expect(decode("0\r\nContent-Length: 5\r\nAuthorization: x\r\nGood: y\r\n\r\n")!.trailers).toEqual(["good", "y"]);
  });

  it.each([
    ["a chunk without a size", "\r\nx"],
    ["a size that is not hexadecimal", "g\r\n"],
    ["a size with a sign", "+4\r\nWiki\r\n0\r\n\r\n"],
    ["a size with 0x", "0x4\r\nWiki\r\n0\r\n\r\n"],
    ["a blank before the size", " 4\r\nWiki\r\n0\r\n\r\n"],
    ["a blank behind the size", "4 \r\nWiki\r\n0\r\n\r\n"],
    ["a huge size", "fffffffffffffffff\r\n"],
    ["a size line ended by LF", "4\nWiki\r\n0\r\n\r\n"],
    ["an extension ended by LF", "4;a\nWiki\r\n0\r\n\r\n"],
    ["a control character in an extension", "4;a\0b\r\nWiki\r\n0\r\n\r\n"],
    ["a chunk longer than its size", "3\r\nWiki\r\n0\r\n\r\n"],
    ["a chunk ended by LF", "4\r\nWiki\n0\r\n\r\n"],
    ["a trailer line ended by LF", "0\r\nX: y\n\r\n"],
    ["a trailer without a colon", "0\r\nnonsense\r\n\r\n"],
    ["a folded trailer", "0\r\nX: y\r\n z\r\n\r\n"],
    ["endless extensions", `4;${"a".repeat(20_000)}\r\nWiki\r\n0\r\n\r\n`],
    ["endless trailers", `0\r\n${"X: y\r\n".repeat(4000)}\r\n`],
  ])("refuses %s", (_, text) => {
    expect(decode(text)).toBeNull();
  });

  it("gives small pieces together: a byte in each chunk is not an event for each byte", () => {
    const decoder = new ChunkedDecoder();
    const small = "1\r\nx\r\n".repeat(10_000);
    const large = "y".repeat(1000);
    const text = `${small}3e8\r\n${large}\r\n${small}0\r\n\r\n`;
    const pieces: string[] = [];
    decoder.feed(Buffer.from(text), 0, (content) => void pieces.push(content.toString()));
    expect(pieces.join("")).toBe("x".repeat(10_000) + large + "x".repeat(10_000));
    expect(pieces.length).toBeLessThan(10);
    expect(pieces).toContain(large);
  });

  it("keeps no more memory for them than has come: whoever waits for room counts the bytes", () => {
    const decoder = new ChunkedDecoder();
    const kept: Buffer[] = [];
    for (let feed = 0; feed < 1000; feed++)
      decoder.feed(Buffer.from("1\r\nx\r\n1\r\ny\r\n"), 0, (content) => void kept.push(content));
    expect(Buffer.concat(kept).toString()).toBe("xy".repeat(1000));
    const memories = new Set(kept.map(({ buffer }) => buffer));
    expect([...memories].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(400_000);
  });

  it("gives the same result however the bytes are split, and never throws", () => {
    const chunk = fc
      .tuple(fc.string({ unit: "binary-ascii", maxLength: 40 }), fc.constantFrom("", ";x", ";x=y"))
      .map(([data, extension]) => `${data.length.toString(16)}${extension}\r\n${data}\r\n`);
    const coded = fc
      .tuple(fc.array(chunk, { maxLength: 5 }), fc.constantFrom("0\r\n\r\n", "0\r\nA: b\r\n\r\n", "0\r\n", "zz\r\n"))
      .map(([chunks, end]) => chunks.join("") + end);
    fc.assert(
      fc.property(coded, fc.array(fc.nat(300), { maxLength: 8 }), (text, cuts) => {
        expect(
          decode(
            text,
            cuts.map((cut) => cut % (text.length + 1)),
          ),
        ).toEqual(decode(text));
      }),
      { numRuns: 1000 },
    );
    fc.assert(fc.property(fc.string({ unit: "binary-ascii", maxLength: 200 }), (noise) => void decode(noise)));
  });
});
