import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { bindingOf, ChannelAcceptor, dialChannel, isEncrypted, keyOf, type ChannelOptions } from "./channel.ts";

const cluster = "c";
const [secret, older, other] = ["the secret of the cluster", "the one before that one", "somebody else's secret"];
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

interface Met {
  readonly accepted: Promise<Socket | string>;
  readonly dialled: Promise<Socket | string>;
  /** What has come first, and what went over the wire for it. */
  readonly first: () => Buffer | null;
  readonly seen: () => Buffer;
}

async function meet(options: Partial<ChannelOptions>, dialling: { tls: "on" | "off"; secret: string }): Promise<Met> {
  const seen: Buffer[] = [];
  let first: Buffer | null = null;
  let accepted: (how: Socket | string) => void = () => {};
  const acceptance = new Promise<Socket | string>((resolve) => (accepted = resolve));
  const server = createServer((socket) => {
    socket.on("error", () => {});
    const ready = (channel: Socket): void => {
      channel.once("data", (bytes: Buffer) => (first = bytes));
      accepted(channel);
    };
    new ChannelAcceptor({ tls: "auto", cluster, secrets: [secret], ...options }).accept(socket, ready, (reason) => {
      accepted(reason);
      socket.destroy();
    });
  }).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  // Between the two, so that what passes can be looked at.
  const between = createServer((near) => {
    const far = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
    near.on("data", (bytes) => seen.push(bytes));
    near.pipe(far).pipe(near);
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on("error", end);
  }).listen(0, "127.0.0.1");
  servers.push(between);
  await once(between, "listening");
  const address = { host: "127.0.0.1", port: (between.address() as AddressInfo).port };
  const dialled = new Promise<Socket | string>((resolve) => {
    const socket = dialChannel(address, { cluster, ...dialling }, () => {
      socket.write("a word that nobody else should read");
      resolve(socket);
    });
    socket.once("error", (error) => resolve(error.message));
  });
  return { accepted: acceptance, dialled, first: () => first, seen: () => Buffer.concat(seen) };
}

describe("a channel", () => {
  it("is encrypted by the secret: both ends have the same binding, and nothing can be read between", async () => {
    const { accepted, dialled, first, seen } = await meet({}, { tls: "on", secret });
    const [there, here] = [(await accepted) as Socket, (await dialled) as Socket];
    while (first() === null) await new Promise((again) => setImmediate(again));
    expect(first()!.toString()).toBe("a word that nobody else should read");
    expect(bindingOf(there).equals(bindingOf(here))).toBe(true);
    expect(bindingOf(here)).toHaveLength(32);
    expect(seen().includes("nobody else")).toBe(false);
    here.destroy();
    there.destroy();
  });

  it("is in clear where that is wanted, and says so", async () => {
    const { accepted, dialled, first, seen } = await meet({}, { tls: "off", secret });
    const [there, here] = [(await accepted) as Socket, (await dialled) as Socket];
    while (first() === null) await new Promise((again) => setImmediate(again));
    expect(first()!.toString()).toBe("a word that nobody else should read");
    expect([bindingOf(there).length, seen().includes("nobody else")]).toEqual([0, true]);
    here.destroy();
    there.destroy();
  });

  it("takes older secrets too, and no others", async () => {
    const rotating = await meet({ secrets: [secret, older] }, { tls: "on", secret: older });
    const here = await rotating.dialled;
    expect(typeof here).not.toBe("string");
    (here as Socket).destroy();
    const wrong = await meet({ secrets: [secret, older] }, { tls: "on", secret: other });
    expect(await wrong.accepted).toMatch(/^TLS failed/);
    expect(await wrong.dialled, "what an operator has to look for").toContain(
      "it does not know the secret, or belongs to another cluster",
    );
  });

  it("goes by where the other end is", () => {
    const elsewhere = { host: "192.0.2.1", port: 1 };
    const here = { host: "127.0.0.1", port: 1 };
    expect([isEncrypted("auto", elsewhere), isEncrypted("auto", here)]).toEqual([true, false]);
    expect([isEncrypted("on", here), isEncrypted("off", elsewhere)]).toEqual([true, false]);
  });

  it("has a key that is another for another cluster or secret, and an identity that tells nothing of it", () => {
    const [one, two, three] = [keyOf("c", secret), keyOf("d", secret), keyOf("c", other)];
    expect(new Set([one, two, three].map(({ psk }) => psk.toString("hex"))).size).toBe(3);
    expect(new Set([one, two, three].map(({ identity }) => identity)).size).toBe(3);
    expect(keyOf("c", secret)).toBe(one);
  });
});
