/**
 * The two roles of a member: forward proxy with tunnels, reverse proxy with routes; TLS on either side; who may use it
 * for what.
 */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { AnswerHead } from "../../src/wire/answer-head.ts";
import { WireServer } from "../../src/wire/server.ts";
import { ask, rawExchange, RawClient, statuses, through } from "../support/client.ts";
import { endAll, startCluster, startMember, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { freePort } from "../support/nginx.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const folder = temporaryFolder();
const closing: (() => Promise<void> | void)[] = [];
let origin: TestOrigin;

/** A certificate made for this run. */
function certificate(name: string): { cert: string; key: string } {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const made = spawnSync("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    "-addext",
    `subjectAltName=DNS:${name},IP:127.0.0.1`,
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  if (made.status !== 0) throw new Error(made.stderr.toString());
  return { cert, key };
}

beforeAll(async () => {
  origin = await startOrigin((request, response, asked) => {
    if (request.url!.startsWith("/fields"))
      return response.setHeader("cache-control", "no-store").end(JSON.stringify(request.headers));
    response.setHeader("cache-control", "max-age=60");
    return response.end(
      asked.body.length > 0 ? createHash("sha256").update(asked.body).digest("hex") : `origin ${request.url}`,
    );
  });
});
afterEach(async () => {
  await endAll();
  for (const close of closing.splice(0)) await close();
});
afterAll(() => origin.close());

async function listening(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe("the forward proxy", () => {
  it("speaks TLS to an https origin, caches its answers, and refuses a certificate that it cannot trust", async () => {
    const { cert, key } = certificate("localhost");
    let asked = 0;
    const secure = createHttpsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_request, response) => {
      asked++;
      response.setHeader("cache-control", "max-age=60");
      response.end("over TLS");
    });
    const port = await listening(secure);
    const trusting = await startMember(["--ca", cert]);
    const url = `https://localhost:${port}/`;
    expect((await through(trusting.port, url)).text).toBe("over TLS");
    expect((await through(trusting.port, url)).cacheStatus).toContain("hit");
    expect(asked).toBe(1);
    const strict = await startMember();
    const refused = await through(strict.port, url);
    expect(refused.status).toBe(502);
    expect(refused.text).toMatch(/TLS with localhost:\d+ failed: .*\(\w+\)/);
  });

  it("tunnels CONNECT byte for byte with half-close, and closes a tunnel where nothing moves (RFC 9110 §9.3.6)", async () => {
    const echo = createServer({ allowHalfOpen: true }, (socket) => {
      const hash = createHash("sha256");
      socket.on("error", () => socket.destroy());
      socket.on("data", (bytes: Buffer) => hash.update(bytes));
      socket.on("end", () => socket.end(hash.digest("hex")));
    });
    const port = await listening(echo);
    const member = await startMember(["--connect-ports", "any", "--tunnel-idle", "600ms"]);
    const client = await RawClient.open(member.port);
    client.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await client.until((text) => text.includes("\r\n\r\n"), "the tunnel opens");
    expect(client.received).toContain("200 Connection Established");
    const bytes = randomBytes(500_000);
    client.socket.end(bytes);
    const received = await client.end();
    expect(received.endsWith(createHash("sha256").update(bytes).digest("hex"))).toBe(true);
    const idle = await RawClient.open(member.port);
    idle.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await idle.end();
  });

  it("keeps a tunnel in which something has come while this member stood still for longer than it may be idle", async () => {
    const echo = createServer((socket) => void socket.on("error", () => socket.destroy()).pipe(socket));
    const port = await listening(echo);
    const member = await startMember(["--connect-ports", "any", "--tunnel-idle", "1s"]);
    const client = await RawClient.open(member.port);
    client.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await client.until((text) => text.includes("\r\n\r\n"), "the tunnel opens");
    process.kill(member.pid, "SIGSTOP");
    client.send("still here");
    // The length of the pause is what this is about.
    await new Promise((over) => setTimeout(over, 2000));
    process.kill(member.pid, "SIGCONT");
    await client.until((text) => text.endsWith("still here"), "what was sent comes back");
    client.close();
    echo.close();
  });

  it("leads nobody from elsewhere to an admin port, where he would be taken for this machine's", async () => {
    const flags = ["--listen", "127.0.0.1:0,proxy-protocol", "--allow", "198.51.100.0/24", "--connect-ports", "any"];
    const [one, two] = await startCluster(2, [...flags, "--allow-destination", "127.0.0.0/8"]);
    const said = async (place: string, asked: string): Promise<string> => {
      const connect = `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`;
      const client = await RawClient.open(one!.port);
      client.send(`PROXY TCP4 198.51.100.7 127.0.0.1 5000 80\r\n${connect}`);
      await client.until((text) => text.includes("\r\n\r\n"), "an answer");
      if (client.received.startsWith("HTTP/1.1 200")) client.send(asked);
      return client.end();
    };
    for (const { admin } of [one!, two!])
      for (const place of [admin, admin.replace("127.0.0.1", "localhost")])
        expect(await said(place, `GET /api/status HTTP/1.1\r\nHost: ${admin}\r\nConnection: close\r\n\r\n`)).toMatch(
          /^HTTP\/1\.1 403 /,
        );
    const { port } = new URL(origin.url);
    const asked = "GET /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    expect(await said(`127.0.0.1:${port}`, asked)).toContain("HTTP/1.1 200 OK");
  });

  it("keeps CONNECT to the ports it is for", async () => {
    const member = await startMember();
    const client = await RawClient.open(member.port);
    client.send("CONNECT 127.0.0.1:25 HTTP/1.1\r\nHost: 127.0.0.1:25\r\n\r\n");
    await client.until((text) => text.includes("403 Forbidden"), "the refusal");
    client.close();
  });

  it("ends with a CONNECT that it refuses: what a client has sent ahead into the tunnel is no request (RFC 9931)", async () => {
    const unreachable = await freePort();
    for (const threads of ["1", "2"]) {
      const member = await startMember(["--connect-ports", `443,${unreachable}`, "--threads", threads]);
      for (const [place, status] of [
        ["127.0.0.1:25", 403],
        [`127.0.0.1:${unreachable}`, 502],
      ] as const) {
        const ahead = `GET http://127.0.0.1:${unreachable}/ HTTP/1.1\r\nHost: x\r\n\r\n`;
        const asking = `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n${ahead}`;
        const received = await rawExchange(member.port, asking);
        expect(statuses(received)).toEqual([status]);
        expect(received).toContain("connection: close");
      }
    }
  });

  it("passes WebSocket upgrades through, and answers that decline them as ordinary ones (RFC 9110 §7.8)", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", (bytes: Buffer) => {
        if (!bytes.includes("GET /ws"))
          return void socket.end("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\n\r\nnope");
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello",
        );
        return void socket.on("data", (more: Buffer) => socket.write(more));
      });
    });
    const port = await listening(server);
    const member = await startMember();
    const client = await RawClient.open(member.port);
    const request = (path: string): string =>
      `GET http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n`;
    client.send(request("/ws"));
    await client.until((text) => text.includes("hello"), "the switch, and the first bytes");
    expect(client.received).toMatch(/^HTTP\/1\.1 101 /);
    client.send("ping");
    await client.until((text) => text.endsWith("ping"), "the echo");
    client.close();
    const declined = await RawClient.open(member.port);
    declined.send(request("/other"));
    await declined.until(
      (text) => text.includes("426 Upgrade Required") && text.endsWith("nope"),
      "the declining answer",
    );
    declined.close();
  });

  it("streams content both ways for methods that a cache does not touch", async () => {
    const member = await startMember();
    const body = randomBytes(3_000_000);
    const answer = await through(member.port, `${origin.url}/upload`, { method: "PUT", body });
    expect(answer.text).toBe(createHash("sha256").update(body).digest("hex"));
  });

  it("notices a request that comes back to its own cluster", async () => {
    const member = await startMember();
    const answer = await through(member.port, `http://${member.listen}/`);
    expect([400, 508]).toContain(answer.status);
    const looping = await startMember();
    const reverse = await startMember(["--origin", `http://${looping.listen}`, "--forward", "true"]);
    const first = await ask(reverse.port, "/", { headers: { host: looping.listen } });
    expect([400, 508]).toContain(first.status);
  });

  it("says what to do to somebody who uses it as an ordinary server", async () => {
    const member = await startMember();
    const answer = await ask(member.port, "/");
    expect(answer.status).toBe(400);
    expect(answer.text).toContain("curl -x");
  });
});

