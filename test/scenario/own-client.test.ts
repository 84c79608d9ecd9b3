/**
 * Origins as they are: early answers, unasked 100s, connections that end just when a request goes out, several of them
 * of which some are dead or ill, content by the gigabyte.
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer as createNetServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { spawn, spawnSync } from "node:child_process";
import { createServer as createSecureServer } from "node:https";
import type { TLSSocket } from "node:tls";
import { Agent } from "node:http";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { ask, RawClient, through } from "../support/client.ts";
import { endAll, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin } from "../support/origin.ts";
import { startRawOrigin } from "../support/raw-origin.ts";

const folder = temporaryFolder();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  // Whoever came last goes first.
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(endAll);

/** A member before these origins, with more settings for the route. */
async function memberBefore(origins: readonly string[], more = ""): Promise<TestMember> {
  const file = join(folder, `${origins.length}-${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(file, `routes:\n  - origins: [${origins.map((one) => `"${one}"`).join(", ")}]\n${more}`);
  const member = await startMember(["--config", file]);
  closing.push(() => member.stop());
  return member;
}

async function listening(server: Server | ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(
    () =>
      new Promise((done) => {
        server.close(done);
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function deadOrigin(): Promise<string> {
  const server = createNetServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return `http://127.0.0.1:${port}`;
}

/** A certificate for a name, which `ca` is the file of. */
function certificateFor(name: string): { readonly key: string; readonly cert: string; readonly ca: string } {
  const [ca, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  const made = spawnSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
    ...subject,
    "-keyout",
    key,
    "-out",
    ca,
  ]);
  if (made.status !== 0) throw new Error(made.stderr.toString());
  return { key: readFileSync(key, "utf8"), cert: readFileSync(ca, "utf8"), ca };
}

