/** Faults that real use found: refused, stalled or cut where users expect an answer. Pairs of clients, real sockets. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { ask, RawClient, rawExchange, statuses, through } from "../support/client.ts";
import { endAll, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startRawOrigin, type RawOrigin, type RawRequest } from "../support/raw-origin.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(endAll);

async function rawOrigin(answer: (request: RawRequest) => void): Promise<RawOrigin> {
  const origin = await startRawOrigin(answer);
  closing.push(() => origin.close());
  return origin;
}
async function memberWith(...flags: string[]): Promise<TestMember> {
  const member = await startMember(flags);
  closing.push(() => member.stop());
  return member;
}
async function configured(text: string): Promise<TestMember> {
  const file = join(temporaryFolder(), "gyre.yaml");
  writeFileSync(file, text);
  return memberWith("--config", file);
}
/** A client that goes before its member is stopped, which would wait for it to end its side. */
async function open(port: number): Promise<RawClient> {
  const client = await RawClient.open(port);
  closing.push(async () => client.close());
  return client;
}
async function metric(member: TestMember, name: string): Promise<number> {
  const text = await (await fetch(`http://${member.admin}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)`, "m").exec(text)?.[1]);
}

describe("an origin with many requests open", () => {
  const streaming = (request: RawRequest): void => {
    if (request.line.includes("/events"))
      request.socket.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
      );
    else if (!request.line.includes("/held")) request.answer("200 OK", ["Cache-Control: no-store"], "quick");
  };

  it.each(["reverse", "forward"])("answers short ones however many event streams are open (%s)", async (mode) => {
    const origin = await rawOrigin(streaming);
    const member = await memberWith(
      ...(mode === "reverse" ? ["--origin", origin.url] : []),
      "--origin-connections",
      "8",
    );
    const target = (path: string): string => (mode === "reverse" ? path : `${origin.url}${path}`);
    const head = (path: string): string => `GET ${target(path)} HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n`;
    const streams = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const client = await open(member.port);
        client.send(`${head(`/events${index}`)}\r\n`);
        await client.until((text) => text.includes("data: 1"), "the stream has begun");
        return client;
      }),
    );
    expect(await rawExchange(member.port, `${head("/quick")}Connection: close\r\n\r\n`)).toContain("quick");
    for (const stream of streams) stream.close();
  });

  it("lets short ones pass long polls after a moment, and refuses beyond the queue with 503, a log line and a metric", async () => {
    const origin = await rawOrigin(streaming);
    const member = await memberWith("--origin", origin.url, "--origin-connections", "4", "--origin-queue", "2");
    const polls = await Promise.all(Array.from({ length: 4 }, () => open(member.port)));
    for (const [index, poll] of polls.entries()) poll.send(`GET /held${index} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until(() => origin.requests.length === 4, "the polls are open");
    const waiting = [1, 2].map((index) => ask(member.port, `/quick${index}`, { headers: { host: "h" } }));
    await until(async () => (await metric(member, "gyre_origin_waiting")) === 2, "two wait");
    const refused = await ask(member.port, "/quick3", { headers: { host: "h" } });
    expect([refused.status, refused.headers["retry-after"], refused.text]).toEqual([
      503,
      "1",
      expect.stringContaining("--origin-connections"),
    ]);
    expect(await metric(member, "gyre_origin_refusals_total")).toBe(1);
    await until(() => member.output().includes("requests wait for"), "it is logged");
    for (const answer of await Promise.all(waiting)) expect(answer.text).toBe("quick");
    for (const poll of polls) poll.close();
  });
});

describe("a client that ends its side", () => {
  it.each([
    ["before the answer", "/poll", "HTTP/1.1"],
    ["within a stream", "/stream", "HTTP/1.1"],
  ])("and is gone frees its fetch soon: %s", async (_, path) => {
    const origin = await rawOrigin((request) => {
      if (request.line.includes("/stream"))
        request.socket.write(
          "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        );
    });
    const member = await memberWith("--origin", origin.url);
    const client = await open(member.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until(
      () => origin.requests.length === 1 && (path === "/poll" || client.received.includes("first")),
      "it is under way",
    );
    // As a closed tab does it: an orderly end, and nobody there to read.
    client.socket.end();
    client.socket.once("finish", () => client.socket.destroy());
    await until(() => origin.open() === 0, "the origin's connection has been given up", 8000);
  });

  it("with more requests behind frees its fetch as well", async () => {
    const origin = await rawOrigin(() => {});
    const member = await memberWith("--origin", origin.url);
    const client = await open(member.port);
    client.send("GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHo");
    await until(() => origin.requests.length === 1, "it is under way");
    client.socket.end();
    client.socket.once("finish", () => client.socket.destroy());
    await until(() => origin.open() === 0, "the origin's connection has been given up", 8000);
  });

  it("but is there gets its answer, whole and right, however often it is asked", async () => {
    const held: RawRequest[] = [];
    const origin = await rawOrigin((request) => void held.push(request));
    const member = await configured(`origin: ${origin.url}\n`);
    const client = await open(member.port);
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    client.socket.end();
    await client.until((text) => statuses(text).filter((status) => status === 100).length === 2, "it has been asked");
    held[0]!.socket.write(
      "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    );
    await client.until((text) => text.includes("first"), "the answer has begun");
    held[0]!.socket.write("6\r\nsecond\r\n0\r\n\r\n");
    const received = await client.end();
    expect(received.slice(received.indexOf("\r\n\r\n", received.indexOf("200 OK")) + 4)).toMatch(
      /^5\r\nfirst\r\n0*6\r\nsecond\r\n0+\r\n\r\n$/,
    );
  });
});

describe("an answer before the end of an upload", () => {
  it.each([
    ["a 404 of our own", "host: site.test\n    path: /only", "/elsewhere", 404],
    ["a 502 for an origin that is not there", "path: /", "/", 502],
  ])("reaches a client that writes first and reads then: %s", async (_, route, path, status) => {
    const member = await configured(
      `routes:\n  - ${route.replace("\n    ", "\n    ")}\n    origin: http://127.0.0.1:1\n`,
    );
    const client = await open(member.port);
    client.socket.pause();
    const bytes = 24 * 2 ** 20;
    client.send(`PUT ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\n\r\n`);
    const chunk = Buffer.alloc(64 * 1024);
    for (let sent = 0; sent < bytes; sent += chunk.length)
      if (!client.socket.write(chunk)) await new Promise<void>((done) => client.socket.once("drain", () => done()));
    client.socket.resume();
    expect(statuses(await client.end())).toEqual([status]);
  });
});

