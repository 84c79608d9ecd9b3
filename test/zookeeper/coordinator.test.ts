/**
 * ZooKeeper keeps the same contract as the embedded coordinator, over a real server and connections that can be cut.
 */
import { afterAll, beforeAll, describe } from "vitest";
import { ZooKeeperCoordinator } from "../../src/coordination/zookeeper-coordinator.ts";
import type { Coordinator } from "../../src/coordination/port.ts";
import { contract } from "../contract/contract.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { needsZooKeeper, startZooKeeper, type EnsembleUnderTest } from "../support/zookeeper.ts";

describe.skipIf(!needsZooKeeper())("over a real server", () => {
  let zk: EnsembleUnderTest;
  let serial = 0;
  beforeAll(async () => {
    zk = await startZooKeeper({ tickMs: 300 });
  });
  afterAll(() => zk.stop());

  contract("ZooKeeper", async () => {
    const spare = await Promise.all(Array.from({ length: 4 }, () => FaultProxy.start(zk.servers[0]!.port)));
    const proxies = [...spare];
    const used = new Map<Coordinator, FaultProxy>();
    const chroot = `/contract-${serial++}`;
    return {
      session: () => {
        const proxy = spare.pop()!;
        const coordinator = new ZooKeeperCoordinator({
          address: "zookeeper://test",
          servers: [{ host: "127.0.0.1", port: proxy.port }],
          sessionMs: 1200,
          cluster: "c",
          chroot,
          credentials: null,
          failed: (error) => console.error(error),
        });
        used.set(coordinator, proxy);
        return coordinator;
      },
      cut: (session) => {
        used.get(session)!.refusing = true;
        used.get(session)!.cut();
      },
      heal: (session) => {
        used.get(session)!.refusing = false;
      },
      close: async () => {
        await Promise.all(proxies.map((proxy) => proxy.close()));
      },
    };
  });
});
