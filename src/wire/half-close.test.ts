import { describe, expect, it } from "vitest";
import { HalfClose } from "./half-close.ts";

describe("HalfClose", () => {
  it("asks twice at once, then once in a while, as long as the client can be asked (RFC 9110 §15.2)", () => {
    const watch = new HalfClose(1000);
    let [asked, sent] = [0, 100];
    const answer = {
      probe: () => {
        asked++;
        sent += 10;
        return true;
      },
    };
    watch.begin(0);
    for (let now = 0; now <= 40_000; now += 500) expect(watch.isGone(now, answer, () => sent)).toBe(false);
    expect(asked).toBe(6);
    watch.end();
    expect(watch.isGone(1e9, answer, () => sent)).toBe(false);
    expect(asked).toBe(6);
  });

  it("gives up one that cannot be asked when nothing has moved for long, and not before", () => {
    const watch = new HalfClose(1000);
    const mute = { probe: () => false };
    let sent = 100;
    watch.begin(0);
    expect(watch.isGone(1500, mute, () => sent)).toBe(false);
    sent += 5;
    expect(
      watch.isGone(62_000, mute, () => sent),
      "something has moved",
    ).toBe(false);
    expect(watch.isGone(90_000, mute, () => sent)).toBe(false);
    expect(watch.isGone(123_000, mute, () => sent)).toBe(true);
  });

  it("asks nobody whose side has not ended", () => {
    expect(new HalfClose(1000).isGone(1e9, { probe: () => expect.fail("asked") as never }, () => 0)).toBe(false);
  });
});
