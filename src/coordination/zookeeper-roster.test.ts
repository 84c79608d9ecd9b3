import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Member } from "../ring/view.ts";
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import { ZooKeeperError } from "../zookeeper/error.ts";
import { instanceText } from "./zookeeper-nodes.ts";
import { Roster } from "./zookeeper-roster.ts";

const sessionMs = 2000;
const memberOf = (pid: number): Member => ({
  name: "m1",
  listen: "127.0.0.1:8080",
  peer: "127.0.0.1:8081",
  admin: "127.0.0.1:8082",
  pid,
  weight: 1,
  zone: "",
  state: "active",
  tls: false,
  startedMs: pid,
  id: 3,
});

/** A server with another process's node, which is there until it is let go. */
function withTaken(): { readonly roster: Roster; readonly letGo: () => void } {
  let [isThere, watch] = [true, (): void => {}];
  const client = {
    session: { timeoutMs: sessionMs, id: 2n },
    create: async () => {
      if (isThere) throw new ZooKeeperError("NODE_EXISTS", "it is there");
      return "";
    },
    get: async (_path: string, options: { readonly watch: () => void }) => {
      ({ watch } = options);
      const data = Buffer.from(instanceText("gyre", { member: memberOf(1), lastEpoch: 0 }));
      return { data, stat: { ephemeralOwner: 1n, version: 0 } };
    },
  } as unknown as ZooKeeperClient;
  const { signal } = new AbortController();
  const roster = new Roster(client, { service: "gyre", acl: [], signal, restore: async () => {}, failed: () => {} });
  const letGo = (): void => {
    isThere = false;
    watch();
  };
  return { roster, letGo };
}

describe("a name whose bearer has died just now", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  it("is waited for as long as a session takes to end", async () => {
    const { roster } = withTaken();
    const announced = roster.announce({ member: memberOf(2), lastEpoch: 0 }).then(
      () => "announced",
      (error: Error) => error.name,
    );
    await vi.advanceTimersByTimeAsync(1.5 * sessionMs + 1000);
    expect(await announced).toBe("NameTaken");
  });

  it("is waited for anew when ZooKeeper has been away: it gives dead sessions their whole time again", async () => {
    const { roster, letGo } = withTaken();
    const announced = roster.announce({ member: memberOf(2), lastEpoch: 0 }).then(
      () => "announced",
      (error: Error) => error.name,
    );
    await vi.advanceTimersByTimeAsync(3500);
    roster.reconnected();
    await vi.advanceTimersByTimeAsync(sessionMs);
    letGo();
    await vi.advanceTimersByTimeAsync(1);
    expect(await announced).toBe("announced");
  });
});
