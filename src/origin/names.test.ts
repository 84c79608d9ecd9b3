import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Names, type Found } from "./names.ts";

const addresses = (address: string) => [{ address, family: 4 }];
const error = (code: string): Error => Object.assign(new Error(code), { code });

function world() {
  const asked: { readonly name: string; readonly done: Found }[] = [];
  const names = new Names((name, done) => void asked.push({ name, done }));
  const told: string[] = [];
  const find = (name: string, as = name): (() => void) =>
    names.find(name, (failure, found) => {
      told.push(`${as}: ${failure?.message ?? found.map(({ address }) => address).join(" ")}`);
    });
  return { asked, told, find };
}

describe("Names", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  it("looks a name up once for all who ask meanwhile, and anew for who asks later", () => {
    const { asked, told, find } = world();
    find("a", "first");
    find("b");
    const left = find("a", "left");
    find("a", "second");
    left();
    asked[0]!.done(null, addresses("1.1.1.1"));
    expect(told).toEqual(["first: 1.1.1.1", "second: 1.1.1.1"]);
    find("a", "third");
    asked[2]!.done(null, addresses("2.2.2.2"));
    expect([asked.map(({ name }) => name), told.at(-1)]).toEqual([["a", "b", "a"], "third: 2.2.2.2"]);
  });

  it("takes a name as it was for a while where no server answers, not where one says that it is gone (RFC 8767)", () => {
    const { asked, told, find } = world();
    find("a");
    asked[0]!.done(null, addresses("1.1.1.1"));
    find("a", "silent");
    vi.advanceTimersByTime(499);
    expect(told).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(told.at(-1)).toBe("silent: 1.1.1.1");
    asked[1]!.done(error("EAI_AGAIN"), []);
    find("a", "out of reach");
    asked[2]!.done(error("EAI_AGAIN"), []);
    expect(told.at(-1)).toBe("out of reach: 1.1.1.1");
    find("a", "gone");
    asked[3]!.done(error("ENOTFOUND"), []);
    expect(told.at(-1)).toBe("gone: ENOTFOUND");
    vi.advanceTimersByTime(300_000);
    find("a", "too old");
    asked[4]!.done(error("EAI_AGAIN"), []);
    expect([told.at(-1), told.length]).toEqual(["too old: EAI_AGAIN", 5]);
  });

  it("looks no more than a thousand names up at once", async () => {
    const { asked, told, find } = world();
    for (let index = 0; index < 1001; index++) find(`name-${index}`);
    await new Promise<void>((done) => process.nextTick(done));
    expect([asked.length, told]).toEqual([1000, ["name-1000: too many names"]]);
  });
});
