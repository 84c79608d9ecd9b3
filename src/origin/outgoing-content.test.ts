import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { expect, it } from "vitest";
import { certificateFor, closing, listening } from "../../test/support/before-origins.ts";
import { originSettings, type OriginHandler } from "./fetch.ts";
import { OriginClient } from "./origin-client.ts";

const silent: OriginHandler = { interim: () => {}, head: () => {}, data: () => {}, end: () => {}, failed: () => {} };

/**
 * An origin that answers a GET, ends that connection as soon as a PUT comes on it, and takes the PUT on the next one,
 * which it makes wait until `released`.
 */
async function origin() {
  const puts: string[] = [];
  const { cert, key } = certificateFor("localhost");
  const server = createTlsServer({ cert, key }, (socket) => {
    let [received, asked] = ["", 0];
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString("latin1");
      if (received.startsWith("GET")) {
        asked++;
        received = "";
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      } else if (asked > 0) socket.destroy();
      else if (received.endsWith("0\r\n\r\n")) {
        puts.push(received.slice(received.indexOf("\r\n\r\n") + 4));
        socket.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
      }
    });
  });
  await listening(server);
  const { port } = server.address() as AddressInfo;
  const waiting: (() => void)[] = [];
  let came = (): void => {};
  const second = new Promise<void>((done) => (came = done));
  let count = 0;
  const front = createServer((socket: Socket) => {
    const pass = (): void => {
      const inner = connect(port, "127.0.0.1");
      for (const [one, other] of [
        [socket, inner],
        [inner, socket],
      ] as const)
        one.on("error", () => {}).on("close", () => other.destroy());
      socket.pipe(inner).pipe(socket);
    };
    if (count++ === 0) return pass();
    waiting.push(pass);
    return came();
  });
  const url = (await listening(front)).replace("http:", "https:");
  return { url, puts, second, release: () => waiting.splice(0).forEach((pass) => pass()) };
}

it.each([{ parts: ["first ", "and last"] }, { parts: [] }])(
  "content that nobody has read when an idle connection turns out to be dead goes out whole on the next one: $parts",
  async ({ parts }: { readonly parts: string[] }) => {
    const { url, puts, second, release } = await origin();
    const client = new OriginClient(
      { inner: true, allowed: null, configured: true },
      { ...originSettings, verifyTls: false, tlsName: "localhost" },
    );
    closing.push(() => client.close());
    const fetch = (method: string, body: PassThrough | null) =>
      new Promise<number | string>((done) => {
        let seen = 0;
        client.fetch(
          { origin: url, method, path: "/", fields: ["host", "h"], body },
          {
            ...silent,
            head: (status) => (seen = status),
            end: () => done(seen),
            failed: (error) => done(error.message),
          },
        );
      });
    expect(await fetch("GET", null)).toBe(200);
    const body = new PassThrough();
    const put = fetch("PUT", body);
    if (parts.length === 0) body.end();
    await second;
    // While there is no connection for it, its first part comes.
    if (parts.length > 0) body.write(parts[0]!);
    await new Promise((done) => setImmediate(() => setImmediate(done)));
    release();
    if (parts.length > 0) body.end(parts[1]);
    expect(await put).toBe(201);
    expect(puts.map((text) => text.replace(/[0-9a-f]+\r\n([^\r]*)\r\n/g, "$1").replace("\r\n", ""))).toEqual([
      parts.join(""),
    ]);
  },
);
