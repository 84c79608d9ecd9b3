import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  areChanged,
  changed,
  isFieldText,
  movedPath,
  ownPlacesAsPaths,
  turnedBack,
  wrongFieldName,
} from "./field-changes.ts";

describe("changes of fields", () => {
  const changes = {
    remove: new Set(["server"]),
    set: ["x-frame-options", "DENY", "strict-transport-security", "max-age=1"],
  };

  it("take the place of what is there, once, and leave the rest as it is", () => {
    const fields = ["server", "a", "x-frame-options", "ALLOW", "x-frame-options", "AGAIN", "etag", '"1"'];
    expect(changed(fields, changes, "https")).toEqual([
      "etag",
      '"1"',
      "x-frame-options",
      "DENY",
      "strict-transport-security",
      "max-age=1",
    ]);
    expect(changed(fields, null, "http")).toBe(fields);
  });

  it("leave HSTS out of what is not secure", () => {
    expect(changed([], changes, "http")).toEqual(["x-frame-options", "DENY"]);
  });

  it("know what they are about", () => {
    expect(areChanged(["server"], changes)).toBe(true);
    expect(areChanged(["x-frame-options", "cookie"], changes)).toBe(true);
    expect(areChanged(["cookie"], changes)).toBe(false);
    expect(areChanged(["cookie"], null)).toBe(false);
  });

  it.each(["Content-Length", "transfer-encoding", "host", "ETag", "no name", "", "a:b", "über"])(
    "may not be about %s",
    (name) => expect(wrongFieldName(name)).not.toBeNull(),
  );
  it.each(["Server", "x-anything", "cache-control", "set-cookie", "vary"])("may be about %s", (name) =>
    expect(wrongFieldName(name)).toBeNull(),
  );
  it.each(["a\r\nb", "a\nb", " a", "a ", "", "a\0b", "é"])("may not say %j", (text) =>
    expect(isFieldText(text)).toBe(false),
  );
});

describe("a path that is moved", () => {
  it.each([
    ["/api/x?y=1", "/api", "/v2", "/v2/x?y=1"],
    ["/api", "/api", "/v2", "/v2"],
    ["/api?y", "/api", "/v2", "/v2?y"],
    ["/api/", "/api", "/", "/"],
    ["/api", "/api", "/", "/"],
    ["/api/x/", "/api", "/", "/x/"],
    ["/x?/y", "/", "/v2", "/v2/x?/y"],
    ["/", "/", "/v2", "/v2/"],
    ["/api/x", "/api/", "/v2/", "/v2/x"],
    ["/api/x", "/api/", "/v2", "/v2/x"],
    ["/api/%2F?a", "/api", "/b", "/b/%2F?a"],
    ["/app/", "/app/", "/", "/"],
    ["/app/?q=1", "/app/", "/", "/?q=1"],
    ["/app/", "/app/", "/v/", "/v/"],
    ["/app/", "/app/", "/v", "/v/"],
    ["/", "/", "/", "/"],
    ["/?q", "/", "/v/", "/v/?q"],
  ])("%s under %s to %s is %s", (path, from, to, expected) =>
    expect(movedPath(path, path.split("?")[0]!, from, to)).toBe(expected),
  );

  it("is read as the router reads it where it is spelled in another way", () => {
    expect(movedPath("/%61pi/x?q", "/api/x", "/api", "/v2")).toBe("/v2/x?q");
    expect(movedPath("/z/../api/x", "/api/x", "/api", "/v2")).toBe("/v2/x");
    expect(movedPath("/api/../api/x", "/api/x", "/api", "/v2")).toBe("/v2/x");
    expect(movedPath("/api/%2e%2E/api/x?q", "/api/x", "/api", "/v2")).toBe("/v2/x?q");
    expect(movedPath("/apis/../api/z", "/api/z", "/api", "/v2")).toBe("/v2/z");
    expect(movedPath("/api/a%2F..b", "/api/a%2F..b", "/api", "/v2")).toBe("/v2/a%2F..b");
  });
});

