import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { inTurn, race } from "./race.ts";

class Attempt extends EventEmitter {
  readonly target: string;
  destroyed = false;
  constructor(target: string) {
    super();
    this.target = target;
  }
  destroy(): void {
    this.destroyed = true;
  }
}

function racing(targets: readonly string[], refused: readonly string[] = []) {
  const begun: Attempt[] = [];
  const told: string[] = [];
  const connect = (target: string): Socket => {
    if (refused.includes(target)) throw new Error(`${target} cannot be tried`);
    const attempt = new Attempt(target);
    begun.push(attempt);
    return attempt as unknown as Socket;
  };
  const { cancel } = race(targets, connect, (error, socket) =>
    told.push(error?.message ?? (socket as unknown as Attempt).target),
  );
  const tried = (): string => begun.map(({ target }) => target).join(" ");
  const left = (): string => begun.flatMap(({ target, destroyed }) => (destroyed ? [] : [target])).join(" ");
  return { begun, told, cancel, tried, left };
}

describe("race", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  it("tries the next address beside one that says nothing, and gives the others up for the first that answers (RFC 8305 §5)", () => {
    const { begun, told, tried, left } = racing(["a", "b", "c", "d"]);
    expect(tried()).toBe("a");
    vi.advanceTimersByTime(249);
    expect(tried()).toBe("a");
    vi.advanceTimersByTime(251);
    expect([tried(), left()]).toEqual(["a b c", "a b c"]);
    // The one that was asked first may be far, and still be there first.
    begun[0]!.emit("connect");
    vi.advanceTimersByTime(10_000);
    expect([told, tried(), left()]).toEqual([["a"], "a b c", "a"]);
    begun[1]!.emit("error", new Error("its last word"));
  });

  it("reaches one behind as many silent ones as there is time for", () => {
    const silent = Array.from({ length: 15 }, (_, index) => `silent-${index}`);
    const { begun, told } = racing([...silent, "well"]);
    vi.advanceTimersByTime(15 * 250);
    begun.at(-1)!.emit("connect");
    expect(told).toEqual(["well"]);
  });

  it("goes on at once where one fails, and tells the first failure where all have", async () => {
    const { begun, told, tried } = racing(["a", "b", "c"], ["b"]);
    begun[0]!.emit("error", new Error("a refused"));
    await new Promise<void>((done) => process.nextTick(done));
    expect(tried()).toBe("a c");
    expect(told).toEqual([]);
    begun[1]!.emit("error", new Error("c refused"));
    expect(told).toEqual(["a refused"]);
  });

  it("leaves nothing behind where nobody waits any more, and knocks at a few doors only", () => {
    const { told, cancel, left, begun } = racing(Array.from({ length: 1000 }, String));
    vi.advanceTimersByTime(1000);
    cancel();
    expect(left()).toBe("");
    vi.advanceTimersByTime(10_000);
    expect([told, begun.length]).toEqual([[], 5]);
    const all = racing(Array.from({ length: 1000 }, String));
    for (let index = 0; all.told.length === 0; index++) all.begun[index]!.emit("error", new Error("refused"));
    expect(all.begun.length).toBe(64);
  });
});

it("inTurn takes both families in turn, the first one's first (RFC 8305 §4)", () => {
  const six = ["::1", "::2", "::3"].map((address) => ({ address, family: 6 }));
  const four = ["1.1.1.1", "2.2.2.2"].map((address) => ({ address, family: 4 }));
  const order = inTurn([...six, ...four]).map(({ address }) => address);
  expect(order).toEqual(["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]);
  expect(inTurn([...four, ...six])[0]!.address).toBe("1.1.1.1");
  expect(inTurn([])).toEqual([]);
});
