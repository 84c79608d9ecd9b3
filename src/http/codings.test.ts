import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  codings,
  codedFields,
  codedTag,
  codedTypes,
  codedUpdate,
  codingFor,
  isWorthCoding,
  orderNumber,
  plainFields,
  plainRequest,
  removableCoding,
  selectsCoded,
  varying,
  type Coding,
} from "./codings.ts";
import { fieldValue } from "./fields.ts";
import { variantOf } from "./vary.ts";

const all: readonly Coding[] = ["zstd", "br", "gzip"];

describe("the coding for a client", () => {
  it.each([
    ["gzip, deflate, br, zstd", "zstd"],
    ["gzip, deflate, br", "br"],
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["GZIP", "gzip"],
    ["deflate", null],
    ["", null],
    ["identity", null],
    ["*", "zstd"],
    ["gzip;q=0.5, br;q=0.4", "gzip"],
    ["gzip;q=0, *;q=0.1", "zstd"],
    ["gzip;q=0", null],
    ["zstd;q=0, br;q=0, gzip", "gzip"],
    ["identity;q=1, gzip;q=0.5", null],
    ["identity;q=0.5, gzip;q=0.5", "gzip"],
    ["gzip;q=nonsense", null],
    ["br ; q=0.9 , gzip ; Q=1", "gzip"],
  ])("that says %j is %s", (text, expected) => expect(codingFor(["accept-encoding", text], all)).toBe(expected));

  it("that says nothing is none", () => expect(codingFor([], all)).toBeNull());
});

describe("what is worth it", () => {
  const rules = { codings: all, types: codedTypes, leastBytes: 1000 };
  const worth = (status: number, type: string, bytes: number | null, ...more: string[]): boolean =>
    isWorthCoding(status, ["content-type", type, ...more], bytes, rules);

  it("is text in its forms, of some length", () => {
    for (const type of [
      "text/html; charset=utf-8",
      "TEXT/css",
      "application/json",
      "image/svg+xml",
      "application/problem+json",
    ])
      expect(worth(200, type, 5000), type).toBe(true);
    for (const type of ["image/png", "application/octet-stream", "video/mp4", "", "textual/html", "application/zip"])
      expect(worth(200, type, 5000), type).toBe(false);
    expect(worth(200, "text/html", 999)).toBe(false);
    expect(worth(200, "text/html", null)).toBe(true);
    expect(worth(404, "text/html", 5000)).toBe(true);
  });

  it("is nothing without content, in part, coded already, or not to be transformed", () => {
    for (const status of [100, 204, 205, 206, 304]) expect(worth(status, "text/html", 5000)).toBe(false);
    expect(worth(200, "text/html", 5000, "content-encoding", "br")).toBe(false);
    expect(worth(200, "text/html", 5000, "cache-control", "max-age=5, no-transform")).toBe(false);
    expect(worth(200, "text/html", 5000, "cdn-cache-control", "max-age=5", "cache-control", "No-Transform")).toBe(
      false,
    );
  });
});

describe("the fields of a coded response", () => {
  const fields = [
    "content-type",
    "text/html",
    "etag",
    '"abc"',
    "content-length",
    "5000",
    "accept-ranges",
    "bytes",
    "content-digest",
    "x",
    "vary",
    "Cookie",
  ];

  it("say the coding, that it varies, a weak tag of that coding, and nothing of bytes that are not there", () => {
    expect(codedFields(fields, "br")).toEqual([
      "content-type",
      "text/html",
      "etag",
      'W/"abc;br"',
      "vary",
      "Cookie, Accept-Encoding",
      "content-encoding",
      "br",
    ]);
    expect(codedTag('W/"abc"', "gzip")).toBe('W/"abc;gzip"');
  });

  it("name what varies once", () => {
    expect(varying(["vary", "accept-encoding, Cookie"])).toEqual(["vary", "accept-encoding, Cookie"]);
    expect(varying(["vary", "*"])).toEqual(["vary", "*"]);
    expect(varying([])).toEqual(["vary", "Accept-Encoding"]);
  });

  it("are asked about by the uncoded one's tag", () => {
    expect(plainRequest(["accept-encoding", "br", "if-none-match", 'W/"abc;br", W/"abc;gzip", "d"'], "br")).toEqual([
      "if-none-match",
      'W/"abc", W/"abc;gzip", "d"',
    ]);
  });
});

