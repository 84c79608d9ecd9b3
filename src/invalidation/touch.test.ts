import { describe, expect, it } from "vitest";
import { Correspondence } from "./correspondence.ts";
import { InvalidationLog } from "./log.ts";
import { Touch } from "./touch.ts";

const known = { epoch: 1, knows: true, ages: {} };

describe("Touch", () => {
  it("trusts alone for ever, and in company for so long after it has heard of everybody", () => {
    const touch = new Touch("a", 4);
    expect(touch.until).toBe(Infinity);
    touch.follow(1, ["a", "b", "c"], [], 100);
    expect(touch.until).toBe(-Infinity);
    touch.compared({ ...known, from: "b", asOf: 100 });
    expect(touch.until, "c has not been heard").toBe(-Infinity);
    touch.compared({ ...known, from: "c", asOf: 101 });
    expect(touch.until).toBe(104);
    expect([touch.silent(103), touch.silent(104.5), touch.silent(106)]).toEqual([[], ["b"], ["b", "c"]]);
  });

  it("hears of one through another, as old as that one's knowledge", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a", "b", "c"], [], 100);
    touch.compared({ ...known, from: "b", asOf: 100, ages: { c: 1.5, a: 0, stranger: 0 } });
    expect(touch.until).toBe(102.5);
    expect(touch.ages(101)).toEqual({ b: 1, c: 2.5 });
  });

  it("counts no word of a member whose view is newer, or does not hold this one", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a", "b"], [], 100);
    touch.compared({ ...known, from: "b", asOf: 100, epoch: 2 });
    touch.compared({ ...known, from: "b", asOf: 100, knows: false });
    expect(touch.until).toBe(-Infinity);
    touch.compared({ ...known, from: "b", asOf: 100, epoch: 0 });
    expect(touch.until).toBe(104);
  });

  it("does not wait for a process that is gone, and does not say so to others", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a", "b"], [], 100);
    touch.gone("b", 100);
    expect([touch.until, touch.ages(100)]).toEqual([104, {}]);
  });

  it("takes a process that has just begun for one that has told nothing", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a", "b"], [], 100);
    touch.compared({ ...known, from: "b", asOf: 100 });
    touch.follow(2, ["a", "b", "c"], [{ name: "c", again: false }], 103);
    expect(touch.until).toBe(104);
    touch.compared({ ...known, from: "b", asOf: 103 });
    expect(touch.until).toBe(107);
  });

  it("doubts what it has where a life ends that it had not heard of for longer than usual, once", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a", "b", "c"], [], 100);
    for (const from of ["b", "c"]) touch.compared({ ...known, from, asOf: 100 });
    expect(touch.gone("b", 101), "all that it told is known").toBe(false);
    expect([touch.gone("c", 103), touch.gone("c", 104)]).toEqual([true, false]);
    // Others under their names, whatever the view has been meanwhile.
    touch.follow(2, ["a"], [], 105);
    const both = ["b", "c"].map((name) => ({ name, again: true }));
    expect(touch.follow(3, ["a", "b", "c"], both, 200), "it has been reckoned with").toBe(false);
    for (const from of ["b", "c"]) touch.compared({ ...known, from, asOf: 200, epoch: 3 });
    touch.follow(4, ["a"], [], 300);
    expect(touch.follow(5, ["a", "b"], [{ name: "b", again: true }], 301), "it was gone without a word").toBe(true);
    expect(touch.follow(6, ["a", "b", "d"], [{ name: "d", again: false }], 302)).toBe(false);
  });

  it("is cut off without its coordinator, where that is no member", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a"], [], 100);
    touch.coordinatorKnown(100);
    expect([touch.until, touch.silent(105)]).toEqual([104, ["the coordinator"]]);
    touch.coordinatorKnown(99);
    expect(touch.until).toBe(104);
  });

  it("goes on telling who counts on it, whatever becomes of the view", () => {
    const touch = new Touch("a", 4);
    touch.follow(1, ["a", "b"], [], 100);
    touch.grant("b", 100);
    touch.follow(2, ["a", "c"], [], 101);
    expect(touch.told(103)).toEqual(["c", "b"]);
    expect(touch.told(105)).toEqual(["c"]);
  });
});

describe("Correspondence", () => {
  const fellows = ["a", "b"].map((name) => ({ name, startedMs: 1 }));
  const member = (name: string, limit = 4): Correspondence => {
    const one = new Correspondence(
      { name, startedMs: 1 },
      new InvalidationLog(`${name}@1`, 1e6),
      new Touch(name, limit),
    );
    one.follow(1, fellows, 0);
    return one;
  };
  const tell = (of: Correspondence): void =>
    void of.log.make({ selector: { kind: "everything" }, mode: "drop", cause: "purge", atMs: 0 }, 100);

  it("makes two logs alike, and counts from when it was asked", () => {
    const [a, b] = [member("a"), member("b")];
    tell(a);
    tell(b);
    const { reply, news } = b.answer("a", a.request("b", 100), 500);
    expect(news.entries).toEqual([]);
    const after = a.replied("b", reply, 100, 103);
    expect([after.entries.length, after.owed.length, after.again]).toEqual([1, 1, false]);
    expect(a.touch.until).toBe(104);
    expect([b.heard(after.owed, 500).length, b.log.covers(a.vector(103))]).toEqual([1, true]);
  });

  it("counts what is sent back with its own time, also from one that it cannot ask itself", () => {
    const [a, b] = [member("a"), member("b")];
    const first = a.answer("b", b.request("a", 500), 100);
    expect(a.touch.until).toBe(-Infinity);
    b.replied("a", first.reply, 500, 501);
    a.answer("b", b.request("a", 501), 102);
    expect(a.touch.until, "as of the time in the first answer").toBe(104);
    // Of another life it means nothing.
    const again = new Correspondence({ name: "a", startedMs: 2 }, new InvalidationLog("a@2", 1e6), new Touch("a", 4));
    again.follow(1, fellows, 0);
    again.answer("b", b.request("a", 501), 102);
    expect(again.touch.until).toBe(-Infinity);
  });

  it("does not count what says more than it has heard", () => {
    const [a, b] = [member("a"), member("b")];
    tell(b);
    const { reply } = b.answer("a", a.request("b", 100), 500);
    a.replied("b", { ...reply, entries: [], more: true }, 100, 101);
    expect(a.touch.until).toBe(-Infinity);
  });

  it("counts on nobody for longer than that one goes on telling it", () => {
    const [a, b] = [member("a", 6), member("b", 4)];
    a.replied("b", b.answer("a", a.request("b", 100), 500).reply, 100, 101);
    expect(a.touch.until).toBe(104);
  });

  it("doubts everything after an absence in which all may have been forgotten", () => {
    const [a, b] = [member("a"), member("b")];
    const compare = (at: number): boolean => a.replied("b", b.answer("a", a.request("b", at), 500).reply, at, at).doubt;
    expect(compare(100)).toBe(false);
    expect(compare(500)).toBe(false);
    expect(compare(500 + 700)).toBe(true);
  });
});
