/** The client against a real server, through a proxy that cuts, delays, swallows and lies. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ZooKeeperClient, type ClientOptions } from "../../src/zookeeper/client.ts";
import { trusting } from "../../src/zookeeper/connection.ts";
import { aclAll, aclRead } from "../../src/zookeeper/protocol.ts";
import { JuteWriter } from "../../src/zookeeper/jute.ts";
import type { SessionState } from "../../src/zookeeper/session.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { temporaryFolder, until } from "../support/member.ts";
import { expireSession } from "../support/seats.ts";
import { needsZooKeeper, startZooKeeper, type EnsembleUnderTest } from "../support/zookeeper.ts";

interface Under extends ClientOptions {
  readonly states: SessionState[];
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

let serial = 0;

function clientOf(
  port: number,
  more: Partial<ClientOptions> = {},
): { client: ZooKeeperClient; states: SessionState[] } {
  const states: SessionState[] = [];
  const client = new ZooKeeperClient({
    servers: [{ host: "127.0.0.1", port }],
    sessionMs: 2000,
    changed: (state) => states.push(state),
    ...more,
  } satisfies ClientOptions as Under);
  closing.push(() => client.close());
  return { client, states };
}

describe.skipIf(!needsZooKeeper())("a client and one server", () => {
  let zk: EnsembleUnderTest;
  let proxy: FaultProxy;
  beforeAll(async () => {
    zk = await startZooKeeper();
  });
  afterAll(async () => {
    await zk.stop();
  });

  async function through(
    more: Partial<ClientOptions> = {},
  ): Promise<{ client: ZooKeeperClient; states: SessionState[] }> {
    proxy = await FaultProxy.start(zk.servers[0]!.port);
    const made = clientOf(proxy.port, more);
    // The client goes first, then the proxy.
    closing.splice(closing.length - 1, 0, () => proxy.close());
    await until(() => made.client.state === "connected", "connected");
    return made;
  }

  /** Cuts, and resolves when the client has seen it. */
  async function cut(states: readonly SessionState[]): Promise<void> {
    const before = states.length;
    proxy.cut();
    await until(() => states.slice(before).includes("suspended"), "the cut is seen");
  }

  async function fresh(more: Partial<ClientOptions> = {}): Promise<ZooKeeperClient> {
    const { client } = clientOf(zk.servers[0]!.port, { chroot: `/t${serial++}`, ...more });
    await client.ensure("/");
    return client;
  }

  it("creates, reads, writes, deletes and lists, with versions", async () => {
    const client = await fresh();
    expect(await client.create("/a", { data: "one" })).toBe("/a");
    await expect(client.create("/a")).rejects.toMatchObject({ code: "NODE_EXISTS", path: "/a" });
    expect((await client.get("/a")).data.toString()).toBe("one");
    expect((await client.set("/a", "two", 0)).version).toBe(1);
    await expect(client.set("/a", "three", 0)).rejects.toMatchObject({ code: "BAD_VERSION" });
    await client.create("/a/b");
    expect((await client.children("/a")).children).toEqual(["b"]);
    await expect(client.delete("/a", -1)).rejects.toMatchObject({ code: "NOT_EMPTY" });
    expect(await client.exists("/none")).toBeNull();
    expect((await client.exists("/a"))?.childrenCount).toBe(1);
    await client.sync("/a");
    await expect(client.get("/none")).rejects.toMatchObject({ code: "NO_NODE" });
    await expect(client.get("none")).rejects.toMatchObject({ code: "BAD_ARGUMENTS" });
  });

  it("knows every kind of node", async () => {
    const client = await fresh();
    expect(await client.create("/s-", { mode: "ephemeral-sequential" })).toMatch(/^\/s-\d{10}$/);
    expect(await client.create("/p-", { mode: "persistent-sequential" })).toMatch(/^\/p-\d{10}$/);
    await client.create("/e", { mode: "ephemeral" });
    expect((await client.get("/e")).stat.ephemeralOwner).toBe(client.session.id);
    await expect(client.create("/e/x")).rejects.toMatchObject({ code: "NO_CHILDREN_FOR_EPHEMERALS" });
    await client.create("/c", { mode: "container" });
    expect(await client.create("/t-", { mode: "persistent-sequential-ttl", ttlMs: 60_000 })).toMatch(/^\/t-\d{10}$/);
    await client.create("/t", { mode: "persistent-ttl", ttlMs: 60_000 });
    expect((await client.children("/")).children.length).toBe(6);
  });

  it("does a transaction whole or not at all", async () => {
    const client = await fresh();
    await client.create("/v", { data: "0" });
    const results = await client.multi([
      { kind: "check", path: "/v", version: 0 },
      { kind: "set", path: "/v", data: Buffer.from("1"), version: 0 },
      {
        kind: "create",
        path: "/n-",
        data: Buffer.from(""),
        mode: "ephemeral-sequential",
        acl: [{ permissions: aclAll, scheme: "world", id: "anyone" }],
      },
    ]);
    expect(results.map(({ kind }) => kind)).toEqual(["check", "set", "create"]);
    expect(results[2]).toMatchObject({ path: expect.stringMatching(/^\/n-\d{10}$/) as string });
    const failing = client.multi([
      { kind: "delete", path: "/v", version: -1 },
      { kind: "check", path: "/none", version: -1 },
      { kind: "check", path: "/", version: -1 },
    ]);
    await expect(failing).rejects.toMatchObject({ code: "NO_NODE", index: 1, path: "/none" });
    expect(await client.exists("/v")).not.toBeNull();
    await expect(client.multi([{ kind: "check", path: "/v", version: 0 }])).rejects.toMatchObject({
      code: "BAD_VERSION",
    });
  });

  it("digest: what the creator owns, others only read", async () => {
    const owner = await fresh({ auth: [{ scheme: "digest", credentials: "gyre:secret" }] });
    const acl = [
      { permissions: aclAll, scheme: "auth", id: "" },
      { permissions: aclRead, scheme: "world", id: "anyone" },
    ];
    await owner.create("/mine", { data: "x", acl });
    expect((await owner.getAcl("/mine")).acl[0]).toMatchObject({ scheme: "digest", permissions: aclAll });
    const other = clientOf(zk.servers[0]!.port, { chroot: `/t${serial - 1}` }).client;
    expect((await other.get("/mine")).data.toString()).toBe("x");
    await expect(other.set("/mine", "y", -1)).rejects.toMatchObject({ code: "NO_AUTH" });
    await owner.setAcl("/mine", acl.slice(0, 1), -1);
    await expect(other.get("/mine")).rejects.toMatchObject({ code: "NO_AUTH" });
  });

  it("watches once, for ever, and below; and stops when told", async () => {
    const client = await fresh();
    const seen: string[] = [];
    const note =
      (who: string) =>
      ({ kind, path }: { kind: string; path: string }): unknown =>
        seen.push(`${who} ${kind} ${path}`);
    expect(await client.exists("/w", { watch: note("exists") })).toBeNull();
    await client.create("/w");
    await client.get("/w", { watch: note("get") });
    await client.children("/w", { watch: note("children") });
    const persistent = note("persistent");
    await client.watch("/w", "persistent", persistent);
    await client.watch("/", "recursive", note("recursive"));
    await client.set("/w", "1", -1);
    await client.create("/w/x");
    await client.set("/w/x", "2", -1);
    await client.unwatch("/w", persistent);
    await client.delete("/w/x", -1);
    await client.delete("/w", -1);
    await client.sync("/");
    expect(seen.sort()).toEqual(
      [
        "exists created /w",
        "get changed /w",
        "children children /w",
        "persistent changed /w",
        "persistent children /w",
        "recursive changed /w",
        "recursive created /w/x",
        "recursive changed /w/x",
        "recursive deleted /w/x",
        "recursive deleted /w",
      ].sort(),
    );
  });

  it("understands answers delivered byte by byte", async () => {
    const { client, states } = await through({ chroot: `/t${serial++}` });
    proxy.bytewise = true;
    await client.ensure("/");
    await client.create("/a", { data: "x".repeat(500) });
    expect((await client.get("/a")).data.length).toBe(500);
    await cut(states);
    expect((await client.get("/a", { limitMs: 5000 })).data.length).toBe(500);
  });

  it("survives a cut at every offset of an answer", async () => {
    const { client, states } = await through({ chroot: `/t${serial++}` });
    await client.ensure("/");
    await client.create("/a", { data: "twelve bytes" });
    // 4 of length, 16 of header, 4 + 12 of data, 68 of stat.
    for (let offset = 0; offset < 104; offset++) {
      proxy.cutAfterBytes = offset;
      await expect(client.get("/a")).rejects.toMatchObject({ code: "CONNECTION_LOSS", maybeApplied: true });
      proxy.cutAfterBytes = null;
      expect((await client.get("/a")).data.toString()).toBe("twelve bytes");
    }
    expect(states).not.toContain("lost");
    expect(client.session.generation).toBe(1);
  });

  it("gives up on a hello that never comes, and connects when it does", async () => {
    proxy = await FaultProxy.start(zk.servers[0]!.port);
    proxy.swallowAnswers = true;
    const { client } = clientOf(proxy.port, { sessionMs: 1000 });
    closing.splice(closing.length - 1, 0, () => proxy.close());
    await until(() => proxy.connections >= 2, "it has tried again");
    proxy.swallowAnswers = false;
    await until(() => client.state === "connected", "connected");
  });

  it("ends a connection whose answers come in another order", async () => {
    const { client, states } = await through();
    let lied = false;
    proxy.rewrite = (chunk) => {
      if (lied || chunk.readInt32BE(4) < 0) return chunk;
      lied = true;
      const other = Buffer.from(chunk);
      other.writeInt32BE(12_345, 4);
      return other;
    };
    await expect(client.exists("/")).rejects.toMatchObject({ code: "CONNECTION_LOSS" });
    expect(await client.exists("/")).not.toBeNull();
    expect(states).toEqual(["connected", "suspended", "connected"]);
  });

  it("ends a connection whose frame is longer than anything should be", async () => {
    const { client } = await through();
    proxy.rewrite = () => new JuteWriter().int(0x7fff_0000).bytes;
    await expect(client.exists("/")).rejects.toMatchObject({ code: "CONNECTION_LOSS" });
    proxy.rewrite = null;
    expect(await client.exists("/")).not.toBeNull();
  });

  it("says that a request whose answer was lost may have been carried out, and does not repeat it", async () => {
    const { client } = await through({ chroot: `/t${serial++}` });
    await client.ensure("/");
    proxy.swallowAnswers = true;
    const create = client.create("/n-", { mode: "persistent-sequential" });
    const direct = clientOf(zk.servers[0]!.port, { chroot: `/t${serial - 1}` }).client;
    await until(async () => (await direct.children("/")).children.length === 1, "the server has done it");
    proxy.cut();
    proxy.swallowAnswers = false;
    await expect(create).rejects.toMatchObject({ code: "CONNECTION_LOSS", maybeApplied: true });
    await client.sync("/");
    expect((await client.children("/")).children.length).toBe(1);
  });

  it("goes on in the same session after a cut: ephemeral nodes stay, every kind of watch fires for what happened meanwhile", async () => {
    const { client, states } = await through({ chroot: `/t${serial++}`, sessionMs: 5000 });
    await client.ensure("/");
    const direct = clientOf(zk.servers[0]!.port, { chroot: `/t${serial - 1}` }).client;
    await client.create("/e", { mode: "ephemeral" });
    await client.create("/d");
    await client.create("/p");
    const seen: string[] = [];
    const watch = ({ kind, path }: { kind: string; path: string }): unknown => seen.push(`${kind} ${path}`);
    await client.get("/d", { watch });
    await client.exists("/x", { watch });
    await client.children("/p", { watch });
    await client.watch("/d", "persistent", (event) => seen.push(`persistent ${event.kind}`));
    await client.watch("/p", "recursive", (event) => seen.push(`recursive ${event.kind} ${event.path}`));
    proxy.refusing = true;
    proxy.cut();
    await until(() => client.state === "suspended", "suspended");
    await direct.set("/d", "1", -1);
    await direct.create("/x");
    await direct.create("/p/c");
    proxy.refusing = false;
    await until(() => client.state === "connected", "connected");
    await until(() => seen.length >= 4, "the watches fire");
    // A persistent watch on the same node hears of what a one-shot watch beside it is told.
    expect(seen.splice(0).sort()).toEqual(["changed /d", "children /p", "created /x", "persistent changed"]);
    await direct.set("/d", "2", -1);
    await direct.set("/p/c", "3", -1);
    await until(() => seen.length >= 2, "the persistent ones are armed again");
    expect(seen.sort()).toEqual(["persistent changed", "recursive changed /p/c"]);
    expect((await client.get("/e")).stat.ephemeralOwner).toBe(client.session.id);
    expect(states).not.toContain("lost");
  });

  it("a session that has expired is lost at the next connection: watches and waiting requests end, a new one begins", async () => {
    const { client, states } = await through({ chroot: `/t${serial++}` });
    await client.ensure("/");
    await client.create("/e", { mode: "ephemeral" });
    let told = 0;
    await client.get("/e", { watch: () => told++ });
    const { id } = client.session;
    proxy.refusing = true;
    proxy.cut();
    await until(() => client.state === "suspended", "suspended");
    const waiting = client.get("/e");
    const failed = expect(waiting).rejects.toMatchObject({ code: "SESSION_EXPIRED", maybeApplied: false });
    await expireSession(client, zk.servers[0]!.port);
    proxy.refusing = false;
    await until(() => client.session.generation === 2 && client.state === "connected", "a new session");
    await failed;
    expect(client.session.id).not.toBe(id);
    expect(states).toEqual(["connected", "suspended", "lost", "connecting", "connected"]);
    expect(await client.exists("/e")).toBeNull();
    expect(told).toBe(0);
    expect(client.session.watches.size).toBe(0);
  });

  it("a black hole suspends within 2T/3 + 0.3 s, and the lease has ended before the server expires the session", async () => {
    const { client, states } = await through({ chroot: `/t${serial++}`, sessionMs: 3000 });
    await client.ensure("/");
    await client.create("/e", { mode: "ephemeral" });
    const watcher = clientOf(zk.servers[0]!.port, { chroot: `/t${serial - 1}` }).client;
    let goneAt = 0;
    await watcher.exists("/e", { watch: () => (goneAt = performance.now()) });
    const { timeoutMs } = client.session;
    expect(client.session.leaseUntilMs).toBeGreaterThan(performance.now());
    await client.sync("/");
    const from = performance.now();
    proxy.blackHole = true;
    await until(() => client.state === "suspended", "suspended");
    expect(performance.now() - from).toBeLessThan((2 * timeoutMs) / 3 + 300);
    expect(client.session.leaseUntilMs).toBe(0);
    const suspendedAt = performance.now();
    await until(() => goneAt > 0, "the server has expired the session");
    expect(goneAt).toBeGreaterThan(suspendedAt);
    proxy.cut();
    proxy.blackHole = false;
    await until(() => states.includes("lost") && client.state === "connected", "a new session");
  });

  it("speaks TLS to a server whose certificate it is told to trust, and to no other", async () => {
    const folder = temporaryFolder();
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    execFileSync(
      "openssl",
      `req -x509 -newkey rsa:2048 -nodes -keyout ${key} -out ${cert} -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1`.split(
        " ",
      ),
      { stdio: "ignore" },
    );
    // Debian's server needs a Java key store for TLS of its own: here TLS ends just before it.
    const front = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (secure) => {
      const plain = connect({ host: "127.0.0.1", port: zk.servers[0]!.port });
      for (const [from, to] of [
        [secure, plain],
        [plain, secure],
      ] as const) {
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
      }
    });
    await new Promise<void>((done) => front.listen(0, "127.0.0.1", done));
    const { port } = front.address() as AddressInfo;
    try {
      const trusted = clientOf(port, { tls: trusting(readFileSync(cert, "utf8")), chroot: `/t${serial++}` }).client;
      await trusted.ensure("/");
      expect((await trusted.children("/")).children).toEqual([]);
      await trusted.close();
      const reasons: string[] = [];
      const wary = clientOf(port, { tls: {}, unreachable: (reason) => reasons.push(reason) }).client;
      await until(() => reasons.length > 0, "it has been refused");
      expect(reasons[0]).toContain("self-signed certificate");
      expect(wary.state).toBe("connecting");
      await wary.close();
    } finally {
      await new Promise<void>((done) => front.close(() => done()));
    }
  });

  it("closes once, leaves no handle, and answers what was waiting", async () => {
    const client = await fresh();
    const waiting = client.get("/", { limitMs: 60_000 });
    await Promise.all([client.close(), client.close(), waiting.catch(() => null)]);
    expect(client.state).toBe("closed");
    await expect(client.get("/")).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("a caller's signal and its limit end its wait", async () => {
    const { client, states } = await through();
    proxy.blackHole = true;
    const abort = new AbortController();
    const aborted = client.get("/", { signal: abort.signal });
    const late = client.get("/", { limitMs: 50 });
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED", maybeApplied: true });
    await expect(late).rejects.toMatchObject({ code: "OPERATION_TIMEOUT", maybeApplied: true });
    await expect(client.get("/", { signal: abort.signal })).rejects.toMatchObject({
      code: "ABORTED",
      maybeApplied: false,
    });
    proxy.blackHole = false;
    await cut(states);
    expect(await client.exists("/")).not.toBeNull();
  });

  it("20,000 watch cycles and 1,000 reconnections leave the heap as it was", async () => {
    const script = `
      import { ZooKeeperClient } from ${JSON.stringify(new URL("../../dist/zookeeper/client.js", import.meta.url).href)};
      const client = new ZooKeeperClient({ servers: [{ host: "127.0.0.1", port: ${zk.servers[0]!.port} }], sessionMs: 10000, chroot: "/heap" });
      await client.ensure("/"); await client.create("/w").catch(() => {});
      const cycles = async (count) => { let fired = 0; for (let i = 0; i < count; i++) { await client.get("/w", { watch: () => fired++ }); await client.set("/w", String(i), -1); } return fired; };
      const connected = async () => { for (;;) { if (client.state === "connected") return; await new Promise((r) => setImmediate(r)); } };
      const reconnect = async (count) => { for (let i = 0; i < count; i++) { await connected(); client.session.dropConnection("test"); await client.exists("/w"); } };
      const heap = () => { gc(); gc(); return process.memoryUsage().heapUsed; };
      await cycles(2000); await reconnect(100);
      const before = heap();
      const fired = await cycles(20000); await reconnect(1000);
      const after = heap();
      const generation = client.session.generation;
      await client.close();
      const left = process.getActiveResourcesInfo().filter((name) => !/^(TTYWrap|PipeWrap)$/.test(name));
      console.log(JSON.stringify({ fired, grown: after - before, generation, left, watches: client.session.watches.size }));`;
    const file = `${mkdtempSync("/tmp/gyre-heap-")}/heap.mjs`;
    (await import("node:fs")).writeFileSync(file, script);
    const output = execFileSync(process.execPath, ["--expose-gc", file], { encoding: "utf8", timeout: 120_000 });
    const result = JSON.parse(output) as {
      fired: number;
      grown: number;
      generation: number;
      left: string[];
      watches: number;
    };
    expect(result).toMatchObject({ fired: 20_000, generation: 1, left: [], watches: 0 });
    expect(result.grown).toBeLessThan(1_000_000);
  }, 120_000);
});
