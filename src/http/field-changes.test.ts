import { describe, expect, it } from "vitest";
import { areChanged, changed, isFieldText, movedPath, wrongFieldName } from "./field-changes.ts";

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
