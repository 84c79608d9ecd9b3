import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { expect, it } from "vitest";
import type { Member } from "../ring/view.ts";
import { AnswerHead } from "../wire/answer-head.ts";
import { PeerAcceptor } from "./acceptor.ts";
import { Peers } from "./peers.ts";
import type { Asking } from "./streams.ts";

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

it("Peers waits for one that stands still where it asks for what nobody else has: what is handed over", async () => {
  const acceptor = new PeerAcceptor({
    ...shared,
    listen: { host: "127.0.0.1", port: 0 },
    secrets: ["s"],
    self: "m2",
    handle: (exchange) => exchange.answer(AnswerHead.of(200, [], 2), "", Buffer.from("ok")),
    bug: () => {},
    answer: () => Promise.resolve(null),
    load: () => 0,
    serves: () => true,
    toolMethods: new Set(),
  });
  const { port } = await acceptor.listen();
  const stalling = new Set<() => void>();
  const resuming = new Set<() => void>();
  const between = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => {});
    stalling.add(() => void far.unpipe(near).pause());
    resuming.add(() => void far.pipe(near));
  });
  const at = `127.0.0.1:${await listening(between, 0)}`;
  let links = 0;
  let both = (): void => {};
  const linked = new Promise<void>((done) => (both = done));
  const restored = (): void => (++links === 2 ? both() : undefined);
  const peers = new Peers({ ...shared, secret: "s", self: "m1", restored });
  const other = { name: "m2", listen: "h:1", peer: at, admin: "h:3", pid: 1, weight: 1, zone: "", tls: false };
  peers.follow([{ ...other, startedMs: 1, state: "active" } satisfies Member]);
  await linked;
  const asked = (asking: Asking): Promise<string> =>
    new Promise((done) => {
      const [method, uri, client, heard] = ["GET", "http://h/", "", ""];
      const said = { local: false, secure: false, plain: false, forward: false, settings: 0, keeps: false } as const;
      const request = {
        asking,
        hops: 1,
        epoch: 1,
        method,
        uri,
        client,
        heard,
        ...said,
        fields: [],
        content: null,
      } as const;
      const stream = peers.request("m2", request, {
        interim: () => {},
        head: ({ status }) => done(String(status)),
        data: () => {},
        end: () => {},
        failed: done,
      });
      if (stream === null) done("nobody to ask");
    });
  expect(await asked("answer")).toBe("200");
  for (const stall of stalling) stall();
  const given = [asked("by-key"), asked("by-key")];
  const others = new Set<string>();
  while (!others.has("nobody to ask")) others.add(await asked("answer"));
  expect([...others]).toEqual(["it stands still", "nobody to ask"]);
  given.push(asked("by-key"));
  for (const resume of resuming) resume();
  expect(await Promise.all(given)).toEqual(["200", "200", "200"]);
  peers.close();
  await acceptor.close();
  await new Promise((done) => between.close(done));
});
