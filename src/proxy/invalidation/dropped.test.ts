import { describe, expect, it } from "vitest";
import { Dropped } from "./dropped.ts";

describe("Dropped", () => {
  it("suspects what was asked for before an invalidation, and a moment after it", () => {
    const dropped = new Dropped();
    dropped.add("k", 1000);
    expect(dropped.suspects(["k"], 990)).toBe(true);
    expect(dropped.suspects(["k"], 1001)).toBe(true);
    expect(dropped.suspects(["k"], 1003)).toBe(false);
    expect(dropped.since(["k"], 999)).toBe(true);
    expect(dropped.since(["k"], 1001)).toBe(false);
    expect(dropped.suspects(["other"], 990)).toBe(false);
    expect(dropped.suspects(["other", "k"], 990)).toBe(true);
  });

  it("holds a key for as long as previous owners are asked", () => {
    const dropped = new Dropped();
    dropped.add("k", 1000);
    expect(dropped.lately(["k"], 1001)).toBe(true);
    expect(dropped.lately(["k"], 1599)).toBe(true);
    expect(dropped.lately(["k"], 1601)).toBe(false);
  });

  it("counts what it has forgotten for want of room as everything", () => {
    const dropped = new Dropped();
    for (let i = 0; i < 20_001; i++) dropped.add(`k${i}`, 1000 + i / 1000);
    expect(dropped.suspects(["never seen"], 1001)).toBe(true);
    expect(dropped.suspects(["never seen"], 1003)).toBe(false);
    expect(dropped.lately(["never seen"], 1100)).toBe(true);
  });

  it("forgets what is old without a trace", () => {
    const dropped = new Dropped();
    dropped.add("old", 1000);
    dropped.add("new", 1700);
    expect(dropped.suspects(["never seen"], 1001)).toBe(false);
    expect(dropped.suspects(["new"], 1699)).toBe(true);
  });

  it("suspects everything when nobody knows what was missed", () => {
    const dropped = new Dropped();
    dropped.addAll(1000);
    expect(dropped.lately(["k"], 1100)).toBe(true);
    expect(dropped.lately(["k"], 1601)).toBe(false);
  });
});