describe("the fields of a 304 for what is coded (RFC 9110 §15.4.5)", () => {
  const fields = ["etag", '"v"', "cache-control", "max-age=9"];
  const tagFor = (asked: string | null): string | undefined =>
    fieldValue(codedUpdate(fields, "gzip", asked === null ? null : ["if-none-match", asked]), "etag");

  it.each([
    [null, 'W/"v;gzip"'],
    ['W/"v;gzip"', 'W/"v;gzip"'],
    ["*", 'W/"v;gzip"'],
    ['"v"', '"v"'],
    ['"x", W/"v"', '"v"'],
    ['"v", W/"v;gzip"', 'W/"v;gzip"'],
    ["", 'W/"v;gzip"'],
  ])("that was asked about by %s names %s", (asked, expected) => expect(tagFor(asked)).toBe(expected));

  it("say that it varies", () => expect(codedUpdate(fields, "gzip", null)).toContain("Accept-Encoding"));
});

describe("a coding that is taken off", () => {
  it("is the only one, and known", () => {
    expect(removableCoding(["content-encoding", "gzip"])).toBe("gzip");
    expect(removableCoding(["content-encoding", "x-gzip"])).toBe("gzip");
    // Some send it with a wrapper and some without: it is left to clients, who know both.
    expect(removableCoding(["content-encoding", "deflate"])).toBeNull();
    expect(removableCoding(["content-encoding", "gzip, br"])).toBeNull();
    expect(removableCoding(["content-encoding", "aes128gcm"])).toBeNull();
    expect(removableCoding([])).toBeNull();
  });

  it("leaves a weak tag", () => {
    expect(plainFields(["etag", '"abc"', "content-encoding", "gzip", "content-length", "5"])).toEqual([
      "etag",
      'W/"abc"',
    ]);
  });
});

describe("a variant that is one of codings", () => {
  const accepted = fc.option(
    fc.constantFrom(
      "gzip",
      "br, gzip",
      "gzip;q=0.5, zstd",
      "x-gzip",
      "*",
      "identity",
      "br;q=0, *;q=0.1",
      "",
      "gzip, deflate, br, zstd",
    ),
  );
  const offered = fc.shuffledSubarray([...codings], { minLength: 1 });

  it("is selected by those who would be answered in it, and by nobody else", () => {
    fc.assert(
      fc.property(accepted, accepted, offered, fc.boolean(), (mine, other, order, hasMore) => {
        const asking = (text: string | null): string[] => [
          "accept-language",
          "de",
          ...(text === null ? [] : ["accept-encoding", text]),
        ];
        const names = ["accept-encoding", ...(hasMore ? ["accept-language"] : [])];
        const codingOf = (text: string | null): Coding | null => codingFor(asking(text), order);
        const own = codingOf(mine);
        const variant = variantOf(names, ["accept-language", "de", ...(own === null ? [] : ["accept-encoding", own])]);
        expect(selectsCoded(variant, asking(other), orderNumber(order))).toBe(codingOf(other) === own);
      }),
      { numRuns: 500 },
    );
  });

  it("is known by the number of the order, from 1 to 15", () => {
    const numbers = new Set<number>();
    fc.assert(
      fc.property(offered, (order) => void numbers.add(orderNumber(order))),
      { numRuns: 500 },
    );
    expect([...numbers].toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: 15 }, (_, index) => index + 1),
    );
    expect(orderNumber([])).toBe(0);
  });
});
