import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { longMs, Slots, type Slot } from "./slots.ts";

const rules = { connectionsMax: 2, queueMax: 2, queueMs: 5000 };
let now = 0;
beforeEach(() => {
  now = 0;
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());
async function pass(ms: number): Promise<void> {
  now += ms;
  await vi.advanceTimersByTimeAsync(ms);
}
function wish(slots: Slots, log: string[], name: string): Slot {
  return slots.take({ taken: () => log.push(`${name} taken`), refused: () => log.push(`${name} refused`) });
}

describe("Slots", () => {
  it("lets so many in, the others wait in order, those beyond the queue are refused at once", () => {
    const slots = new Slots(rules, () => now);
    const log: string[] = [];
    const [a] = ["a", "b", "c", "d", "e"].map((name) => wish(slots, log, name));
    expect(log).toEqual(["a taken", "b taken", "e refused"]);
    a!.release();
    a!.release();
    expect(log.slice(3)).toEqual(["c taken"]);
    expect(slots.waiting).toBe(1);
  });

  it("refuses who has waited too long, and leaves the place of who gives up", async () => {
    const slots = new Slots({ ...rules, connectionsMax: 1, queueMs: 2000 }, () => now);
    const log: string[] = [];
    const a = wish(slots, log, "a");
    const b = wish(slots, log, "b");
    wish(slots, log, "c");
    b.release();
    await pass(2500);
    expect(log).toEqual(["a taken", "c refused"]);
    a.release();
    expect(slots.idle).toBe(true);
  });

  it("does not count streams, nor what has been open for long while others wait", async () => {
    const slots = new Slots(rules, () => now);
    const log: string[] = [];
    wish(slots, log, "stream").lasts();
    wish(slots, log, "a");
    const b = wish(slots, log, "b");
    wish(slots, log, "c");
    expect(log).toEqual(["stream taken", "a taken", "b taken"]);
    await pass(longMs + 500);
    expect(log.at(-1)).toBe("c taken");
    b.release();
    expect(slots.waiting).toBe(0);
  });
});
