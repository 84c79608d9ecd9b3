/** Links between members that a round can disturb: each member dials each other one by a relay of its own. */
import { connect, createServer } from "node:net";
import { after } from "./chance.mjs";

/** One way from a member to another's peer port. */
class Relay {
  port = 0;
  /** "passes", "late" (each piece by `lateMs`), "silent" (nothing passes, nobody is told), "refuses". */
  how = "passes";
  lateMs = 0;
  #pairs = new Set();
  #server;

  constructor(target) {
    this.#server = createServer((near) => this.#accept(near, target));
  }

  async start() {
    await new Promise((done) => this.#server.listen(0, "127.0.0.1", done));
    this.port = this.#server.address().port;
  }

  cut() {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  end() {
    this.cut();
    this.#server.close();
  }

  #accept(near, target) {
    const far = connect(target, "127.0.0.1");
    const pair = [near, far];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", end);
    }
    this.#pass(near, far);
    this.#pass(far, near);
  }

  /** Pieces in their order, whatever the way is just now. */
  #pass(from, to) {
    let last = Promise.resolve();
    from.on("data", (bytes) => {
      const at = performance.now();
      from.pause();
      last = last.then(async () => {
        if (this.how === "late") await after(Math.max(0, at + this.lateMs - performance.now()));
        while (this.how === "silent" && !from.destroyed) await after(10);
        if (to.destroyed) return;
        to.write(bytes);
        from.resume();
      });
    });
    from.on("end", () => void last.then(() => to.end()));
  }
}

/** All of them. */
export class Links {
  #ports = new Map();
  #relays = new Map();

  /** Somebody who can be dialled from now on; who is started before does not know. */
  async add(name, peerPort) {
    for (const [other, port] of this.#ports) {
      await this.#between(other, name, peerPort);
      await this.#between(name, other, port);
    }
    this.#ports.set(name, peerPort);
  }

  async #between(from, to, port) {
    const relay = new Relay(port);
    await relay.start();
    this.#relays.set(`${from} ${to}`, { relay, to: port });
  }

  /** By which port a member dials whom. */
  of(name) {
    const own = [...this.#relays].filter(([way]) => way.startsWith(`${name} `));
    return Object.fromEntries(own.map(([, { relay, to }]) => [to, relay.port]));
  }

  /** Both ways between two members, for so long. */
  async disturb([one, other], how, { ms, lateMs = 0, isLost = false }) {
    const relays = [`${one} ${other}`, `${other} ${one}`].map((way) => this.#relays.get(way).relay);
    for (const relay of relays) {
      if (how === "cut") relay.cut();
      else [relay.how, relay.lateMs] = [how, lateMs];
    }
    await after(ms);
    for (const relay of relays) {
      // Connections that were silent are dead for good, as often after a network's fault.
      if (how === "silent" && isLost) relay.cut();
      relay.how = "passes";
    }
  }

  end() {
    for (const { relay } of this.#relays.values()) relay.end();
  }
}
