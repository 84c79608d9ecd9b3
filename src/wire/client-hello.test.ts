/** What a TLS client's first message says, however its bytes come. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { connect, type ConnectionOptions } from "node:tls";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clientHello } from "./client-hello.ts";

/** The first bytes that Node's own client sends. */
async function firstBytes(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, ...options });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [import("node:net").Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  client.destroy();
  server.close();
  return bytes;
}

describe("a client's hello", () => {
  it("says the name and the protocols, or neither", async () => {
    const named = await firstBytes({ servername: "one.test", ALPNProtocols: ["acme-tls/1"] });
    expect(clientHello(named)).toEqual({ kind: "hello", serverName: "one.test", protocols: ["acme-tls/1"] });
    const browser = await firstBytes({ servername: "two.test", ALPNProtocols: ["h2", "http/1.1"] });
    expect(clientHello(browser)).toMatchObject({ serverName: "two.test", protocols: ["h2", "http/1.1"] });
    expect(clientHello(await firstBytes({}))).toEqual({ kind: "hello", serverName: "", protocols: [] });
  });

  it("is waited for as long as there is less of it", async () => {
    const bytes = await firstBytes({ servername: "one.test" });
    for (let length = 0; length < bytes.length; length++)
      expect(clientHello(bytes.subarray(0, length)).kind, `${length} bytes`).toBe("more");
  });

  it("is left to TLS where it is anything else, and whatever is changed in it", async () => {
    const isOther = (text: string): boolean => clientHello(Buffer.from(text, "latin1")).kind === "other";
    expect(isOther("GET / HTTP/1.1\r\n\r\n")).toBe(true);
    // A record longer than any may be; and a server's message.
    expect(isOther("\x16\x03\x01\xff\xff")).toBe(true);
    expect(isOther("\x16\x03\x01\x00\x04\x02\x00\x00\x00")).toBe(true);
    const bytes = await firstBytes({ servername: "one.test", ALPNProtocols: ["acme-tls/1"] });
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
        const changed = Buffer.from(bytes);
        for (const [at, value] of changes) changed[at] = value;
        expect(["hello", "other", "more"]).toContain(clientHello(changed).kind);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (some) => void clientHello(Buffer.from(some))));
  });
});
