import { describe, expect, it } from "vitest";
import type { RingMember } from "./ring.ts";
import { newcomers, whatIf } from "./what-if.ts";

const three: RingMember[] = newcomers([], 3);
const names = (text: string): unknown => {
  const result = whatIf(three, text);
  return "wrong" in result ? result.wrong : result.members.map(({ name, weight }) => `${name}:${weight}`).join(" ");
};

describe("whatIf", () => {
  it.each([
    ["+2", "m1:1 m2:1 m3:1 m4:1 m5:1"],
    ["-m3", "m1:1 m2:1"],
    ["m1*2", "m1:2 m2:1 m3:1"],
    ["m1*0.5 -m2,+1", "m1:0.5 m3:1 m4:1"],
    ["-m1 +1", "m2:1 m3:1 m4:1"],
  ])("%s", (text, expected) => {
    expect(names(text)).toBe(expected);
  });

  it.each([
    ["", "nothing to change"],
    ["two", "is no change"],
    ["-m9", "no member named m9; there are m1, m2, m3"],
    ["m9*2", "no member named m9"],
    ["m1*0", "a weight is above 0"],
    ["m1*65", "at most 64"],
    ["-m1 -m2 -m3", "nobody would be left"],
  ])("%j says what is wrong", (text, sentence) => {
    expect(names(text)).toContain(sentence);
  });
});