describe("two clients of one answer that turns out too large to store", () => {
  it("both get all of it, the slower one too", async () => {
    const parts = 40;
    const part = "p".repeat(256 * 1024);
    const origin = await rawOrigin((request) => {
      request.socket.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n");
      let sent = 0;
      const more = (): void => {
        while (sent < parts) {
          sent++;
          if (!request.socket.write(`${part.length.toString(16)}\r\n${part}\r\n`))
            return void request.socket.once("drain", more);
        }
        request.socket.write("0\r\n\r\n");
      };
      more();
    });
    const member = await memberWith("--origin", origin.url, "--object-max", "1MB");
    const clients = await Promise.all([open(member.port), open(member.port)]);
    for (const client of clients) client.send("GET /shared HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const [fast, slow] = clients as [RawClient, RawClient];
    await slow.until((text) => text.length > 0, "the answer has begun");
    slow.socket.pause();
    // The fast one goes as far as it may without the other.
    await fast.until((text) => text.length > 2 * 2 ** 20, "the fast one is ahead");
    slow.socket.resume();
    for (const client of clients) {
      const received = await client.end();
      expect(received.length).toBeGreaterThan(parts * part.length);
      expect(received.endsWith("0\r\n\r\n")).toBe(true);
    }
    expect(origin.requests).toHaveLength(1);
  });
});

describe("never-fresh answers", () => {
  it("are not waited for, round after round", async () => {
    let [under, most] = [0, 0];
    const held: (() => void)[] = [];
    const origin = await rawOrigin((request) => {
      under++;
      most = Math.max(most, under);
      held.push(() => {
        under--;
        request.answer("200 OK", ["Cache-Control: max-age=0", 'ETag: "1"'], "x");
      });
    });
    const member = await memberWith("--origin", origin.url);
    const round = async (count: number): Promise<void> => {
      most = 0;
      const before = origin.requests.length;
      const answers = Array.from({ length: count }, () => ask(member.port, "/", { headers: { host: "h" } }));
      await until(() => origin.requests.length === before + count, "all are at the origin at once");
      for (const answer of held.splice(0)) answer();
      await Promise.all(answers);
      expect(most).toBe(count);
    };
    await round(1);
    await round(5);
    await round(5);
  });
});

describe("what proxies are asked", () => {
  it("OPTIONS * is answered with what is allowed (RFC 9110 §9.3.7)", async () => {
    const origin = await rawOrigin((request) => request.answer("200 OK", []));
    const member = await memberWith("--origin", origin.url);
    const answer = await rawExchange(member.port, "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    expect(statuses(answer)).toEqual([204]);
    expect(answer).toMatch(/^allow: .*GET/im);
  });

  it("a Host beside an absolute target is ignored and replaced (RFC 9112 §3.2.2)", async () => {
    const origin = await rawOrigin((request) => request.answer("200 OK", [], "found"));
    const member = await memberWith();
    const { status } = await through(member.port, `${origin.url}/`, { headers: { host: "site.test" } });
    expect([status, origin.requests[0]!.field("host")]).toEqual([200, `127.0.0.1:${origin.port}`]);
  });

  it.each([
    ["GET", "websocket", ""],
    ["POST", "tcp", '{"Tty":false}'],
    ["POST", "SPDY/3.1", ""],
  ])("%s with Upgrade: %s becomes a tunnel (RFC 9110 §7.8)", async (method, protocol, content) => {
    const origin = await rawOrigin((request) => {
      request.socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.field("upgrade")}\r\n\r\nhello`,
      );
    });
    const member = await memberWith("--origin", origin.url);
    const client = await open(member.port);
    const length = method === "POST" ? `Content-Length: ${content.length}\r\n` : "";
    client.send(
      `${method} /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${length}\r\n${content}`,
    );
    await client.until((text) => text.includes("101") && text.endsWith("hello"), "the tunnel is open");
    expect(origin.requests[0]!.line).toBe(`${method} /x`);
    client.close();
  });

  it("a QUERY over the limit is refused at once, not after all of its content (RFC 10008)", async () => {
    const origin = await rawOrigin((request) => request.answer("200 OK", []));
    const member = await memberWith("--origin", origin.url);
    for (const framing of ["Content-Length: 1000000", "Transfer-Encoding: chunked"]) {
      const client = await open(member.port);
      client.send(`QUERY /q HTTP/1.1\r\nHost: h\r\n${framing}\r\n\r\n`);
      if (framing.startsWith("T")) client.send(`50000\r\n${"x".repeat(0x50000)}\r\n`);
      await client.until((text) => statuses(text).includes(413), "the refusal");
      client.close();
    }
    expect(origin.requests).toHaveLength(0);
  });
});

describe("content that breaks after its answer", () => {
  it("ends the connection", async () => {
    const origin = await rawOrigin((request) => request.answer("200 OK", []));
    const member = await memberWith("--origin", origin.url);
    const client = await open(member.port);
    client.send("POST /early HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await client.until((text) => text.includes("200 OK"), "the answer has come early");
    client.send("not a chunk\r\n");
    await client.end();
  });
});

describe("an https origin that gets the site's Host", () => {
  it("is asked by its own name in TLS, or by the name that tls-name gives", async () => {
    const folder = temporaryFolder();
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,DNS:inner.test",
        "-keyout",
        key,
        "-out",
        cert,
      ],
      { stdio: "ignore" },
    );
    const { readFileSync } = await import("node:fs");
    const names: (string | false)[] = [];
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      names.push((request.socket as unknown as { servername: string | false }).servername);
      response.end(request.headers.host);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    closing.push(
      () =>
        new Promise<void>((done) => {
          server.close(() => done());
          server.closeAllConnections();
        }),
    );
    const { port } = server.address() as AddressInfo;
    for (const [extra, name] of [
      ["", "localhost"],
      ["    tls-name: inner.test\n", "inner.test"],
    ] as const) {
      const member = await configured(
        `ca: ${cert}\nroutes:\n  - origin: https://localhost:${port}\n    host-field: preserve\n${extra}`,
      );
      for (const site of ["one.test", "two.test"]) {
        const { status, text } = await ask(member.port, "/", { headers: { host: site } });
        expect([status, text, names.at(-1)]).toEqual([200, site, name]);
      }
    }
  });
});

describe("a drained member and a reloaded one", () => {
  it("lets a tunnel's failure be logged with the time that it took", async () => {
    const member = await memberWith("--connect-ports", "any", "--access-log", "all", "--log-format", "json");
    const client = await open(member.port);
    client.send("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    await client.until((text) => text.includes("502"), "the refusal");
    client.close();
    await until(() => member.output().includes('"method":"CONNECT"'), "the line is written");
    const line = member
      .output()
      .split("\n")
      .find((text) => text.includes('"method":"CONNECT"'))!;
    expect(JSON.parse(line)).toMatchObject({ status: 502, durationMs: expect.any(Number) as number });
    expect((JSON.parse(line) as { durationMs: number }).durationMs).toBeGreaterThan(0);
    expect((await statusOf(member)).self.inFlight).toBe(0);
  });
});
