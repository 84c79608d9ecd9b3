/** Members that speak another version of the peer protocol. */
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, expect, it } from "vitest";
import { hostPortOf } from "../../src/base/host-port.ts";
import { FrameReader, FrameType, FrameWriter, PayloadReader, protocolVersion } from "../../src/peer/frames.ts";
import { Link } from "../../src/peer/link.ts";
import { endAll, secret, startMember, statusOf, until, type TestMember } from "../support/member.ts";

const otherVersion = protocolVersion - 1;
const servers: Server[] = [];
const links: Link[] = [];
afterEach(async () => {
  for (const link of links.splice(0)) link.close();
  for (const server of servers.splice(0)) server.close();
  await endAll();
});

/** What a member of another version says to a hello. @returns where it listens. */
async function otherPeer(): Promise<string> {
  const server = createServer((socket) => {
    const frames = new FrameReader();
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      frames.feed(bytes, ({ payload }) => {
        const out = new FrameWriter();
        out.begin(FrameType.goodbye, 0, 0);
        out.text(`protocol version ${new PayloadReader(payload).u8()}; this member speaks ${otherVersion}`);
        out.end();
        socket.end(Buffer.concat(out.take()));
      });
    });
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Announces a member of another version, as a coordinator that knows nothing of versions would take it. */
async function announce(first: TestMember, name: string): Promise<void> {
  const { members } = await statusOf(first);
  const facts = { peer: await otherPeer(), startedMs: 1, settings: "0", state: "active", tls: false };
  const address = hostPortOf(first.peer)!;
  await new Promise<unknown>((done, fail) => {
    const link = new Link(
      { cluster: "gyre", secret, self: name, purpose: "coordinator", expected: null, address },
      {
        up: () =>
          void link
            .call("coordination.open", {
              session: "a session of some length",
              member: { ...members[0], ...facts, name },
            })
            .then(done, fail),
        gone: (reason) => fail(new Error(reason)),
        note: () => {},
      },
    );
    links.push(link);
  });
  await until(async () => (await statusOf(first)).members.some((one) => one.name === name), `${name} is in the view`);
}

it("are no cluster with it: a member that finds one there leaves, and says what to do", async () => {
  const first = await startMember(["--name", "m1"]);
  await announce(first, "old");
  await expect(startMember(["--name", "m2", "--coordinator", `http://${first.peer}`])).rejects.toThrow(
    `old speaks version ${otherVersion} of the peer protocol, and this member ${protocolVersion}: they cannot be one cluster`,
  );
  const names = async (): Promise<string[]> => (await statusOf(first)).members.map(({ name }) => name);
  await until(async () => !(await names()).includes("m2"), "m2 has left the view");
}, 30_000);
