/**
 * Members' seats at a ZooKeeper coordinator: real sessions in this process, each through a proxy that can do it harm.
 */
import { connect } from "node:net";
import type { Published } from "../../src/coordination/port.ts";
import { ZooKeeperCoordinator } from "../../src/coordination/zookeeper-coordinator.ts";
import type { Member, PublishedView } from "../../src/ring/view.ts";
import { ZooKeeperClient } from "../../src/zookeeper/client.ts";
import { helloFrame, op, requestFrame } from "../../src/zookeeper/protocol.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { until } from "./member.ts";

export interface Seat {
  readonly name: string;
  readonly coordinator: ZooKeeperCoordinator;
  readonly proxy: FaultProxy;
  /** As last told. */
  term: number | null;
  members: readonly Member[];
  floor: number;
  readonly states: string[];
  readonly views: PublishedView[];
  /** Publishes the next view with these names. */
  publish(names: readonly string[]): Promise<Published>;
}

/** What a member announces, for tests that need no sockets of it. */
export function announcementOf(name: string): Member {
  return {
    name,
    listen: "127.0.0.1:1",
    peer: "127.0.0.1:2",
    admin: "127.0.0.1:3",
    pid: 1,
    weight: 1,
    zone: "",
    state: "active",
    tls: false,
    startedMs: 1,
  };
}

/** Seats below one path of a server; all are given up by `close`. */
export class Seats {
  readonly chroot: string;
  readonly #port: number;
  readonly #sessionMs: number;
  readonly #closing: (() => Promise<void>)[] = [];

  constructor(port: number, chroot: string, sessionMs = 1200) {
    this.#port = port;
    this.chroot = chroot;
    this.#sessionMs = sessionMs;
  }

  /** Takes a seat. `prepare` may arm the proxy before the first connection. */
  async take(name: string, prepare: (proxy: FaultProxy) => void = () => {}): Promise<Seat> {
    const seat = await this.begin(name, prepare);
    await until(() => seat.coordinator.state === "connected" && seat.joined(), `${name} has joined`);
    return seat;
  }

  /** The same, without waiting for it to have joined. */
  async begin(
    name: string,
    prepare: (proxy: FaultProxy) => void = () => {},
  ): Promise<Seat & { readonly joined: () => boolean }> {
    const proxy = await FaultProxy.start(this.#port);
    prepare(proxy);
    const coordinator = new ZooKeeperCoordinator({
      address: "zookeeper://test",
      servers: [{ host: "127.0.0.1", port: proxy.port }],
      sessionMs: this.#sessionMs,
      cluster: "c",
      chroot: this.chroot,
      credentials: null,
      failed: () => {},
    });
    let joined = false;
    const seat: Seat & { readonly joined: () => boolean } = {
      name,
      coordinator,
      proxy,
      term: null,
      members: [],
      floor: 0,
      states: [],
      views: [],
      joined: () => joined,
      publish: (names) =>
        coordinator.publish(
          {
            cluster: "c",
            epoch: seat.floor + 1,
            leader: name,
            placement: 1,
            members: names.map(announcementOf),
          },
          seat.term ?? -1,
        ),
    };
    this.#closing.push(async () => {
      await coordinator.leave();
      await proxy.close();
    });
    const joining = coordinator.join(announcementOf(name), {
      session: (state) => seat.states.push(state),
      members: (members, floor) => {
        seat.members = members;
        seat.floor = Math.max(seat.floor, floor);
      },
      leading: (term) => (seat.term = term),
      view: (view) => {
        seat.views.push(view);
        seat.floor = Math.max(seat.floor, view.epoch);
      },
      ousted: (reason) => seat.states.push(reason),
    });
    void joining.then(
      () => (joined = true),
      () => {},
    );
    return seat;
  }

  /** A client of its own, straight to the server. */
  async observer(): Promise<ZooKeeperClient> {
    const client = new ZooKeeperClient({
      servers: [{ host: "127.0.0.1", port: this.#port }],
      sessionMs: 10_000,
      chroot: this.chroot,
    });
    this.#closing.push(() => client.close());
    await until(() => client.state === "connected", "the observer is connected");
    return client;
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }
}

/** Ends a session at the server without a word to its owner: a second connection takes it over and closes it. */
export async function expireSession({ session }: ZooKeeperClient, port: number): Promise<void> {
  await new Promise<void>((done) => {
    const socket = connect({ host: "127.0.0.1", port }, () =>
      socket.write(helloFrame(0n, session.timeoutMs, session.id, session.password)),
    );
    socket.once("data", () => socket.write(requestFrame(1, op.closeSession, Buffer.alloc(0))));
    socket.on("data", () => {});
    socket.on("error", () => {});
    socket.on("close", () => done());
  });
}
