import { expect, it } from "vitest";
import type { Member, PublishedView } from "../ring/view.ts";
import type { ZooKeeperClient } from "../zookeeper/client.ts";
import { ZooKeeperError } from "../zookeeper/error.ts";
import { StandingView } from "./zookeeper-view.ts";

const member: Member = {
  name: "m1",
  pid: 1,
  listen: "127.0.0.1:8080",
  peer: "127.0.0.1:8081",
  admin: "127.0.0.1:8082",
  weight: 1,
  zone: "",
  state: "active",
  tls: false,
  startedMs: 1,
};
const view: PublishedView = { cluster: "gyre", epoch: 1, leader: "m1", placement: 1, members: [member] };

it("an answer from before a write of its own tells nothing of what stands now", async () => {
  let stands: string | null = null;
  let answer: () => void = () => {};
  const asked: string[] = [];
  const client = {
    // What stood when it was asked, told when the test says so.
    get: () => {
      asked.push("get");
      const then = stands;
      return new Promise((resolve, reject) => {
        answer = () =>
          then === null
            ? reject(new ZooKeeperError("NO_NODE", "get /view"))
            : resolve({ data: Buffer.from(then), stat: { version: 0 } });
      });
    },
    exists: () => {
      asked.push("exists");
      return Promise.resolve(stands === null ? null : { version: 0 });
    },
    multi: () => {
      stands = JSON.stringify(view);
      return Promise.resolve([]);
    },
  } as unknown as ZooKeeperClient;
  const standing = new StandingView(client, { acl: [], signal: new AbortController().signal, failed: () => {} });
  const reading = standing.read();
  await standing.write(view, 0);
  answer();
  await new Promise((turn) => setImmediate(turn));
  expect([standing.epoch, asked]).toEqual([1, ["get", "get"]]);
  answer();
  expect((await reading)?.epoch).toBe(1);
});
