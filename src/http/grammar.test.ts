import { parseDictionary } from "structured-headers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dateSeconds, dateText } from "./dates.ts";
import { directivesOf, responseDirectives } from "./directives.ts";
import { fieldBlock, fieldsOfBlock, fieldValue, withField } from "./fields.ts";
import { deltaSeconds, isToken, listElements, parameter, trimmed, unquoted } from "./grammar.ts";
import { tagsOf } from "./tags.ts";
import { selectedRanges } from "./ranges.ts";
import { contentRange } from "./storable.ts";
import { authority, httpUri, isLoopbackName, keptPath, routedPath, uriText } from "./uri.ts";
import { entityTag, entityTagList } from "./validators.ts";
import { variantOf, varyNames } from "./vary.ts";

const now = Date.UTC(2026, 10, 22) / 1000;

describe("grammar (RFC 9110 §5.6)", () => {
  it.each([
    ["a, b", ["a", "b"]],
    [" , a,, b ,", ["a", "b"]],
    ['a="x, y", b', ['a="x, y"', "b"]],
    ['"a\\", b", c', ['"a\\", b"', "c"]],
    ['a, "open, b', ["a", '"open, b']],
    ["", []],
  ] as const)("splits %j into %j (RFC 9110 §5.6.1)", (text, elements) => {
    expect(listElements(text)).toEqual(elements);
  });

  it.each([
    ['"a"', "a"],
    ['"a\\"b"', 'a"b'],
    ['"a', null],
    ["a", null],
    ['"a" ', null],
    ['"\\', null],
  ] as const)("unquotes %j to %j (RFC 9110 §5.6.4)", (text, value) => {
    expect(unquoted(text)).toBe(value);
  });

  it.each([
    ["a!#$%&'*+-.^_`|~0Z", true],
    ["", false],
    ["a b", false],
    ["a/b", false],
    ['"a"', false],
    ["\xe9", false],
  ] as const)("takes %j for a token: %s (RFC 9110 §5.6.2)", (text, answer) => {
    expect(isToken(text)).toBe(answer);
  });

  it("takes parameters apart (RFC 9110 §5.6.6)", () => {
    expect(parameter('Name = "v"')).toEqual({ name: "name", value: "v", quoted: true });
    expect(parameter("flag")).toEqual({ name: "flag", value: null, quoted: false });
    expect(deltaSeconds("12")).toBe(12);
    for (const text of ["", "-1", "+1", "1.5", " 1", "1s", "0x1"]) expect(deltaSeconds(text)).toBeNull();
  });
});

describe("fields (RFC 9110 §5)", () => {
  const fields = ["x", "1", "y", "2", "x", "3", "empty", ""];
  it("of one name are one list, in the order received (RFC 9110 §5.3)", () => {
    expect(fieldValue(fields, "x")).toBe("1, 3");
    expect(fieldValue(fields, "empty")).toBe("");
    expect(fieldValue(fields, "z")).toBeUndefined();
    expect(withField(fields, "x", "4")).toEqual(["y", "2", "empty", "", "x", "4"]);
  });

  it("are the same when written as lines and read again", () => {
    expect(fieldsOfBlock(fieldBlock(fields))).toEqual(fields);
  });
});

describe("dates (RFC 9110 §5.6.7)", () => {
  const seconds = Date.UTC(1994, 10, 6, 8, 49, 37) / 1000;
  it.each([
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Sun, 06 nOV 1994 08:49:37 GMT",
  ])("reads %s", (text) => {
    expect(dateSeconds(text, now)).toBe(seconds);
  });

  it("takes two-digit years more than fifty years ahead for past ones", () => {
    expect(new Date(dateSeconds("Sunday, 06-Nov-76 08:49:37 GMT", now)! * 1000).getUTCFullYear()).toBe(2076);
    expect(new Date(dateSeconds("Sunday, 06-Nov-77 08:49:37 GMT", now)! * 1000).getUTCFullYear()).toBe(1977);
  });

  it.each([
    "0",
    "-1",
    "",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun,  06 Nov 1994 08:49:37 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Foo 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 25:49:37 GMT",
    "Xyz, 06 Nov 1994 08:49:37 GMT",
    "Sun 06 Nov 1994 08:49:37 GMT",
  ])("takes %j for no date", (text) => {
    expect(dateSeconds(text, now)).toBeNull();
  });

  it("writes what it reads", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e9 }), (time) => {
        expect(dateSeconds(dateText(time), now)).toBe(time);
      }),
    );
  });
});