describe("one origin", () => {
  it("that answers an upload early and closes: its answer reaches the client (RFC 9110 §7.5)", async () => {
    const url = await listening(
      createNetServer((socket: Socket) => {
        socket.on("error", () => {});
        socket.once("data", () => {
          socket.end("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large");
        });
      }),
    );
    const member = await memberBefore([url]);
    for (let time = 0; time < 20; time++) {
      const client = await RawClient.open(member.port);
      client.send(`POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n${"x".repeat(200_000)}`);
      const received = await client.until((text) => text.includes("too large"), "the origin's word");
      expect(received).toMatch(/^HTTP\/1\.1 413 /);
      client.close();
    }
  });

  it("that answers an upload with an error at once, but reads it to its end, gets all of it, and its word is whole", async () => {
    let read = 0;
    const server = createServer((asked, response) => {
      response.writeHead(400);
      response.flushHeaders();
      asked.on("data", (bytes: Buffer) => (read += bytes.length));
      asked.on("end", () => response.end("why"));
    });
    const member = await memberBefore([await listening(server)]);
    const answer = await ask(member.port, "/", { method: "POST", body: "x".repeat(300_000) });
    expect([answer.status, answer.text, read]).toEqual([400, "why", 300_000]);
  });

  it("that streams has the time of content for its pauses, not that of a head; and each of them ends", async () => {
    const server = createServer((asked, response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.flushHeaders();
      if (asked.url === "/late") setTimeout(() => response.end("data: late\n\n"), 700);
    });
    const url = await listening(server);
    const patient = await memberBefore([url], "    head-timeout: 300ms\n    body-timeout: 30s\n");
    expect((await ask(patient.port, "/late")).text).toBe("data: late\n\n");
    const impatient = await memberBefore([url], "    head-timeout: 30s\n    body-timeout: 300ms\n");
    await expect(ask(impatient.port, "/never")).rejects.toThrow();
  });

  it("whose head trickles has the time of a head for all of it", async () => {
    const url = await listening(
      createNetServer((socket: Socket) => {
        socket.on("error", () => {});
        const timer = setInterval(() => socket.write("x"), 50);
        socket.on("close", () => clearInterval(timer));
        socket.write("HTTP/1.1 200 OK\r\nX: ");
      }),
    );
    const member = await memberBefore([url], "    head-timeout: 300ms\n");
    expect((await ask(member.port, "/")).status).toBe(504);
  });

  it("that says one length twice is understood, and clients are told it once; a POST without content says so", async () => {
    const origin = await startRawOrigin((asked) => {
      const length = asked.field("content-length") ?? "none";
      asked.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\nX-Length: ${length}\r\n\r\nbody`);
    });
    closing.push(() => origin.close());
    const member = await memberBefore([origin.url]);
    const answer = await ask(member.port, "/");
    expect([answer.headers["content-length"], answer.text, answer.headers["x-length"]]).toEqual(["4", "body", "none"]);
    expect((await ask(member.port, "/", { method: "POST" })).headers["x-length"]).toBe("0");
  });

  it("that sends 100 unasked, and 103, before its answer is asked once, and its answer passed on", async () => {
    const origin = await startRawOrigin((asked) => {
      asked.socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      asked.socket.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
      asked.answer("200 OK", ["Cache-Control: no-store"], "late");
    });
    closing.push(() => origin.close());
    const member = await memberBefore([origin.url]);
    expect(await ask(member.port, "/")).toMatchObject({ status: 200, text: "late" });
    expect(origin.requests).toHaveLength(1);
  });

  it("is asked for its word before a client's content is, where the client waits for it (RFC 9110 §10.1.1)", async () => {
    const heard: string[] = [];
    const origin = await startRawOrigin((asked) => {
      heard.push(asked.field("expect") ?? "none");
      if (asked.line.includes("refused")) asked.answer("417 Expectation Failed", []);
      else {
        asked.socket.write("HTTP/1.1 100 Continue\r\n\r\n");
        asked.socket.once("data", () => asked.answer("201 Created", [], "made"));
      }
    });
    closing.push(() => origin.close());
    const member = await memberBefore([origin.url]);
    const client = await RawClient.open(member.port);
    client.send("PUT /taken HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    await client.until((text) => text.includes("100 Continue"), "the word");
    client.send("body");
    expect(await client.until((text) => text.includes("made"), "the answer")).toContain("HTTP/1.1 201 Created");
    client.close();
    const other = await RawClient.open(member.port);
    other.send("PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const received = await other.until((text) => text.includes("417"), "the refusal");
    expect(received).not.toContain("100 Continue");
    other.close();
    expect(heard).toEqual(["100-continue", "100-continue"]);
  });

  it("whose answer ends by the connection alone is believed where that ends in order, and nothing else is stored", async () => {
    let resets = 0;
    const url = await listening(
      createNetServer((socket: Socket) => {
        socket.on("error", () => {});
        socket.once("data", (bytes) => {
          const reset = bytes.toString().includes("reset");
          socket.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\nhalf", () => {
            if (!reset) return socket.end();
            resets++;
            return setImmediate(() => socket.resetAndDestroy());
          });
        });
      }),
    );
    const member = await memberBefore([url]);
    expect((await ask(member.port, "/whole")).text).toBe("half");
    expect((await ask(member.port, "/whole")).cacheStatus).toContain("hit");
    for (let time = 0; time < 2; time++) await ask(member.port, "/reset").catch(() => null);
    expect(resets).toBe(2);
  });

  it("that closes idle connections just as requests go out costs no GET, and no POST is sent twice", async () => {
    const seen = new Map<string, number>();
    const server = createServer((asked: IncomingMessage, response: ServerResponse) => {
      const id = asked.url!;
      seen.set(id, (seen.get(id) ?? 0) + 1);
      response.setHeader("cache-control", "no-store");
      response.end("ok");
      // At the very moment when the next request may be on its way.
      if (Math.random() < 0.5) setImmediate(() => asked.socket.destroy());
    });
    const url = await listening(server);
    const member = await memberBefore([url]);
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const failed: string[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (next < 3000) {
          const index = next++;
          const method = index % 3 === 0 ? "POST" : "GET";
          const { status } = await ask(member.port, `/${method}-${index}`, {
            agent,
            method,
            ...(method === "POST" ? { body: "x" } : {}),
          });
          if (status !== 200 && method === "GET") failed.push(`${method} ${index}: ${status}`);
        }
      }),
    );
    agent.destroy();
    expect(failed).toEqual([]);
    expect([...seen].filter(([id, count]) => id.startsWith("/POST") && count > 1)).toEqual([]);
  }, 60_000);

  it("that fails again and again is an open circuit: what may be given stale is, without asking it each time", async () => {
    let asked = 0;
    const url = await listening(
      createNetServer((socket: Socket) => {
        socket.on("error", () => {});
        socket.once("data", () => {
          if (asked++ > 0) return socket.destroy();
          return socket.end(
            'HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-if-error=600\r\nETag: "1"\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood',
          );
        });
      }),
    );
    const member = await memberBefore([url], "    rest-after: 2\n    rest-for: 60s\n    retries: 0\n");
    for (let time = 0; time < 12; time++) expect((await ask(member.port, "/x")).text).toBe("good");
    expect(asked).toBe(3);
  });

  it("that asks for a certificate gets the route's; without one it refuses, and that is a 502", async () => {
    const [server, client] = [certificateFor("localhost"), certificateFor("a-member")];
    const secure = createSecureServer(
      { key: server.key, cert: server.cert, ca: client.cert, requestCert: true, rejectUnauthorized: true },
      (asked, response) => response.end((asked.socket as TLSSocket).getPeerCertificate().subject.CN),
    );
    await new Promise<void>((done) => secure.listen(0, "127.0.0.1", done));
    closing.push(() => new Promise((done) => secure.close(done)));
    const url = `https://localhost:${(secure.address() as AddressInfo).port}`;
    const keyFile = client.ca.replace(".pem", ".key");
    const known = await memberBefore(
      [url],
      `    ca: ${server.ca}\n    client-cert: ${client.ca}\n    client-key: ${keyFile}\n`,
    );
    expect((await ask(known.port, "/")).text).toBe("a-member");
    const unknown = await memberBefore([url], `    ca: ${server.ca}\n`);
    expect((await ask(unknown.port, "/")).status).toBe(502);
  });

  it("behind a Unix socket is asked like any other", async () => {
    const path = join(folder, `app-${process.pid}.sock`);
    const server = createServer((asked, response) => response.end(`${asked.headers.host} ${asked.url}`));
    await new Promise<void>((done) => server.listen(path, done));
    closing.push(() => new Promise((done) => server.close(done)));
    const member = await memberBefore([`unix:${path}`]);
    expect((await ask(member.port, "/x", { headers: { host: "site.example" } })).text).toBe("site.example /x");
  });

  it("gets and gives a gigabyte without the member's memory growing", async () => {
    const bytes = 2 ** 30;
    const chunk = Buffer.alloc(256 * 1024, "g");
    let received = 0;
    const server = createServer((asked, response) => {
      if (asked.method === "PUT") {
        asked.on("data", (piece: Buffer) => (received += piece.length));
        asked.on("end", () => response.end("thanks"));
        return;
      }
      response.writeHead(200, { "content-length": bytes, "cache-control": "no-store" });
      let left = bytes;
      const more = (): void => {
        while (left > 0) {
          left -= chunk.length;
          if (!response.write(chunk)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
    const url = await listening(server);
    const member = await memberBefore([url]);
    const resident = (): number =>
      Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${member.pid}/status`, "utf8"))![1]) / 1024;
    const download = async (): Promise<number> => {
      const response = (
        await once(httpRequest({ port: member.port, host: "127.0.0.1", path: "/" }).end(), "response")
      )[0] as IncomingMessage;
      let [count, most] = [0, 0];
      for await (const piece of response) {
        count += (piece as Buffer).length;
        most = Math.max(most, resident());
      }
      expect(count).toBe(bytes);
      return most;
    };
    const upload = async (): Promise<number> => {
      const sending = httpRequest({
        port: member.port,
        host: "127.0.0.1",
        path: "/",
        method: "PUT",
        headers: { "content-length": bytes },
      });
      const answered = once(sending, "response");
      let most = 0;
      for (let left = bytes; left > 0; left -= chunk.length) {
        if (!sending.write(chunk)) await once(sending, "drain");
        if (left % (64 * chunk.length) === 0) most = Math.max(most, resident());
      }
      sending.end();
      const [response] = (await answered) as [IncomingMessage];
      response.resume();
      expect(response.statusCode).toBe(200);
      return most;
    };
    // Warm: what the first of each leaves to the collector is there before the comparison.
    await download();
    await upload();
    const before = resident();
    const most = Math.max(await download(), await upload());
    expect(received).toBe(2 * bytes);
    // What the collector has not got round to is in it: two gigabytes have passed.
    expect(most - before, `${before} MB, then ${most} MB`).toBeLessThan(80);
  }, 120_000);
});

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

describe("several origins", () => {
  it("of which one breaks off within its content: no other's is added to it, and nothing of it is stored", async () => {
    const broken = await startRawOrigin((asked) =>
      asked.socket.write(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nAAAA\r\nnonsense\r\n",
      ),
    );
    const whole = await startRawOrigin((asked) => asked.answer("200 OK", ["Cache-Control: max-age=60"], "BBBB"));
    closing.push(
      () => broken.close(),
      () => whole.close(),
    );
    const member = await memberBefore([broken.url, whole.url], "    balance: first\n    retries: 3\n");
    await expect(ask(member.port, "/x")).rejects.toThrow();
    expect((await ask(member.port, "/x").catch(() => null))?.text ?? "cut").not.toContain("AAAABBBB");
    expect(whole.requests.length).toBeLessThanOrEqual(1);
  });

  it("of which one refuses connections: no request fails, whatever its method", async () => {
    const origin = await startOrigin((_asked, response) => response.end("alive"));
    closing.push(origin.close);
    const member = await memberBefore([await deadOrigin(), origin.url]);
    for (let index = 0; index < 30; index++) {
      const method = ["GET", "POST", "PUT"][index % 3]!;
      const answer = await ask(member.port, `/${index}`, { method, ...(method === "GET" ? {} : { body: "content" }) });
      expect([answer.status, answer.text]).toEqual([200, "alive"]);
    }
    expect(origin.asked.filter(({ body, method }) => method !== "GET" && body.toString() !== "content")).toEqual([]);
  });

  it("of which one breaks off: small content that may be sent twice is, to the other, and no POST is", async () => {
    const broken = await startRawOrigin((asked) => asked.socket.destroy());
    const whole = await startOrigin((_asked, response) => response.end("taken"));
    closing.push(() => broken.close(), whole.close);
    const member = await memberBefore([broken.url, whole.url], "    balance: first\n    rest-after: 1000\n");
    for (let index = 0; index < 5; index++) {
      const put = await ask(member.port, `/${index}`, { method: "PUT", body: `content ${index}` });
      expect([put.status, put.text]).toEqual([200, "taken"]);
    }
    expect(whole.asked.map(({ body, headers }) => [body.toString(), headers["content-length"]])).toEqual(
      [0, 1, 2, 3, 4].map((index) => [`content ${index}`, "9"]),
    );
    expect((await ask(member.port, "/p", { method: "POST", body: "once" })).status).toBe(502);
    expect(whole.asked.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("of which one is killed under load and comes back: no GET fails, no POST is sent twice", async () => {
    const script = `const http=require("http");http.createServer((q,r)=>{q.resume();q.on("end",()=>{process.stdout.write(q.method+q.url+"\\n");r.setHeader("cache-control","no-store");setTimeout(()=>r.end("ok"),2)})}).listen(PORT,"127.0.0.1",()=>process.stdout.write("ready\\n"))`;
    const ports = await Promise.all([deadOrigin(), deadOrigin()]);
    const lines: string[] = [];
    const begin = async (url: string) => {
      const child = spawn(process.execPath, ["-e", script.replace("PORT", new URL(url).port)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      closing.push(() => child.kill("SIGKILL"));
      const ready = new Promise<void>((done) =>
        child.stdout.on("data", (data: Buffer) => {
          for (const line of data.toString().split("\n")) {
            if (line === "ready") done();
            else if (line !== "") lines.push(line);
          }
        }),
      );
      await ready;
      return child;
    };
    const [first] = await Promise.all(ports.map(begin));
    const member = await memberBefore(ports, "    retries: 2\n    rest-for: 200ms\n");
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const failed: string[] = [];
    let [next, stop] = [0, false];
    const load = Promise.all(
      Array.from({ length: 16 }, async () => {
        while (!stop) {
          const index = next++;
          const method = index % 4 === 0 ? "POST" : "GET";
          const { status } = await ask(member.port, `/${index}`, {
            agent,
            method,
            ...(method === "GET" ? {} : { body: "x" }),
          });
          if (method === "GET" && status !== 200) failed.push(`GET ${index}: ${status}`);
        }
      }),
    );
    await until(() => next > 500, "there is load");
    first!.kill("SIGKILL");
    const killedAt = next;
    await until(() => next > killedAt + 500, "load goes on");
    await begin(ports[0]!);
    const backAt = next;
    await until(() => next > backAt + 1500, "it has come back");
    stop = true;
    await load;
    agent.destroy();
    expect(failed).toEqual([]);
    const posts = lines.filter((line) => line.startsWith("POST"));
    expect(posts.length).toBeGreaterThan(100);
    expect(posts.filter((line, index) => posts.indexOf(line) !== index)).toEqual([]);
  }, 60_000);

  it("are left while they answer with a status that says so, and what they say is passed on where no other is left", async () => {
    const [ill, well] = await Promise.all(
      [503, 200].map((status) => startOrigin((_asked, response) => response.writeHead(status).end(String(status)))),
    );
    closing.push(ill!.close, well!.close);
    const member = await memberBefore([ill!.url, well!.url], "    retry-on: [503]\n    rest-after: 1000\n");
    for (let index = 0; index < 10; index++) expect((await ask(member.port, `/${index}`)).text).toBe("200");
    // What may not be sent twice gets what it gets.
    const posts = await Promise.all(
      Array.from({ length: 6 }, (_, index) => ask(member.port, `/p${index}`, { method: "POST", body: "x" })),
    );
    expect(posts.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
    expect(
      ill!.asked.filter(({ method }) => method === "POST").length +
        well!.asked.filter(({ method }) => method === "POST").length,
    ).toBe(6);
    const alone = await memberBefore([ill!.url], "    retry-on: [503]\n");
    expect((await ask(alone.port, "/x")).status).toBe(503);
  });

  it("are asked for their health, taken out and brought back by it; who is a backup waits", async () => {
    let healthy = true;
    const checked = await startOrigin((asked, response) => {
      response
        .writeHead(asked.url === "/health" && !healthy ? 500 : 200, { "cache-control": "no-store" })
        .end("checked");
    });
    const backup = await startOrigin((_asked, response) =>
      response.writeHead(200, { "cache-control": "no-store" }).end("backup"),
    );
    closing.push(checked.close, backup.close);
    const file = join(folder, "checks.yaml");
    writeFileSync(
      file,
      `routes:\n  - origins: ["${checked.url}", { url: "${backup.url}", backup: true }]\n    check: { path: /health, interval: 50ms, rise: 2, fall: 2 }\n`,
    );
    const member = await startMember(["--config", file]);
    closing.push(() => member.stop());
    let index = 0;
    const text = async (): Promise<string> => (await ask(member.port, `/${index++}`)).text;
    expect(await text()).toBe("checked");
    healthy = false;
    await until(async () => (await text()) === "backup", "the backup stands in");
    healthy = true;
    await until(async () => (await text()) === "checked", "it is asked again");
    const { self } = await statusOf(member);
    expect(self.origins).toEqual([
      expect.objectContaining({ origin: checked.url, health: "up" }),
      expect.objectContaining({ origin: backup.url, health: "up", backup: true }),
    ]);
  });
});
