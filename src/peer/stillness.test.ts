import { describe, expect, it } from "vitest";
import { Stillness } from "./stillness.ts";

describe("Stillness", () => {
  it("asks for a sign of life at half the time, and gives up at the whole", () => {
    const other = new Stillness();
    expect(other.look(1000)).toBe("nothing");
    other.owes(1000, 0);
    expect([1010, 1026, 1040, 1052, 1060].map((now) => other.look(now))).toEqual([
      "nothing",
      "ping",
      "nothing",
      "still",
      "nothing",
    ]);
    expect(other.isStill).toBe(true);
    other.heard(2000, false);
    expect([other.isStill, other.look(5000)]).toEqual([false, "nothing"]);
  });

  it("takes nobody for still who gives any sign, however long an answer takes", () => {
    const other = new Stillness();
    other.owes(0, 0);
    for (let now = 0; now < 5000; now += 10) {
      expect(other.look(now)).not.toBe("still");
      if (now % 30 === 0) other.heard(now, true);
    }
  });

  it("learns how long a sign takes: a far or busy member gets more time, but not for ever", () => {
    const other = new Stillness();
    let now = 0;
    for (let time = 0; time < 60; time++) {
      other.owes(now, 0);
      while (other.look(now) !== "ping") now += 5;
      now += 40;
      other.heard(now, false);
    }
    expect(other.limitMs).toBeGreaterThan(150);
    for (let time = 0; time < 200; time++) {
      other.owes(now, 0);
      while (other.look(now) !== "ping") now += 5;
      now += 4000;
      other.heard(now, false);
    }
    expect(other.limitMs).toBe(500);
  });
});