describe("the reverse proxy", () => {
  it("gives the origin the Host and the Forwarded fields that it expects, and believes no client's (RFC 9110 §7.2, §7.6.3)", async () => {
    const member = await startMember(["--origin", origin.url]);
    const seen = JSON.parse(
      (
        await ask(member.port, "/fields", {
          headers: { host: "shop.example", "x-forwarded-for": "6.6.6.6", forwarded: "for=6.6.6.6" },
        })
      ).text,
    ) as Record<string, string>;
    expect(seen["host"]).toBe("shop.example");
    expect(seen["x-forwarded-for"]).toBe("127.0.0.1");
    expect(seen["x-forwarded-host"]).toBe("shop.example");
    expect(seen["x-forwarded-proto"]).toBe("http");
    expect(seen["forwarded"]).toBe("for=127.0.0.1;host=shop.example;proto=http");
    expect(seen["via"]).toMatch(/^1\.1 m1/);
    expect(seen["cdn-loop"]).toMatch(/^gyre-/);
    const trusting = await startMember([
      "--origin",
      origin.url,
      "--trust-forwarded",
      "127.0.0.1",
      "--host-field",
      "origin",
    ]);
    const trusted = JSON.parse(
      (await ask(trusting.port, "/fields", { headers: { host: "shop.example", "x-forwarded-for": "6.6.6.6" } })).text,
    ) as Record<string, string>;
    expect(trusted["x-forwarded-for"]).toBe("6.6.6.6, 127.0.0.1");
    expect(trusted["host"]).toBe(new URL(origin.url).host);
  });

  it("routes by host and path prefix, turns to the next origin when one is dead, and applies each route's rules (RFC 9110 §7.1, RFC 9111 §2)", async () => {
    const dead = await new Promise<number>((done) => {
      const server = createServer();
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo;
        server.close(() => done(port));
      });
    });
    const file = join(folder, "routes.yaml");
    writeFileSync(
      file,
      `routes:
  - { host: a.example, path: /api, origins: ["http://127.0.0.1:${dead}", "${origin.url}"], rest-after: 1, retries: 0 }
  - { host: "*.b.example", origin: "${origin.url}", caching: { query-ignore: [utm], freshness: 1h } }
  - { host: c.example, origin: "${origin.url}", caching: { store: false } }
`,
    );
    const member = await startMember(["--config", file]);
    const get = (host: string, path: string) => ask(member.port, path, { headers: { host } });
    expect((await get("a.example", "/other")).status).toBe(404);
    expect((await get("unknown.example", "/")).status).toBe(404);
    expect((await get("a.example", "/apis")).status).toBe(404);
    await until(
      async () => (await get("a.example", `/api/${Math.floor(performance.now())}`)).status === 200,
      "the living origin answers",
    );
    expect((await get("a.example", "/api/after")).status).toBe(200);
    await get("x.b.example", "/page?utm=1");
    const ignored = await get("x.b.example", "/page?utm=2");
    expect(ignored.cacheStatus).toMatch(/hit; ttl=3\d{3}; key="http:\/\/x\.b\.example\/page"$/);
    await get("c.example", "/never");
    expect((await get("c.example", "/never")).cacheStatus).toContain("fwd=uri-miss");
  });

  it("terminates TLS, chooses the certificate by name, and takes up new ones on SIGHUP", async () => {
    const [one, two] = [certificate("one.example"), certificate("two.example")];
    const file = join(folder, "tls.yaml");
    writeFileSync(
      file,
      `origin: ${origin.url}\ntls:\n  - { cert: ${one.cert}, key: ${one.key} }\n  - { names: [two.example], cert: ${two.cert}, key: ${two.key} }\n`,
    );
    const member = await startMember(["--config", file]);
    expect(await subjectFor(member, "one.example")).toBe("one.example");
    expect(await subjectFor(member, "two.example")).toBe("two.example");
    const socket = tlsConnect({
      host: "127.0.0.1",
      port: member.port,
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
    });
    let received = "";
    socket.on("data", (bytes: Buffer) => (received += bytes.toString()));
    socket.write("GET /tls HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n");
    await new Promise((done) => socket.once("end", done));
    expect(socket.alpnProtocol).toBe("http/1.1");
    expect(received).toContain("origin /tls");
    const three = certificate("three.example");
    writeFileSync(file, `origin: ${origin.url}\ntls:\n  - { cert: ${three.cert}, key: ${three.key} }\n`);
    member.child.kill("SIGHUP");
    await until(
      async () => (await subjectFor(member, "one.example")) === "three.example",
      "the new certificate is used",
    );
    writeFileSync(file, "origin: not a URL\nnonsense: 1\n");
    member.child.kill("SIGHUP");
    await until(() => member.output().includes("was not reloaded"), "the refusal is logged");
    expect(await subjectFor(member, "one.example")).toBe("three.example");
  });

  it("takes Max-Forwards down by one, and answers OPTIONS and TRACE itself where it is 0 (RFC 9110 §7.6.2)", async () => {
    const member = await startMember(["--origin", origin.url]);
    const travelling = (method: string, forwards: string) =>
      ask(member.port, "/fields", { method, headers: { host: "h", "max-forwards": forwards } });
    const before = origin.asked.length;
    const ended = await travelling("OPTIONS", "0");
    expect(ended.status).toBe(204);
    expect(ended.headers.allow).toContain("OPTIONS");
    expect((await travelling("TRACE", "0")).status).toBe(405);
    expect(origin.asked.length).toBe(before);
    expect(JSON.parse((await travelling("OPTIONS", "2")).text)).toMatchObject({ "max-forwards": "1" });
  });

  it("takes the client's address from a PROXY header, and nobody without one", async () => {
    const member = await startMember(["--origin", origin.url, "--proxy-protocol", "true"]);
    const client = await RawClient.open(member.port);
    client.send(
      "PROXY TCP4 127.0.0.7 127.0.0.1 5000 80\r\nGET /fields HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    expect(await client.end()).toContain('"x-forwarded-for":"127.0.0.7"');
    const bare = await RawClient.open(member.port);
    expect(await bare.send("GET /fields HTTP/1.1\r\nHost: h\r\n\r\n").end()).toBe("");
  });

  it("asks of a client in a PROXY header, too, whether it is admitted", async () => {
    const server = new WireServer({
      proxyProtocol: true,
      admits: (address) => address !== "127.0.0.9",
      isLocal: () => true,
      handle: (exchange) => {
        exchange.answer(AnswerHead.of(200, [], 0), "", null);
      },
    });
    const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
    const from = async (address: string): Promise<string> => {
      const client = await RawClient.open(port);
      return client
        .send(`PROXY TCP4 ${address} 127.0.0.1 5000 80\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`)
        .end();
    };
    expect(await from("127.0.0.8")).toContain("200 OK");
    expect(await from("127.0.0.9")).toBe("");
    await server.close(1000);
  });
});

function subjectFor(member: TestMember, name: string): Promise<string> {
  return new Promise((done, fail) => {
    const socket = tlsConnect(
      { host: "127.0.0.1", port: member.port, servername: name, rejectUnauthorized: false },
      () => {
        done(socket.getPeerCertificate().subject.CN as string);
        socket.destroy();
      },
    );
    socket.on("error", fail);
  });
}
