import { describe, expect, it } from "vitest";
import { namesKey, selectorOf, selectorText, sentSelector, writtenSelector, type Selector } from "./selector.ts";

describe("a selector", () => {
  it("is read as people write it, and nothing in it is passed over", () => {
    const read = (value: unknown): unknown => {
      const selector = selectorOf(value);
      return "wrong" in selector ? selector.wrong.slice(0, 60) : selectorText(selector);
    };
    expect(
      [
        { uri: "HTTP://Example.com:80/a?b#c" },
        { uri: "http://example.com/café" },
        { prefix: "https://example.com" },
        { host: "EXAMPLE.com:8443" },
        { host: "[::1]" },
        { tag: "front page" },
        { tag: "日本", origin: "https://example.com/" },
        { everything: true },
      ].map(read),
    ).toEqual([
      "http://example.com/a?b",
      "http://example.com/caf%C3%A9",
      "prefix https://example.com/",
      "host example.com:8443",
      "host [::1]",
      "tag front page",
      "tag 日本 of https://example.com",
      "everything",
    ]);
    expect(
      [
        null,
        [],
        {},
        { uri: "http://a/", tag: "b" },
        { kind: "everything" },
        { everything: false },
        { tag: "a", orgin: "http://a" },
        { uri: "http://a/", origin: "http://a" },
        { host: "*.a" },
        { tag: "" },
        { tag: "a\nb" },
        { tag: "x".repeat(257) },
        { uri: `http://a/${"x".repeat(17_000)}` },
        { uri: "http://me@a/" },
      ].map((value) => "wrong" in selectorOf(value)),
    ).toEqual(new Array<boolean>(14).fill(true));
  });

  it("is the same when written and read again, or sent to another member", () => {
    const selectors: Selector[] = [
      { kind: "uri", uri: "http://a/b" },
      { kind: "prefix", prefix: "http://a/" },
      { kind: "host", host: "a:81" },
      { kind: "tag", tag: "caf\xc3\xa9", origin: null },
      { kind: "tag", tag: "t", origin: "http://a" },
      { kind: "everything" },
    ];
    for (const selector of selectors) {
      expect(selectorOf(writtenSelector(selector))).toEqual(selector);
      expect(sentSelector(JSON.parse(JSON.stringify(selector)))).toEqual(selector);
    }
    expect(sentSelector({ uri: "http://a/" })).toBeNull();
  });

  it("names keys: letter by letter, whatever the scheme, of one port or of all", () => {
    const named = (selector: Selector): string[] =>
      ["http://a/b", "http://a/bc", "https://a/b/c", "http://a:81/b", "http://aa/b", "http://[::1]/b"].filter((key) =>
        namesKey(selector, key),
      );
    expect(named({ kind: "prefix", prefix: "http://a/b" })).toEqual(["http://a/b", "http://a/bc"]);
    expect(named({ kind: "host", host: "a" })).toEqual(["http://a/b", "http://a/bc", "https://a/b/c", "http://a:81/b"]);
    expect(named({ kind: "host", host: "a:80" })).toEqual(["http://a/b", "http://a/bc"]);
    expect(named({ kind: "host", host: "a:443" })).toEqual(["https://a/b/c"]);
    expect(named({ kind: "host", host: "a:81" })).toEqual(["http://a:81/b"]);
    expect(named({ kind: "host", host: "[::1]" })).toEqual(["http://[::1]/b"]);
    expect(named({ kind: "everything" })).toHaveLength(6);
  });
});
