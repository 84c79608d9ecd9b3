/**
 * An origin as it is: early answers, unasked 100s, connections that end just when a request goes out, content by the
 * gigabyte.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse, Agent } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createServer as createNetServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { describe, expect, it } from "vitest";
import { certificateFor, closing, folder, listening, memberBefore } from "../support/before-origins.ts";
import { ask, RawClient } from "../support/client.ts";
import { startMember } from "../support/member.ts";
import { startRawOrigin } from "../support/raw-origin.ts";

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

  it.each([
    ["http", "Content-Length: 9\r\n"],
    ["https", "Content-Length: 9\r\n"],
    ["http", ""],
  ])(
    "that answers an upload early and closes, over %s, with %j: its answer reaches also who goes on sending, two at once",
    async (scheme, length) => {
      const { key, cert, ca } = certificateFor("localhost");
      const refuse = (socket: Socket | TLSSocket): void => {
        socket.on("error", () => {});
        socket.once("data", () => {
          socket.pause();
          // What has come and was not read makes this end a reset.
          const head = `HTTP/1.1 413 Content Too Large\r\n${length}Connection: close\r\n\r\n`;
          socket.end(`${head}too large`, () => socket.destroy());
        });
      };
      const origin = scheme === "http" ? createNetServer(refuse) : createTlsServer({ key, cert }, refuse);
      const url = (await listening(origin)).replace("http://127.0.0.1", `${scheme}://localhost`);
      const member = await memberBefore([url], scheme === "http" ? "" : `    ca: ${ca}\n`);
      const upload = async (): Promise<string> => {
        const client = await RawClient.open(member.port);
        client.socket.on("error", () => {});
        client.send(`POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n${"x".repeat(3_000_000)}`);
        const end = length === "" ? "too large\r\n0\r\n" : "too large";
        const received = await client.until((text) => text.includes(end) || text.includes(" 502 "), "a whole answer");
        client.close();
        return received.slice(9, 12);
      };
      const statuses = new Set<string>();
      for (let time = 0; time < 20; time++)
        for (const status of await Promise.all([upload(), upload()])) statuses.add(status);
      expect([...statuses]).toEqual(["413"]);
    },
  );

  it("that answers an upload early and breaks off has not ended its answer, whatever the system says of it", async () => {
    const half = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nfirst half of";
    const origin = createNetServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        socket.pause();
        socket.write(half, () => socket.resetAndDestroy());
      });
    });
    const member = await memberBefore([await listening(origin)]);
    const upload = async (): Promise<string> => {
      const client = await RawClient.open(member.port);
      client.socket.on("error", () => {});
      client.send(`POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n${"x".repeat(3_000_000)}`);
      const isOver = (text: string): boolean =>
        client.ended || text.endsWith("\r\n0\r\n\r\n") || text.includes(" 502 ");
      const received = await client.until(isOver, "it is over").catch(() => client.received);
      client.close();
      return received;
    };
    for (let time = 0; time < 10; time++)
      for (const received of await Promise.all([upload(), upload()]))
        if (!received.includes(" 502 ")) expect(received).not.toMatch(/\r\n0\r\n\r\n$/);
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

  it.each(["NTLM", "negotiate"])(
    "that takes a connection for its user's (%s): it serves nobody else (RFC 9110 §3.3)",
    async (scheme) => {
      const users = new Map<Socket, string>();
      const origin = await startRawOrigin((asked) => {
        const shown = asked.field("authorization");
        if (shown !== undefined) users.set(asked.socket, shown.slice(scheme.length + 1));
        const user = users.get(asked.socket);
        if (user === undefined) asked.answer("401 Unauthorized", [`WWW-Authenticate: ${scheme}`], "who?");
        else asked.answer("200 OK", ["Cache-Control: no-store"], `for ${user}`);
      });
      closing.push(() => origin.close());
      const member = await memberBefore([origin.url]);
      const asks = (port: number, as?: string): ReturnType<typeof ask> =>
        ask(port, "/", as === undefined ? {} : { headers: { authorization: `${scheme} ${as}` } });
      // An idle connection is there when the credentials come.
      expect(await asks(member.port)).toMatchObject({ status: 401 });
      expect(await asks(member.port, "alice")).toMatchObject({ status: 200, text: "for alice" });
      expect(await asks(member.port)).toMatchObject({ status: 401, text: "who?" });
      expect(await asks(member.port, "bob")).toMatchObject({ status: 200, text: "for bob" });
      // And so the forward proxy.
      const forward = await startMember([]);
      closing.push(() => forward.stop());
      const through = async (as?: string): Promise<string> => {
        const client = await RawClient.open(forward.port);
        const shown = as === undefined ? "" : `Authorization: ${scheme} ${as}\r\n`;
        client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: h\r\n${shown}\r\n`);
        const said = await client.until((text) => /who\?|for \w+$/.test(text), "an answer");
        client.close();
        return said.slice(said.indexOf("\r\n\r\n") + 4);
      };
      expect([await through(), await through("alice"), await through()]).toEqual(["who?", "for alice", "who?"]);
    },
  );

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
        while (next < 10_000) {
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
  }, 180_000);

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
    // With threads, each has its own.
    const threads = Number(process.env["GYRE_THREADS"]);
    const fronts = threads === 1 ? 0 : threads;
    expect(most - before, `${before} MB, then ${most} MB`).toBeLessThan(16 + 10 * fronts);
  }, 120_000);
});
