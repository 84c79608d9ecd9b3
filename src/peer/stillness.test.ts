import { describe, expect, it } from "vitest";
import { Stillness } from "./stillness.ts";

const lookMs = 20;
/** Looks every 20 ms from `from` on, until something is to be done, or `count` looks have passed. */
function look(other: Stillness, from: number, count: number): { readonly what: string; readonly at: number } {
  for (let turn = 0; turn < count; turn++) {
    const what = other.look(from + turn * lookMs);
    if (what !== "nothing") return { what, at: from + turn * lookMs };
  }
  return { what: "nothing", at: from + count * lookMs };
}

describe("Stillness", () => {
  it("asks for a sign of life at half the time, and gives up at the whole", () => {
    const other = new Stillness(lookMs);
    other.look(1000);
    other.begins();
    const ping = look(other, 1020, 10);
    expect(ping).toEqual({ what: "ping", at: 1060 });
    expect(look(other, 1080, 10)).toEqual({ what: "still", at: 1120 });
    expect([other.isStill, look(other, 1140, 10).what]).toEqual([true, "nothing"]);
    other.heard();
    expect(other.isStill).toBe(false);
  });

  it("waits at least as long as it is told, also beyond what it would learn", () => {
    const other = new Stillness(lookMs, 1000);
    other.look(0);
    other.begins();
    expect(look(other, lookMs, 100)).toEqual({ what: "ping", at: 500 });
    expect(look(other, 520, 100)).toEqual({ what: "still", at: 1000 });
  });

  it("takes nobody for still who gives any sign, however long an answer takes", () => {
    const other = new Stillness(lookMs);
    for (let now = 0; now < 5000; now += lookMs) {
      expect(other.look(now)).not.toBe("still");
      if (now % 60 === 0) other.heard();
    }
  });

  it("does not count the time in which this process was held up itself", () => {
    const other = new Stillness(lookMs);
    other.look(0);
    other.begins();
    // A turn of two seconds is no more than two looks' worth, and an answer to the ping is waited for by looks as well.
    expect(other.look(2000)).toBe("nothing");
    expect(other.look(4000)).toBe("ping");
    expect(other.look(6000)).toBe("nothing");
    expect(other.look(8000)).toBe("still");
  });

  it("learns how long a sign takes: a far or busy member gets more time, but one stall changes little", () => {
    const other = new Stillness(lookMs);
    let now = 0;
    const roundTrip = (ms: number): void => {
      other.begins();
      now = look(other, now + lookMs, 100).at + ms;
      other.heard();
      other.pong(now);
    };
    for (let time = 0; time < 60; time++) roundTrip(40);
    expect(other.limitMs).toBeGreaterThan(150);
    expect(other.limitMs).toBeLessThan(170);
    roundTrip(5000);
    expect(other.limitMs).toBeLessThan(300);
    for (let time = 0; time < 200; time++) roundTrip(4000);
    expect(other.limitMs).toBe(500);
  });
});
