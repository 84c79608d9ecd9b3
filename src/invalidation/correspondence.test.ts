import { describe, expect, it } from "vitest";
import { Correspondence, type EarlierLife } from "./correspondence.ts";
import { tellerOf } from "./invalidation.ts";
import { InvalidationLog } from "./log.ts";
import type { Fellow } from "./said.ts";
import { Touch } from "./touch.ts";

const now = 1000;
const logOf = ({ name, startedMs }: Fellow): InvalidationLog =>
  new InvalidationLog(tellerOf(name, startedMs, "test"), 100_000);

/** A life that begins at 2, and goes on from one that began at 1 and had `fellows` beside it; null: from none. */
function life(name: string, fellows: readonly string[] | null): { readonly name: string; readonly of: Correspondence } {
  const self = { name, startedMs: 2 };
  const of = new Correspondence(self, logOf(self), new Touch(name, 4));
  if (fellows !== null) {
    const members = fellows.map((fellow) => ({ name: fellow, startedMs: 1 }));
    const before: EarlierLife = { log: logOf({ name, startedMs: 1 }).state, members, lives: [1], stoppedAt: now - 5 };
    of.goOnFrom(before, now);
  }
  return { name, of };
}

/** All compare with all, as often as news takes to get round. @returns who has found that it cannot trust its disk. */
function meet(lives: readonly ReturnType<typeof life>[]): string[] {
  const doubting = new Set<string>();
  const fellows = lives.map(({ name }) => ({ name, startedMs: 2 }));
  for (const { name, of } of lives) if (of.follow(9, fellows, now).doubt) doubting.add(name);
  for (let round = 0; round < lives.length; round++)
    for (const one of lives)
      for (const other of lives) {
        if (one === other) continue;
        const { reply, news } = other.of.answer(one.name, one.of.request(other.name, now), now);
        if (news.doubt) doubting.add(other.name);
        if (one.of.replied(other.name, reply, now, now).doubt) doubting.add(one.name);
      }
  return [...doubting].sort();
}

const trusts = ({ of }: ReturnType<typeof life>): boolean => of.touch.until > now;

describe("members that go on from what they had on disk", () => {
  it("are found again by each other, who had all beside them to the end", () => {
    const lives = ["a", "b", "c"].map((name) => life(name, ["a", "b", "c"]));
    expect(meet(lives)).toEqual([]);
    expect(lives.map(trusts)).toEqual([true, true, true]);
  });

  it("trust nothing where one of them has forgotten", () => {
    const lives = [life("a", ["a", "b", "c"]), life("b", ["a", "b", "c"]), life("c", null)];
    expect(meet(lives)).toEqual(["a", "b"]);
  });

  it("wait for those on whom others depend in turn, whom they do not know themselves", () => {
    const [a, b] = [life("a", ["a", "b"]), life("b", ["a", "b", "c"])];
    expect(meet([a, b])).toEqual([]);
    // What c told b after a had stopped, a has not heard; and b cannot know that it was all.
    expect([a, b].map(trusts)).toEqual([false, false]);
    const c = life("c", ["b", "c"]);
    expect(meet([a, b, c])).toEqual([]);
    expect([a, b, c].map(trusts)).toEqual([true, true, true]);
  });

  it("doubt where one that had been found is gone before all are, with what it may have told", () => {
    const [a, b] = [life("a", ["a", "b", "c"]), life("b", ["a", "b", "c"])];
    expect(meet([a, b])).toEqual([]);
    expect(a.of.gone("b", now + 3.9).doubt).toBe(true);
  });

  it("wait for whoever does not listen yet, and for fifteen seconds at most", () => {
    const a = life("a", ["a", "b"]);
    a.of.follow(
      9,
      [
        { name: "a", startedMs: 2 },
        { name: "b", startedMs: 1 },
      ],
      now,
    );
    expect(a.of.gone("b", now).doubt).toBe(false);
    expect(a.of.look(now + 14).doubt).toBe(false);
    expect(trusts(a)).toBe(false);
    expect(a.of.look(now + 16).doubt).toBe(true);
  });
});
