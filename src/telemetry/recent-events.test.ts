import { describe, expect, it } from "vitest";
import { RecentEvents } from "./recent-events.ts";

const line = (kind: string, text: string): string => JSON.stringify({ kind, text });

describe("the last events", () => {
  it("are numbered from the time on, and told to those who listen", () => {
    const recent = new RecentEvents(() => 1000);
    const heard: string[] = [];
    const end = recent.listen((event) => heard.push(`${event.number} ${event.line}`));
    recent.add(line("view", "a"));
    recent.add(`${line("view", "b")}\n`);
    end();
    recent.add(line("view", "c"));
    expect(heard).toEqual([`1000 ${line("view", "a")}`, `1001 ${line("view", "b")}`]);
    expect(recent.since(1000).map(({ number }) => number)).toEqual([1001, 1002]);
  });

  it("of a frequent kind push out their own, not the rare ones", () => {
    let now = 0;
    const recent = new RecentEvents(() => now);
    recent.add(line("leader", "leads"));
    for (let index = 0; index < 3000; index++) {
      now += 200;
      recent.add(line("purge", String(index)));
      if (index === 1000) recent.add(line("view", "three members"));
    }
    const kept = recent.since(0).map((event) => event.line);
    expect(kept).toHaveLength(500);
    expect(kept[0]).toBe(line("leader", "leads"));
    expect(kept[1]).toBe(line("view", "three members"));
    expect(kept[2]).toBe(line("purge", "2502"));
    expect(kept.at(-1)).toBe(line("purge", "2999"));
  });

  it("of one kind are a hundred in ten seconds at most", () => {
    const recent = new RecentEvents(() => 5);
    for (let index = 0; index < 150; index++) recent.add(line("client", String(index)));
    expect(recent.since(0)).toHaveLength(100);
  });
});
