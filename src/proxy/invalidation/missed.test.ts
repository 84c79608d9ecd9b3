import { describe, expect, it } from "vitest";
import { Missed } from "./missed.ts";
import { UnderWay } from "./under-way.ts";

describe("Missed", () => {
  it("keeps URIs and groups for each member until they are taken, each name once", () => {
    const missed = new Missed();
    missed.add("m2", { uris: ["u1", "u2"], groups: ["o\ng"] });
    missed.add("m2", { uris: ["u2"], groups: [] });
    expect(missed.take("m2")).toEqual({ uris: ["u1", "u2"], groups: ["o\ng"] });
    expect(missed.take("m2")).toBeNull();
  });

  it("counts bytes: what is too much to remember is everything", () => {
    const missed = new Missed();
    const long = "u".repeat(15_000);
    for (let index = 0; index < 100; index++) missed.add("m2", { uris: [`${long}${index}`], groups: [] });
    expect(missed.take("m2")).toBe("all");
  });

  it("forgets members that have left the view", () => {
    const missed = new Missed();
    missed.add("m2", { uris: ["u"], groups: [] });
    missed.keepOnly(new Map([["m1", null]]));
    expect(missed.take("m2")).toBeNull();
  });
});

describe("UnderWay", () => {
  it("marks all that is for a URI but what has made the invalidation", () => {
    const underWay = new UnderWay();
    const marked: string[] = [];
    const [a, b, c] = ["a", "b", "c"].map((name) => ({ suspect: () => void marked.push(name) })) as [
      { suspect: () => void },
      { suspect: () => void },
      { suspect: () => void },
    ];
    underWay.add("u", a);
    underWay.add("u", b);
    underWay.add("v", c);
    underWay.suspect("u", b);
    expect(marked).toEqual(["a"]);
    underWay.remove("u", a);
    underWay.suspectAll();
    expect(marked).toEqual(["a", "b", "c"]);
  });
});
