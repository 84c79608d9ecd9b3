/** Another proxy between a member and the origins. */
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, createServer as createNetServer, type AddressInfo, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { certificateFor, closing, deadOrigin, listening } from "../support/before-origins.ts";
import { RawClient, through } from "../support/client.ts";
import { startMember } from "../support/member.ts";
import { startOrigin } from "../support/origin.ts";

describe("a parent proxy", () => {
  /** A proxy that knows what it was asked, and opens tunnels; it wants to know who asks. */
  async function parentProxy() {
    const lines: string[] = [];
    const server = createServer((asked, response) => {
      lines.push(`${asked.method} ${asked.url} ${asked.headers["proxy-authorization"] ?? "nobody"}`);
      const target = new URL(asked.url!);
      httpRequest(
        { host: target.hostname, port: target.port, path: target.pathname, headers: { host: target.host } },
        (answer) => {
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        },
      ).end();
    });
    server.on("connect", (asked: IncomingMessage, socket: Socket, head: Buffer) => {
      lines.push(`${asked.method} ${asked.url} ${asked.headers["proxy-authorization"] ?? "nobody"}`);
      const [host, port] = asked.url!.split(":");
      const onward = connect(Number(port), host, () => {
        // The answer and the first bytes of the tunnel in one piece.
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        onward.write(head);
        onward.pipe(socket).pipe(onward);
      });
      onward.on("error", () => socket.destroy());
      socket.on("error", () => onward.destroy());
    });
    return { url: await listening(server), lines };
  }

  it("is asked with whole URIs for plain origins, for tunnels where TLS is spoken, and spared where settings say so", async () => {
    const { url, lines } = await parentProxy();
    const origin = await startOrigin((asked, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.end(`origin ${asked.url}`);
    });
    closing.push(origin.close);
    const { key, cert, ca } = certificateFor("localhost");
    const secure = createSecureServer({ key, cert }, (asked, response) => response.end(`secure ${asked.url}`));
    await new Promise<void>((done) => secure.listen(0, "127.0.0.1", done));
    closing.push(() => new Promise((done) => secure.close(done)));
    const securePort = (secure.address() as AddressInfo).port;
    const named = url.replace("http://", "http://me:secret@");
    const member = await startMember([
      "--forward",
      "true",
      "--parent",
      named,
      "--parent-except",
      "127.0.0.2",
      "--ca",
      ca,
    ]);
    closing.push(() => member.stop());
    const credentials = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    expect((await through(member.port, `${origin.url}/plain`)).text).toBe("origin /plain");
    expect((await through(member.port, `${origin.url}/plain`)).cacheStatus).toContain("hit");
    expect((await through(member.port, `https://localhost:${securePort}/tls`)).text).toBe("secure /tls");
    expect(lines).toEqual([`GET ${origin.url}/plain ${credentials}`, `CONNECT localhost:${securePort} ${credentials}`]);
    const client = await RawClient.open(member.port);
    const { port: dead } = new URL(await deadOrigin());
    client.send(`GET http://127.0.0.2:${dead}/ HTTP/1.1\r\nHost: 127.0.0.2:${dead}\r\n\r\n`);
    expect(await client.until((text) => text.includes("\r\n\r\n"), "an answer")).toMatch(/^HTTP\/1\.1 502 /);
    client.close();
    expect(lines).toHaveLength(2);
  });

  it("carries upgrades, and gets our credentials in nothing that it gives back", async () => {
    const { url, lines } = await parentProxy();
    const origin = createServer((asked, response) => response.end(JSON.stringify(asked.headers)));
    origin.on("upgrade", (_asked, socket) => {
      closing.push(() => socket.destroy());
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.on("data", (bytes: Buffer) => socket.write(`echo ${bytes.toString()}`));
    });
    const place = await listening(origin);
    const { host } = new URL(place);
    const member = await startMember(["--parent", url.replace("//", "//me:secret@")]);
    closing.push(() => member.stop());
    const client = await RawClient.open(member.port);
    client.send(`GET ${place}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n`);
    await client.until((text) => text.includes("101 Switching"), "the switch");
    client.send("hello");
    expect(await client.until((text) => text.includes("echo hello"), "the echo")).toContain("echo hello");
    client.close();
    expect(lines[0]).toMatch(/^CONNECT .* Basic /);
    await through(member.port, `${place}/`, { method: "TRACE", headers: { "max-forwards": "3" } });
    expect(lines.at(-1)).toBe(`TRACE ${place}/ nobody`);
  });

  it("carries clients' own tunnels", async () => {
    const { url, lines } = await parentProxy();
    const echo = createNetServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes: Buffer) => socket.write(`echo ${bytes.toString()}`));
    });
    const { port } = new URL(await listening(echo));
    const member = await startMember(["--parent", url, "--connect-ports", "any"]);
    closing.push(() => member.stop());
    const client = await RawClient.open(member.port);
    client.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await client.until((text) => text.includes("200 Connection Established"), "the tunnel");
    client.send("hello");
    expect(await client.until((text) => text.includes("echo"), "the echo")).toContain("echo hello");
    client.close();
    expect(lines).toEqual([`CONNECT 127.0.0.1:${port} nobody`]);
  });
});
