import { describe, expect, it } from "vitest";
import { beyondTags, invalidatedGroups, tagsOf } from "./tags.ts";

describe("Cache-Groups", () => {
  it("is a list of strings, and Cache-Group-Invalidation counts after unsafe requests alone (RFC 9875 §3)", () => {
    expect(tagsOf(["cache-groups", '"a", "b";x=1, token'])).toEqual(["a", "b"]);
    expect(tagsOf(["cache-groups", '"a'])).toEqual([]);
    expect(invalidatedGroups("POST", 200, ["cache-group-invalidation", '"a"'])).toEqual(["a"]);
    expect(invalidatedGroups("GET", 200, ["cache-group-invalidation", '"a"'])).toEqual([]);
    expect(invalidatedGroups("POST", 404, ["cache-group-invalidation", '"a"'])).toEqual([]);
  });

  it("keeps at least 32 of 32 characters, and not without end (RFC 9875 §2)", () => {
    const named = (count: number): string[] =>
      Array.from({ length: count }, (_, index) => `${index}`.padStart(32, "g"));
    const groups = (names: readonly string[]) => tagsOf(["cache-groups", names.map((name) => `"${name}"`).join(", ")]);
    expect(groups(named(32))).toEqual(named(32));
    expect(groups(named(5000)).length).toBeLessThan(1000);
    expect(groups(named(5000)).at(-1), "whatever is beyond the bounds").toBe(beyondTags);
    expect(groups(["g".repeat(1000)])).toEqual([beyondTags]);
  });
});

describe("tags", () => {
  it("are the same names in all fields, each field with its own separators", () => {
    const fields = ["cache-tag", "news, front page", "surrogate-key", "news  p-1", "xkey", "a,b", "xkey", "c d"];
    expect(tagsOf(fields)).toEqual(["news", "front page", "p-1", "a", "b", "c", "d"]);
  });

  it("are read in time that grows with the field, whatever blanks it has", () => {
    const long = `x${" ".repeat(100_000)}x`;
    for (const name of ["cache-tag", "surrogate-key", "xkey", "cache-groups"]) {
      const begunMs = performance.now();
      tagsOf([name, long]);
      expect(performance.now() - begunMs, name).toBeLessThan(1000);
    }
  });

  it("are read from the fields that a route names", () => {
    expect(tagsOf(["cache-tag", "a", "surrogate-key", "b"], ["surrogate-key"])).toEqual(["b"]);
    expect(tagsOf(["cache-tag", "a"], [])).toEqual([]);
  });
});
