/** The client while servers stand still, die, come back, or come back with nothing. */
import { afterEach, describe, expect, it } from "vitest";
import { ZooKeeperClient } from "../../src/zookeeper/client.ts";
import type { SessionState } from "../../src/zookeeper/session.ts";
import { until } from "../support/member.ts";
import { needsZooKeeper, startZooKeeper, type EnsembleUnderTest, type ZooKeeperServer } from "../support/zookeeper.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function started(servers: number): Promise<EnsembleUnderTest> {
  const ensemble = await startZooKeeper({ servers });
  closing.push(() => ensemble.stop());
  return ensemble;
}

async function clientOf(
  { servers }: EnsembleUnderTest,
  sessionMs: number,
): Promise<{ client: ZooKeeperClient; states: SessionState[] }> {
  const states: SessionState[] = [];
  const client = new ZooKeeperClient({
    servers: servers.map(({ port }) => ({ host: "127.0.0.1", port })),
    sessionMs,
    changed: (state) => states.push(state),
  });
  closing.push(() => client.close());
  await until(() => client.state === "connected", "connected");
  return { client, states };
}

function own({ servers }: EnsembleUnderTest, client: ZooKeeperClient): ZooKeeperServer {
  return servers.find(({ address }) => address === client.session.server)!;
}

describe.skipIf(!needsZooKeeper())("one server", () => {
  it("kill -9 and a restart: the session goes on, with its ephemeral nodes and every kind of watch", async () => {
    const zk = await started(1);
    const { client, states } = await clientOf(zk, 20_000);
    await client.create("/e", { mode: "ephemeral" });
    await client.create("/d");
    await client.create("/p");
    const seen: string[] = [];
    const watch = ({ kind, path }: { kind: string; path: string }): unknown => seen.push(`${kind} ${path}`);
    await client.get("/d", { watch });
    await client.exists("/x", { watch });
    await client.children("/p", { watch });
    await client.create("/q");
    await client.watch("/q", "recursive", watch);
    await zk.servers[0]!.kill();
    await until(() => client.state === "suspended", "suspended");
    zk.servers[0]!.start();
    await until(() => client.state === "connected", "connected again", 20_000);
    await client.set("/d", "1", -1);
    await client.create("/x");
    await client.create("/p/c");
    await client.create("/q/c");
    await client.sync("/");
    expect(seen.sort()).toEqual(["changed /d", "children /p", "created /q/c", "created /x"]);
    expect((await client.get("/e")).stat.ephemeralOwner).toBe(client.session.id);
    expect(states).not.toContain("lost");
  });

  it("SIGSTOP of the server suspends; SIGCONT brings the session back or a new one, never a wrong answer", async () => {
    const zk = await started(1);
    const { client } = await clientOf(zk, 2000);
    await client.create("/e", { mode: "ephemeral" });
    const { id } = client.session;
    zk.servers[0]!.signal("SIGSTOP");
    await until(() => client.state === "suspended", "suspended");
    expect(client.session.leaseUntilMs).toBe(0);
    zk.servers[0]!.signal("SIGCONT");
    await until(() => client.state === "connected", "connected again");
    const stat = await client.exists("/e");
    if (client.session.id === id) expect(stat?.ephemeralOwner).toBe(id);
    else expect(client.session.generation).toBeGreaterThan(1);
  });

  it("a server that comes back with nothing: a new session after the local limit, not a loop for ever", async () => {
    const zk = await started(1);
    const { client, states } = await clientOf(zk, 1500);
    await client.create("/a");
    await zk.servers[0]!.kill();
    zk.servers[0]!.wipe();
    zk.servers[0]!.start();
    await until(() => states.includes("lost") && client.state === "connected", "a new session", 20_000);
    expect(client.session.generation).toBe(2);
    expect(await client.exists("/a")).toBeNull();
    await client.create("/a");
  });
});

describe.skipIf(!needsZooKeeper())("an ensemble of three", () => {
  for (const role of ["follower", "leader"] as const)
    for (const fault of ["kill", "SIGSTOP"] as const)
      it(`${fault} of the ${role} that it is connected to: the same session at another server`, async () => {
        const zk = await started(3);
        let made = await clientOf(zk, 6000);
        for (;;) {
          if ((await own(zk, made.client).isLeader()) === (role === "leader")) break;
          await made.client.close();
          made = await clientOf(zk, 6000);
        }
        const { client, states } = made;
        await client.create("/e", { mode: "ephemeral" });
        let told = 0;
        await client.exists("/later", { watch: () => told++ });
        const { id } = client.session;
        const before = client.session.server;
        if (fault === "kill") await own(zk, client).kill();
        else own(zk, client).signal("SIGSTOP");
        await until(() => states.includes("suspended") && client.state === "connected", "at another server", 20_000);
        expect(client.session.server).not.toBe(before);
        expect(client.session.id).toBe(id);
        expect(states).not.toContain("lost");
        await client.create("/later");
        expect((await client.get("/e")).stat.ephemeralOwner).toBe(id);
        await until(() => told === 1, "the watch has moved along");
      });
});