describe("URIs (RFC 9110 §4.2.3)", () => {
  it.each([
    ["HTTP://Example.COM:80/%7Esmith/home", "http://example.com/%7Esmith/home"],
    ["https://h:443", "https://h/"],
    ["http://h:8080/a/./b/../c", "http://h:8080/a/./b/../c"],
    ["http://h/%e4%F6?a=%2f&b=%41", "http://h/%e4%F6?a=%2f&b=%41"],
    ["http://h/?discount=50%&c=%u2019&d=%%CB%%", "http://h/?discount=50%&c=%u2019&d=%%CB%%"],
    ["http://h/\xc3\xa4?\xe9", "http://h/%C3%A4?%E9"],
    ["http://h/x|y?[]={}", "http://h/x|y?[]={}"],
    ["http://h?q", "http://h/?q"],
    ["http://h/../..", "http://h/../.."],
    ["http://[::1]:80/", "http://[::1]/"],
    ["http://h:/", "http://h/"],
  ])("%s is %s: scheme, host and port in normal form, path and query as sent (RFC 9110 §7.7)", (text, normal) => {
    expect(uriText(httpUri(text)!)).toBe(normal);
  });

  it.each([
    "ftp://h/",
    "http:///x",
    "http://u@h/",
    "http://h:99999/",
    "http://h:0/",
    "http://h/#f",
    "http://h/\x7f",
    "http://h/a b",
    "http://h/\x00",
    "http://h/\u20ac",
    "http://[::1/",
    "http://[1.2.3.4::1.2.3.4]/",
    "http://h%2e/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://127.0.0.1./",
    "/relative",
  ])("%s is none (RFC 9110 §4.2.1, §4.2.4)", (text) => {
    expect(httpUri(text)).toBeNull();
  });

  it.each([
    ["/api/../admin?x", "/admin"],
    ["/%61pi/x", "/api/x"],
    ["/a%2fb/./c", "/a%2Fb/c"],
    ["/plain", "/plain"],
  ])("%s is routed as %s", (path, routed) => {
    expect(routedPath(path)).toBe(routed);
  });

  it.each([
    "localhost",
    "a.localhost",
    "127.0.0.1",
    "127.8.9.1",
    "169.254.1.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1]",
    "[::ffff:127.0.0.1]",
    "localhost.",
    "[0:0:0:0:0:ffff:7f00:1]",
  ])("%s means this machine, whichever that is (RFC 6761 §6.3)", (host) => expect(isLoopbackName(host)).toBe(true));
  it.each(["example.com", "128.0.0.1", "[::2]", "[2001:db8::1]", "localhost.example"])("%s does not", (host) =>
    expect(isLoopbackName(host)).toBe(false),
  );

  it("is the same when made normal twice", () => {
    fc.assert(
      fc.property(
        fc.webUrl({ withQueryParameters: true }),
        fc.array(fc.constantFrom("%7e", "%2F", "/./", "/../", "//", "."), { maxLength: 4 }),
        (url, extra) => {
          const once = httpUri(`${url.split("#")[0]!}/${extra.join("")}`);
          if (once !== null) expect(once.path.endsWith(extra.join(""))).toBe(true);
          if (once !== null) expect(uriText(httpUri(uriText(once))!)).toBe(uriText(once));
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("entity tags (RFC 9110 §8.8.3)", () => {
  it.each([
    ['"a"', { weak: false, opaque: '"a"' }],
    ['W/"a"', { weak: true, opaque: '"a"' }],
    ['w/"a"', null],
    ["a", null],
    ['"a b"', null],
    ['""', { weak: false, opaque: '""' }],
  ] as const)("%s", (text, tag) => {
    expect(entityTag(text)).toEqual(tag);
  });

  it("lists may hold commas inside tags", () => {
    expect(entityTagList('"a,b", W/"c"')).toEqual([
      { weak: false, opaque: '"a,b"' },
      { weak: true, opaque: '"c"' },
    ]);
    expect(entityTagList("*")).toBe("*");
  });
});

describe("no parser throws or loops, whatever it is given", () => {
  const noise = fc.oneof(
    fc.string({ unit: "binary-ascii", maxLength: 120 }),
    fc
      .array(
        fc.constantFrom(
          '"',
          "\\",
          ",",
          ";",
          "=",
          " ",
          "\t",
          "a",
          "W/",
          "*",
          "bytes=",
          "-",
          "1",
          "max-age",
          "GMT",
          "%",
          "/",
          ".",
          ":",
          "[",
          "]",
        ),
        { maxLength: 40 },
      )
      .map((parts) => parts.join("")),
  );
  const parsers: Readonly<Record<string, (text: string) => unknown>> = {
    listElements,
    trimmed,
    unquoted,
    parameter,
    deltaSeconds,
    directivesOf,
    keptPath,
    routedPath,
    httpUri,
    entityTag,
    entityTagList,
    date: (text) => dateSeconds(text, now),
    authority: (text) => authority(text, "http"),
    ranges: (text) => selectedRanges(text, 100),
    contentRange: (text) => contentRange(["content-range", text]),
    vary: (text) => varyNames(["vary", text]),
    variant: (text) =>
      variantOf(
        ["accept-encoding", "accept-language", "x"],
        ["accept-encoding", text, "accept-language", text, "x", text],
      ),
    targeted: (text) => responseDirectives(["cdn-cache-control", text, "cache-control", text]),
    groups: (text) => tagsOf(["cache-groups", text]),
  };
  it.each(Object.keys(parsers))("%s", (name) => {
    fc.assert(
      fc.property(noise, (text) => void parsers[name]!(text)),
      { numRuns: 1000 },
    );
  });

  it("and targeted fields mean what the structured-field parser says", () => {
    expect(parseDictionary("max-age=5").get("max-age")![0]).toBe(5);
  });
});
