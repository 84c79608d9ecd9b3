import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isNotModified, notModifiedHead } from "../../http/conditional.ts";
import { fieldBlock } from "../../http/fields.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import { notModifiedFor } from "./not-modified.ts";

const date = "Tue, 24 Nov 2026 08:00:00 GMT";
const later = "Wed, 25 Nov 2026 08:00:00 GMT";
const dateSeconds = Date.parse(date) / 1000;
const now = dateSeconds + 100;

describe("the head of a 304", () => {
  it("is what the stored fields and the request's conditions say, whatever lay at the same place before (RFC 9110 §13.1.2, §13.1.3, §15.4.5)", () => {
    const tag = fc.constantFrom('"a"', 'W/"a"', '"b"', '"a,b"', "a", '"a", "b"', "*");
    const stored = fc.record({
      etag: fc.option(tag, { nil: null }),
      modified: fc.option(fc.constantFrom(date, later, "no date"), { nil: null }),
      more: fc.constantFrom([], ["vary", "accept"], ["x-a", "1", "cache-control", "max-age=60"]),
    });
    const asked = fc.record({
      match: fc.option(tag, { nil: null }),
      since: fc.option(fc.constantFrom(date, later, "no date"), { nil: null }),
    });
    const memory = Buffer.alloc(4096);
    let modified = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(stored, asked), { maxLength: 8 }), (rounds) => {
        for (const [{ etag, modified: last, more }, { match, since }] of rounds) {
          const fields = [...(etag === null ? [] : ["etag", etag]), ...more];
          if (last !== null) fields.push("last-modified", last);
          const bytes = memory.write(fieldBlock(fields), 64, "latin1");
          const asks = match === null ? [] : ["if-none-match", match];
          if (since !== null) asks.push("if-modified-since", since);
          const found = notModifiedFor(
            asks,
            { status: 200, memory, fieldsAt: 64, lengthAt: 64 + bytes, dateSeconds },
            now,
          );
          if (!isNotModified(asks, { fields, dateSeconds }, now)) expect(found).toBeNull();
          else {
            modified++;
            expect(found!.http1.toString("latin1")).toBe(
              AnswerHead.of(304, notModifiedHead(fields), null).http1.toString("latin1"),
            );
          }
        }
      }),
    );
    expect(modified).toBeGreaterThan(10);
  });

  it("is for a 200 alone (RFC 9111 §4.3.2)", () => {
    const memory = Buffer.from(fieldBlock(["etag", '"a"']), "latin1");
    const stored = { memory, fieldsAt: 0, lengthAt: memory.length, dateSeconds };
    const asks = ["if-none-match", '"a"'];
    expect(notModifiedFor(asks, { ...stored, status: 404 }, now)).toBeNull();
    expect(notModifiedFor(asks, { ...stored, status: 200 }, now)?.status).toBe(304);
  });

  it("is not made of what is too long to be remembered, and has been another since", () => {
    const memory = Buffer.alloc(8192);
    for (const text of ['"a"', '"b"']) {
      const lengthAt = memory.write(fieldBlock(["etag", text, "x-long", "x".repeat(4000)]), 0, "latin1");
      const stored = { status: 200, memory, fieldsAt: 0, lengthAt, dateSeconds };
      expect(notModifiedFor(["if-none-match", text], stored, now)?.fields).toEqual(["etag", text]);
      expect(notModifiedFor(["if-none-match", '"c"'], stored, now)).toBeNull();
    }
  });
});
