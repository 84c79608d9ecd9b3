/** The election under everything that can go wrong between a candidate and its leadership. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Election } from "../../src/coordination/zookeeper-election.ts";
import { inLine, leaderOf, paths } from "../../src/coordination/zookeeper-nodes.ts";
import { ZooKeeperClient } from "../../src/zookeeper/client.ts";
import { op, openAcl } from "../../src/zookeeper/protocol.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { startMember, until, type TestMember } from "../support/member.ts";
import { announcementOf, Seats, type Seat } from "../support/seats.ts";
import { needsZooKeeper, startZooKeeper, type EnsembleUnderTest } from "../support/zookeeper.ts";

const tickMs = 300;

describe.skipIf(!needsZooKeeper())("the election", () => {
  let zk: EnsembleUnderTest;
  let seats: Seats;
  let serial = 0;
  beforeAll(async () => {
    zk = await startZooKeeper({ tickMs });
  });
  afterAll(() => zk.stop());
  afterEach(() => seats.close());
  const fresh = (): Seats => (seats = new Seats(zk.servers[0]!.port, `/election-${serial++}`));

  const leads = (seat: Seat): Promise<void> =>
    until(() => seat.coordinator.acting() !== null && seat.term !== null, `${seat.name} leads`);
  const candidates = async (observer: ZooKeeperClient): Promise<string[]> =>
    inLine((await observer.children(paths.election)).children);

  it("a ghost create: the answer to it is lost, the node is found again and no second one made", async () => {
    fresh();
    let lost = 0;
    const seat = await seats.take("m1", (proxy) => {
      proxy.requested = (type, frame) => {
        if (type !== op.create2 || !frame.includes("-latch-")) return;
        lost++;
        proxy.swallowAnswers = true;
      };
    });
    const observer = await seats.observer();
    await until(async () => (await candidates(observer)).length === 1, "the server has made the node");
    seat.proxy.requested = null;
    seat.proxy.cut();
    seat.proxy.swallowAnswers = false;
    await leads(seat);
    expect(lost).toBe(1);
    expect(await candidates(observer)).toHaveLength(1);
  });

  it("a lost answer to the claim: the claim is recognised as its own, the epoch is raised once", async () => {
    fresh();
    const seat = await seats.take("m1", (proxy) => {
      proxy.requested = (type, frame) => {
        if (type === op.multi && frame.includes("-latch-")) proxy.swallowAnswers = true;
      };
    });
    const observer = await seats.observer();
    await until(async () => (await observer.exists(paths.leader)) !== null, "the server has carried the claim out");
    expect(seat.coordinator.acting()).toBeNull();
    seat.proxy.requested = null;
    seat.proxy.cut();
    seat.proxy.swallowAnswers = false;
    await leads(seat);
    expect(seat.term).toBe(1);
    expect((await observer.exists(paths.epoch))!.version).toBe(1);
    expect(leaderOf((await observer.get(paths.leader)).data.toString())).toMatchObject({ name: "m1", epoch: 1 });
  });

  it("a contender in the middle dies: the one behind it neither leads nor is left waiting", async () => {
    fresh();
    const first = await seats.take("m1");
    await leads(first);
    const observer = await seats.observer();
    const inPlace = (count: number): Promise<void> =>
      until(async () => (await candidates(observer)).length === count, `${count} stand in line`);
    await inPlace(1);
    const middle = await seats.take("m2");
    await inPlace(2);
    const last = await seats.take("m3");
    await inPlace(3);
    await middle.coordinator.leave();
    await inPlace(2);
    await last.coordinator.announce({ ...announcementOf("m3"), weight: 2 });
    expect(last.coordinator.acting()).toBeNull();
    expect(first.coordinator.acting()).toBe(1);
    await first.coordinator.leave();
    await leads(last);
    expect(last.term).toBe(2);
  });

  it("strangers' children do not stand in line, however they sort", async () => {
    fresh();
    const observer = await seats.observer();
    await observer.ensure(paths.election);
    for (const name of ["0000000000", "-lock-0000000000", "aaa", "_c_x-latch-nonsense", "zk-0000000001"])
      await observer.create(`${paths.election}/${name}`);
    const first = await seats.take("m1");
    await leads(first);
    const second = await seats.take("m2");
    await first.coordinator.leave();
    await leads(second);
  });

  it("two that start at once on an empty ensemble: one leads, each has a number of its own", async () => {
    for (let round = 0; round < 5; round++) {
      fresh();
      const both = await Promise.all([seats.take("m1"), seats.take("m2")]);
      await until(() => both.filter(({ coordinator }) => coordinator.acting() !== null).length === 1, "one leads");
      const leading = both.find(({ coordinator }) => coordinator.acting() !== null)!;
      await leads(leading);
      expect(both.filter(({ coordinator }) => coordinator.acting() !== null)).toHaveLength(1);
      await until(
        () => new Set(leading.members.map(({ id }) => id)).size === 2,
        "both are announced, with numbers of their own",
      );
      await seats.close();
    }
  });

  it("numbers stay with names across a fail-over and a return", async () => {
    fresh();
    const idsAt = (seat: Seat): Record<string, number | undefined> =>
      Object.fromEntries(seat.members.map(({ name, id }) => [name, id]));
    const first = await seats.take("m1");
    await leads(first);
    const second = await seats.take("m2");
    await until(() => first.members.length === 2, "both are announced");
    const before = idsAt(first);
    await first.coordinator.leave();
    await leads(second);
    await seats.take("m3");
    await seats.take("m1");
    await until(() => second.members.length === 3, "three are announced");
    const after = idsAt(second);
    expect(after).toMatchObject(before);
    expect(after["m3"]).not.toBe(before["m1"]);
    expect(new Set(Object.values(after)).size).toBe(3);
  });

  it("what a leader of the past writes is refused by the server, not by its own good manners", async () => {
    fresh();
    const first = await seats.take("m1");
    await leads(first);
    const second = await seats.take("m2");
    expect(await first.publish(["m1"])).toBe("published");
    first.proxy.refusing = true;
    first.proxy.cut();
    await leads(second);
    expect(second.term).toBe(2);
    await until(() => second.views.length > 0, "the view of the first has arrived");
    expect(await second.publish(["m2"])).toBe("published");
    expect(await first.publish(["m1", "mad"])).toBe("fenced");
    const observer = await seats.observer();
    const { stat } = await observer.get(paths.view);
    const write = observer.multi([
      { kind: "check", path: paths.epoch, version: 1 },
      { kind: "set", path: paths.view, data: Buffer.from("mad"), version: stat.version },
    ]);
    await expect(write).rejects.toMatchObject({ code: "BAD_VERSION", index: 0 });
  });

  it("a cut that is healed in time: the same term goes on, and nothing is acted on in between", async () => {
    fresh();
    const seat = await seats.take("m1");
    await leads(seat);
    seat.proxy.cut();
    await until(() => seat.states.includes("suspended"), "suspended");
    await leads(seat);
    expect(seat.term).toBe(1);
    expect(await seat.publish(["m1"])).toBe("published");
  });

  it("a black hole: it acts no more before the server has given its session to somebody else", async () => {
    fresh();
    const first = await seats.take("m1");
    await leads(first);
    const second = await seats.take("m2");
    first.proxy.blackHole = true;
    let actedTogether = 0;
    await until(() => {
      if (first.coordinator.acting() !== null && second.coordinator.acting() !== null) actedTogether++;
      return second.coordinator.acting() !== null;
    }, "the second leads");
    expect(actedTogether).toBe(0);
    first.proxy.cut();
    first.proxy.blackHole = false;
    await until(() => first.states.includes("expired") && first.coordinator.state === "connected", "it is back");
    expect(first.coordinator.acting()).toBeNull();
  });

  it("an orderly farewell hands over in less than 200 ms", async () => {
    fresh();
    const first = await seats.take("m1");
    await leads(first);
    const second = await seats.take("m2");
    const from = performance.now();
    const left = first.coordinator.leave();
    await until(() => second.coordinator.acting() !== null, "the second leads");
    expect(performance.now() - from).toBeLessThan(200);
    await left;
  });

  it("kill -9 of a leading member is answered within T/2 to T + 3 ticks", async () => {
    fresh();
    const sessionMs = 2000;
    const flags = (name: string): string[] => [
      "--name",
      name,
      "--coordinator",
      `zookeeper://${zk.addresses}${seats.chroot}?session=${sessionMs}ms`,
    ];
    const leader = await startMember(flags("m1"));
    const other = await startMember(flags("m2"));
    const observer = await seats.observer();
    const standing = async (): Promise<string | null> =>
      observer.get(paths.leader).then(
        ({ data }) => leaderOf(data.toString())?.name ?? null,
        () => null,
      );
    expect(await standing()).toBe("m1");
    const from = performance.now();
    await leader.kill();
    await until(async () => (await standing()) === "m2", "the other leads");
    const took = performance.now() - from;
    expect(took).toBeGreaterThan(sessionMs / 2);
    expect(took).toBeLessThan(sessionMs + 3 * tickMs);
    const farewell: TestMember = await startMember(flags("m3"));
    let [goneAt, backAt] = [0, 0];
    const watch = (): void => {
      goneAt = performance.now();
    };
    await observer.get(paths.leader, { watch });
    const stopped = other.stop();
    await until(async () => {
      const now = await standing();
      if (now === "m3") backAt = performance.now();
      return now === "m3";
    }, "the third leads");
    expect(goneAt).toBeGreaterThan(0);
    expect(backAt - goneAt).toBeLessThan(200);
    expect(await stopped).toBe(0);
    await farewell.stop();
  });

  it("of 200 contenders, a leader that leaves wakes a few, whoever stands behind them", async () => {
    fresh();
    const proxy = await FaultProxy.start(zk.servers[0]!.port);
    const ended = new AbortController();
    const clients: ZooKeeperClient[] = [];
    const terms = new Map<number, number>();
    try {
      for (let index = 0; index < 200; index++) {
        const client = new ZooKeeperClient({
          servers: [{ host: "127.0.0.1", port: proxy.port }],
          sessionMs: 20_000,
          chroot: seats.chroot,
        });
        clients.push(client);
        if (index === 0) for (const path of [paths.election, paths.epoch]) await client.ensure(path);
        const election = new Election(client, {
          member: () => announcementOf(`m${index}`),
          acl: openAcl,
          signal: ended.signal,
          changed: (term) => term !== null && terms.set(index, term),
          restore: () => Promise.resolve(),
          failed: () => {},
        });
        void election.run();
        if (index === 0) await until(() => terms.size === 1, "the first leads");
      }
      const observer = await seats.observer();
      await until(async () => (await candidates(observer)).length === 200, "all stand in line");
      // Everybody has found its place when nothing but pings has been asked for a while: counted, not slept.
      let asked = 0;
      proxy.requested = (type) => {
        if (type !== op.ping) asked++;
      };
      let [quiet, last] = [0, -1];
      await until(() => {
        quiet = asked === last ? quiet + 1 : 0;
        last = asked;
        return quiet > 30;
      }, "nobody asks anything");
      asked = 0;
      await clients[0]!.close();
      await until(() => terms.size === 2, "another leads");
      expect(asked).toBeLessThan(20);
    } finally {
      ended.abort();
      await Promise.all(clients.map((client) => client.close()));
      await proxy.close();
    }
  }, 60_000);
});

describe.skipIf(!needsZooKeeper())("a server that is cut off from the ensemble's leader", () => {
  it("answers pings by itself, and is no reason to go on acting", async () => {
    // It keeps its clients for 30 ticks, longer than a session lives.
    const zk = await startZooKeeper({ servers: 3, tickMs, extra: "syncLimit=30" });
    const standing = await Promise.all(zk.servers.map((server) => server.isLeader()));
    const follower = zk.servers.find((_, index) => !standing[index])!;
    const seats = new Seats(follower.port, "/cut-off", 2000);
    try {
      const seat = await seats.take("m1");
      await until(() => seat.coordinator.acting() !== null, "it leads");
      zk.servers[standing.indexOf(true)]!.signal("SIGSTOP");
      const from = performance.now();
      await until(() => seat.coordinator.acting() === null, "it acts no more");
      expect(performance.now() - from).toBeLessThan(2000);
      zk.servers[standing.indexOf(true)]!.signal("SIGCONT");
      await until(() => seat.coordinator.acting() !== null, "it leads again", 20_000);
    } finally {
      zk.servers[standing.indexOf(true)]!.signal("SIGCONT");
      await seats.close();
      await zk.stop();
    }
  }, 60_000);
});

describe.skipIf(!needsZooKeeper())("an ensemble that comes back with nothing", () => {
  it("gets its cluster again, at an epoch above all that its members have seen", async () => {
    const zk = await startZooKeeper({ tickMs });
    const seats = new Seats(zk.servers[0]!.port, "/wiped");
    try {
      const both = [await seats.take("m1"), await seats.take("m2")];
      await until(() => both[0]!.term !== null && both[0]!.members.length === 2, "the first leads both");
      for (let round = 0; round < 5; round++) expect(await both[0]!.publish(["m1", "m2"])).toBe("published");
      await until(() => both[1]!.views.at(-1)?.epoch === 5, "the second has seen epoch 5");
      await zk.servers[0]!.kill();
      zk.servers[0]!.wipe();
      zk.servers[0]!.start();
      await zk.servers[0]!.serving();
      const leading = (): Seat | undefined => both.find(({ coordinator }) => coordinator.acting() !== null);
      await until(
        () => leading()?.term != null && leading()!.members.length === 2,
        "one of them leads both again",
        20_000,
      );
      expect(leading()!.floor).toBeGreaterThanOrEqual(5);
      expect(await leading()!.publish(["m1", "m2"])).toBe("published");
      await until(() => both.every(({ views }) => views.at(-1)!.epoch > 5), "both have a view above epoch 5");
    } finally {
      await seats.close();
      await zk.stop();
    }
  }, 60_000);
});