describe("a place in an answer to a path that was moved (RFC 9110 §8.7, §10.2.2)", () => {
  const places = { client: "example.com", origin: ["10.0.0.1:3000", "app"] };
  const back = (text: string, from: string, to: string): string =>
    turnedBack(["location", text], { from, to }, places)[1]!;

  it.each([
    ["/v2/x?y=1#z", "/api", "/v2", "/api/x?y=1#z"],
    ["/v2", "/api", "/v2", "/api"],
    ["/login", "/api", "/", "/api/login"],
    ["/", "/api", "/", "/api/"],
    ["/v2/x", "/", "/v2", "/x"],
    ["/a/b/x", "/a", "/a/b", "/a/x"],
    ["http://example.com/v2/x", "/api", "/v2", "http://example.com/api/x"],
    ["https://EXAMPLE.com:443/v2/x", "/api", "/v2", "https://EXAMPLE.com:443/api/x"],
    ["http://10.0.0.1:3000/v2/x", "/api", "/v2", "/api/x"],
    ["HTTP://App", "/api", "/", "/api/"],
    ["/v/", "/app/", "/v/", "/app/"],
    ["/", "/app/", "/", "/app/"],
    ["/x", "/app/", "/", "/app/x"],
  ])("%s under %s, moved to %s, is %s to clients", (text, from, to, expected) =>
    expect(back(text, from, to)).toBe(expected),
  );

  it.each([
    ["/v22/x", "/api", "/v2"],
    ["/v2/../x", "/api", "/v2"],
    ["/v2/%2e%2e/x", "/api", "/v2"],
    ["x", "/api", "/v2"],
    ["?x", "/api", "/"],
    ["//elsewhere.test/v2/x", "/api", "/v2"],
    ["/\\elsewhere.test", "/api", "/v2"],
    ["https://elsewhere.test/v2/x", "/api", "/v2"],
    ["https://example.com@elsewhere.test/v2/x", "/api", "/v2"],
    ["http://example.com:8080/v2/x", "/api", "/v2"],
    ["mailto:a@example.com", "/api", "/"],
    ["/v2//elsewhere.test/", "/", "/v2"],
    ["/v2/\\elsewhere.test", "/", "/v2"],
    ["http://10.0.0.1:3000/v2//elsewhere.test/", "/", "/v2"],
    ["http://10.0.0.1:3000/v2/\t/elsewhere.test/", "/", "/v2"],
    ["", "/api", "/"],
    // An origin may know the path that it is known by.
    ["/api/login", "/api", "/"],
  ])("%s under %s, moved to %s, is left as it is", (text, from, to) => expect(back(text, from, to)).toBe(text));

  it("is what the path that clients ask for leads to, for any of these", () => {
    const segment = fc.constantFrom("a", "b", "api", "v2", "x%2F", "~");
    const path = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
    const beginning = fc.array(segment, { minLength: 1, maxLength: 2 }).map((parts) => `/${parts.join("/")}`);
    fc.assert(
      fc.property(path, beginning, beginning, (rest, from, to) => {
        const asked = rest === "/" ? from : `${from}${rest}`;
        const moved = movedPath(asked, asked, from, to);
        const isKnown = (moved === from || moved.startsWith(`${from}/`)) && from.length >= to.length;
        expect(back(moved, from, to)).toBe(isKnown ? moved : asked);
      }),
    );
  });

  it("is no other field's", () => {
    const fields = ["link", "</v2/x>", "content-location", "/v2/x"];
    expect(turnedBack(fields, { from: "/api", to: "/v2" }, places)).toEqual([
      "link",
      "</v2/x>",
      "content-location",
      "/api/x",
    ]);
  });
});

describe("a place in an answer where no path is moved (RFC 9110 §8.7, §10.2.2)", () => {
  const places = { client: "example.com", origin: ["app.internal", "10.0.0.1:3000"] };
  const seen = (text: string, scheme: "http" | "https" = "https", name = "location"): string =>
    ownPlacesAsPaths([name, text], scheme, places, null)[1]!;

  it.each([
    ["https://app.internal/login?next=%2F#top", "/login?next=%2F#top"],
    ["HTTPS://App.Internal:443", "/"],
    ["https://app.internal?x", "/?x"],
    ["https://10.0.0.1:3000/x", "/x"],
  ])("of the origin's own, %s, is %s to clients", (text, expected) => {
    expect(seen(text)).toBe(expected);
    expect(seen(text, "https", "content-location")).toBe(expected);
    expect(seen(text, "https", "x-location")).toBe(text);
  });

  it.each([
    "/login",
    "login",
    "//app.internal/x",
    "https://example.com/x",
    "https://elsewhere.test/x",
    "https://app.internal.elsewhere.test/x",
    "https://app.internal:8443/x",
    "https://app.internal@elsewhere.test/x",
    "https://app.internal\\@elsewhere.test/x",
    "https://app.internal//elsewhere.test/x",
    "https://app.internal/\\elsewhere.test/x",
    // Browsers leave tabs out.
    "https://app.internal/\t/elsewhere.test/x",
    "https://app.internal/\t\t\\elsewhere.test/x",
    "http://app.internal/x",
    "ftp://app.internal/x",
  ])("that leads elsewhere, %s, is left as it is", (text) => expect(seen(text)).toBe(text));

  it("is left in a redirect to what was asked for: clients would go in a circle", () => {
    const redirect = (text: string, asked: string, name = "location"): string =>
      ownPlacesAsPaths([name, text], "https", places, asked)[1]!;
    expect(redirect("https://app.internal/a?b#c", "/a?b")).toBe("https://app.internal/a?b#c");
    expect(redirect("https://app.internal", "/")).toBe("https://app.internal");
    expect(redirect("https://app.internal/a?b", "/a")).toBe("/a?b");
    expect(redirect("https://app.internal/a", "/a", "content-location")).toBe("/a");
  });
});
