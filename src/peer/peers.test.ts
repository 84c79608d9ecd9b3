import { createServer, type AddressInfo, type Server } from "node:net";
import { expect, it } from "vitest";
import type { Member } from "../ring/view.ts";
import { PeerAcceptor } from "./acceptor.ts";
import { Peers } from "./peers.ts";

const shared = { cluster: "c", tls: "off", identity: null } as const;

function listening(server: Server, port: number): Promise<number> {
  return new Promise((done) => server.listen(port, "127.0.0.1", () => done((server.address() as AddressInfo).port)));
}

it("Peers tells once that a member cannot be reached, and once that it can, however often it is dialled", async () => {
  let dialled = 0;
  let enough = (): void => {};
  const often = new Promise<void>((done) => (enough = done));
  const deaf = createServer((socket) => {
    socket.destroy();
    if (++dialled === 12) enough();
  });
  const port = await listening(deaf, 0);
  const told: [string, boolean, string][] = [];
  let links = 0;
  let both = (): void => {};
  const linked = new Promise<void>((done) => (both = done));
  const peers = new Peers({
    ...shared,
    secret: "s",
    self: "m1",
    changed: (name, reachable, reason) => void told.push([name, reachable, reason]),
    restored: () => (++links === 2 ? both() : undefined),
  });
  const [listen, peer, admin] = ["h:1", `127.0.0.1:${port}`, "h:3"] as const;
  const other = { name: "m2", listen, peer, admin, pid: 1, weight: 1, zone: "", tls: false, startedMs: 1 };
  peers.follow([{ ...other, state: "active" } satisfies Member]);
  await often;
  const reasons = told.splice(0);
  expect(reasons.every(([name, reachable]) => name === "m2" && !reachable)).toBe(true);
  expect(new Set(reasons.map(([, , reason]) => reason)).size, "each way in which it ended once").toBe(reasons.length);
  expect(dialled).toBeGreaterThan(reasons.length);
  await new Promise((done) => deaf.close(done));
  const acceptor = new PeerAcceptor({
    ...shared,
    listen: { host: "127.0.0.1", port },
    secrets: ["s"],
    self: "m2",
    handle: () => {},
    bug: () => {},
    answer: () => Promise.resolve(null),
    load: () => 0,
    serves: () => true,
    toolMethods: new Set(),
  });
  await acceptor.listen();
  await linked;
  await new Promise((done) => setImmediate(done));
  expect(told.filter(([, reachable]) => reachable)).toEqual([["m2", true, ""]]);
  await acceptor.close();
  peers.close();
});
