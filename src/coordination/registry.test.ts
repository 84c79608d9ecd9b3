import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Member, PublishedView } from "../ring/view.ts";
import { Registry } from "./registry.ts";

const times = { sessionMs: 4000, disconnectedMs: 2000 };
const member = (name: string, startedMs = 1): Member => ({
  name,
  listen: "127.0.0.1:1",
  peer: "127.0.0.1:2",
  admin: "127.0.0.1:3",
  pid: startedMs,
  weight: 1,
  zone: "",
  state: "active",
  tls: false,
  startedMs,
});
const view = (epoch: number, names: readonly string[]): PublishedView => ({
  cluster: "c",
  epoch,
  leader: names[0] ?? null,
  placement: 2,
  members: names.map((name) => member(name)),
});

describe("Registry", () => {
  it("elects candidates in the order in which they came, and a next one when the leader's session ends", () => {
    const registry = new Registry(times);
    for (const name of ["a", "b", "c"]) registry.open(`session-${name}`, member(name), null, 0);
    expect([registry.leader?.name, registry.term]).toEqual(["a", 1]);
    registry.heartbeat("session-b", 3000);
    registry.heartbeat("session-c", 3000);
    const { expired, changes } = registry.expire(4000);
    expect([expired.map(({ name }) => name), changes.leader, registry.leader?.name, registry.term]).toEqual([
      ["a"],
      true,
      "b",
      2,
    ]);
  });

  it("publishes only for the leader of the term, one epoch after the last", () => {
    const registry = new Registry(times);
    registry.open("session-a", member("a"), null, 0);
    registry.open("session-b", member("b"), null, 0);
    expect(registry.publish("session-b", view(1, ["a"]), 1).published).toBe("fenced");
    expect(registry.publish("session-a", view(1, ["a"]), 2).published).toBe("fenced");
    expect(registry.publish("session-a", view(2, ["a"]), 1).published).toBe("fenced");
    expect(registry.publish("session-a", view(1, ["a"]), 1).published).toBe("published");
    expect(registry.publish("session-a", view(1, ["a"]), 1).published).toBe("fenced");
  });

  it("refuses a name that another living process has, and lets a process have its own again", () => {
    const registry = new Registry(times);
    registry.open("session-a1", member("a", 1), null, 0);
    expect(registry.open("session-a2", member("a", 2), null, 100)).toHaveProperty("refused");
    expect(registry.open("session-a3", member("a", 1), null, 100)).not.toHaveProperty("refused");
    registry.disconnected("session-a3", 200);
    expect(registry.open("session-a4", member("a", 2), null, 300)).not.toHaveProperty("refused");
    expect(registry.members).toHaveLength(1);
  });

  it("takes up the newest view that a member brings: its memory may be lost", () => {
    const registry = new Registry(times);
    registry.open("session-a", member("a"), null, 0);
    registry.open("session-b", member("b"), view(41, ["a", "b"]), 0);
    registry.open("session-c", member("c"), view(7, ["c"]), 0);
    expect(registry.epochFloor).toBe(41);
  });

  it("holds a pause of its own against nobody", () => {
    const registry = new Registry(times);
    registry.open("session-a", member("a"), null, 0);
    registry.excuse(10_000);
    expect(registry.expire(12_000).expired).toHaveLength(0);
    expect(registry.expire(14_000).expired).toHaveLength(1);
  });

  it("has a leader whenever it has a session, terms and epochs that only grow, and one session a name", () => {
    const step = fc.tuple(fc.constantFrom("open", "beat", "cut", "close", "tick", "publish"), fc.nat(3), fc.nat(1500));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const registry = new Registry(times);
        let [now, term, epoch] = [0, 0, 0];
        for (const [kind, which, wait] of steps) {
          const name = "abcd"[which]!;
          now += wait;
          if (kind === "open") registry.open(`session-${name}`, member(name), null, now);
          else if (kind === "beat") registry.heartbeat(`session-${name}`, now);
          else if (kind === "cut") registry.disconnected(`session-${name}`, now);
          else if (kind === "close") registry.close(`session-${name}`);
          else if (kind === "tick") registry.expire(now);
          else if (registry.leader !== null)
            registry.publish(registry.leader.id, view(registry.epochFloor + 1, [registry.leader.name]), registry.term);
          const names = registry.members.map((one) => one.name);
          expect(new Set(names).size).toBe(names.length);
          expect(registry.leader === null).toBe(names.length === 0);
          if (registry.leader !== null) expect(names).toContain(registry.leader.name);
          expect(registry.term).toBeGreaterThanOrEqual(term);
          expect(registry.epochFloor).toBeGreaterThanOrEqual(epoch);
          [term, epoch] = [registry.term, registry.epochFloor];
        }
      }),
    );
  });
});
