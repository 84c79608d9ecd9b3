import { describe, expect, it } from "vitest";
import { invalidationOf, type Invalidation } from "./invalidation.ts";
import { InvalidationLog } from "./log.ts";
import { namesKey } from "./selector.ts";

const everyone = (): boolean => true;
const nobody = (): boolean => false;

const none = { vector: {}, ahead: {} };

function entry(teller: string, number: number, uri = `http://h/${number}`): Invalidation {
  return { teller, number, atMs: 0, selector: { kind: "uri", uri }, mode: "drop", cause: "request" };
}

describe("InvalidationLog", () => {
  it("numbers its own, and hears each of others' once, in any order", () => {
    const log = new InvalidationLog("a@1", 1e6);
    const what = { selector: { kind: "everything" }, mode: "drop", cause: "purge", atMs: 0 } as const;
    expect([log.make(what, 0).number, log.make(what, 0).number]).toEqual([1, 2]);
    expect([3, 1, 1, 3].map((number) => log.hear(entry("b@1", number), 0))).toEqual([true, true, false, false]);
    expect(log.vector(0, everyone)).toEqual({ "a@1": 2, "b@1": 1 });
    expect(log.ahead(0, everyone)).toEqual({ "b@1": [3] });
    expect(log.hear(entry("b@1", 2), 0)).toBe(true);
    expect(log.upTo("b@1")).toBe(3);
    expect([log.covers({ "b@1": 3 }), log.covers({ "b@1": 4 }), log.covers({ "c@1": 1 })]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it("hands on what another lacks, of tellers that have died too, so many bytes at a time", () => {
    const log = new InvalidationLog("a@1", 1e6);
    for (let number = 1; number <= 10; number++) log.hear(entry("dead@1", number), 0);
    log.hear(entry("dead@1", 12), 0);
    const all = log.lacking({ vector: { "dead@1": 7 }, ahead: {} }, 0, nobody, 1e6);
    expect([all.entries.map(({ number }) => number), all.more]).toEqual([[8, 9, 10, 12], false]);
    const some = log.lacking(none, 0, nobody, 500);
    expect([some.entries.length < 10, some.more]).toEqual([true, true]);
  });

  it("is bounded; who lacks what it has forgotten is told so, and has everything in doubt once", () => {
    const log = new InvalidationLog("a@1", 3000);
    for (let number = 1; number <= 100; number++) log.hear(entry("b@1", number), 0);
    expect(log.bytes).toBeLessThanOrEqual(3000);
    const { entries, forgotten } = log.lacking({ vector: { "b@1": 5 }, ahead: {} }, 0, everyone, 1e6);
    const floor = forgotten["b@1"]!;
    expect(floor).toBeGreaterThan(80);
    expect(entries.map(({ number }) => number)).toEqual(Array.from({ length: 100 - floor }, (_, i) => floor + 1 + i));
    const other = new InvalidationLog("c@1", 1e6);
    for (let number = 1; number <= 5; number++) other.hear(entry("b@1", number), 0);
    expect([other.forget(forgotten, 0), other.forget(forgotten, 0)]).toEqual([true, false]);
    for (const one of entries) other.hear(one, 0);
    expect(other.covers(log.vector(0, everyone))).toBe(true);
    // What it never had it does not claim to have.
    expect(other.lacking(none, 0, everyone, 1e6).forgotten).toEqual({ "b@1": floor });
    expect(log.lacking({ vector: { "b@1": floor }, ahead: {} }, 0, everyone, 1e6).forgotten).toEqual({});
  });

  it("does not speak of lives that have been over for long, and forgets them", () => {
    const log = new InvalidationLog("a@1", 1e6);
    log.hear(entry("dead@1", 1), 0);
    log.hear(entry("alive@1", 1), 0);
    const isLiving = (teller: string): boolean => teller === "alive@1";
    expect(Object.keys(log.vector(1000, isLiving))).toEqual(["dead@1", "alive@1"]);
    expect(Object.keys(log.vector(2000, isLiving))).toEqual(["alive@1"]);
    expect(log.lacking(none, 2000, isLiving, 1e6).entries).toHaveLength(1);
    log.prune(4000, isLiving);
    expect([log.tellers, log.size]).toEqual([1, 1]);
  });

  it("names no longer than others take: what is too long is named by how it begins, and what cannot be read by all", () => {
    const log = new InvalidationLog("a@1", 1e6);
    const uri = `http://h/${"%41".repeat(7000)}`;
    const made = log.make({ selector: { kind: "uri", uri }, mode: "drop", cause: "request", atMs: 0 }, 0);
    const sent = invalidationOf(JSON.parse(JSON.stringify(made)))!;
    expect(sent).toEqual(made);
    expect([namesKey(sent.selector, uri), namesKey(sent.selector, "http://h/other")]).toEqual([true, false]);
    const unread = invalidationOf({ ...entry("b@1", 7), selector: { kind: "of a later version" } });
    expect(unread).toMatchObject({ teller: "b@1", number: 7, selector: { kind: "everything" }, mode: "drop" });
  });

  it("forgets a life whole, whatever gaps it has left, and goes on taking others in", () => {
    const log = new InvalidationLog("a@1", 3000);
    for (const number of [1, 3]) log.hear(entry("dead@1", number), 0);
    log.prune(4000, nobody);
    expect([log.tellers, log.size, log.bytes]).toEqual([0, 0, 0]);
    for (let number = 1; number <= 50; number++) expect(log.hear(entry("b@1", number), 4000)).toBe(true);
  });

  it("gives up a gap that a life has left behind, and not one that the living will fill", () => {
    const log = new InvalidationLog("a@1", 1e6);
    for (const number of [1, 3]) log.hear(entry("b@1", number), 0);
    expect([log.giveUpGaps(100, everyone), log.giveUpGaps(5, nobody)]).toEqual([false, false]);
    expect([log.giveUpGaps(11, nobody), log.upTo("b@1"), log.giveUpGaps(12, nobody)]).toEqual([true, 3, false]);
  });

  it("does not let what is over come round again: whoever hands it on says for how long it has been silent", () => {
    const old = new InvalidationLog("a@1", 1e6);
    old.hear(entry("dead@1", 1), 0);
    const joiner = new InvalidationLog("j@1", 1e6);
    const { entries, silences } = old.lacking(none, 1700, nobody, 1e6);
    for (const one of entries) joiner.hear(one, 1700, silences[one.teller]);
    old.prune(3700, nobody);
    expect(joiner.lacking(none, 3700, nobody, 1e6).entries).toEqual([]);
    joiner.prune(3700, nobody);
    expect([old.tellers, joiner.tellers]).toEqual([0, 0]);
  });
});
