/** HTTP/2 towards clients: the same answers as in HTTP/1.1, and bounds on what a connection may cost. */
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as dial, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { connect as dialTls } from "node:tls";
import { promisify } from "node:util";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const browser = "/usr/bin/chromium";
if (!existsSync(browser) && process.env["CI"] === "true")
  throw new Error("Chromium is missing: apt-get install chromium");
const hasHttpx = existsSync("/usr/lib/python3/dist-packages/httpx");
if (!hasHttpx && process.env["CI"] === "true") throw new Error("httpx is missing: apt-get install python3-httpx");
const run = promisify(execFile);
const folder = temporaryFolder();
const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
const certificates = ["--tls-cert", cert, "--tls-key", key];
let origin: TestOrigin;

beforeAll(async () => {
  const subject = ["-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", cert];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...curve, ...subject], { stdio: "ignore" });
  origin = await startOrigin((request, response, { body }) => {
    const url = request.url!;
    response.setHeader("cache-control", url.startsWith("/private") ? "no-store" : "max-age=600");
    response.setHeader("x-two", ["a", "b"]);
    if (request.method === "POST") response.end(`took ${body.length} as ${String(request.headers["x-said"])}`);
    else if (url.startsWith("/hinted")) {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.end("hinted");
    } else if (url.startsWith("/trailed")) {
      response.setHeader("trailer", "x-sum");
      response.write("trailed");
      response.addTrailers({ "x-sum": "7" });
      response.end();
    } else if (url.startsWith("/odd")) {
      response.setHeader("constructor", "x");
      response.setHeader("http2-settings", "abc");
      response.setHeader("trailer", "etag, constructor, http2-settings");
      response.write("odd");
      response.addTrailers([
        ["etag", '"1"'],
        ["etag", '"2"'],
        ["constructor", "x"],
        ["http2-settings", "abc"],
      ]);
      response.end();
    } else if (url.startsWith("/private/pieces")) {
      response.write("a".repeat(25_000));
      response.end("b".repeat(25_000));
    } else if (url.startsWith("/private/cookies")) response.end(request.headers.cookie);
    else if (url.startsWith("/beyond")) {
      response.statusCode = 799;
      response.end("beyond");
    } else if (url.startsWith("/early")) response.end("early");
    else if (url.startsWith("/page")) {
      response.setHeader("content-type", "text/html");
      response.end(Array.from({ length: 200 }, (_, number) => `<img src="/picture?${number}">`).join(""));
    } else if (url.startsWith("/picture")) {
      response.setHeader("content-type", "image/gif");
      response.end(Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64"));
    } else if (url.startsWith("/huge")) response.end(Buffer.alloc(8_000_000, "x"));
    else if (url.startsWith("/long")) response.end(`${url} `.repeat(200_000));
    else response.end(`content of ${url}`);
  });
  origin.server.on("upgrade", (request, socket: Socket) => {
    upgraded.push(socket);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.write(`hello ${String(request.headers["sec-websocket-version"])};`);
    socket.on("data", (bytes: Buffer) => socket.write(`echo ${bytes.toString()};`));
  });
});
afterEach(endAll);
afterAll(() => {
  for (const socket of upgraded) socket.destroy();
  return origin.close();
});
const upgraded: Socket[] = [];

/** A member that speaks HTTP/2 over TLS at its main port. */
const secured = (...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--listen", "127.0.0.1:0,tls", ...certificates, ...flags]);
/** One that speaks it, with prior knowledge, in clear. */
const clear = (...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--listen", "127.0.0.1:0,http2", ...flags]);

interface Answered {
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
  readonly interim: readonly IncomingHttpHeaders[];
  readonly trailers: IncomingHttpHeaders | null;
  readonly text: string;
}

async function open(
  member: TestMember,
  scheme: "http" | "https" = "https",
  settings: { readonly initialWindowSize?: number } = {},
): Promise<ClientHttp2Session> {
  const session = connect(`${scheme}://127.0.0.1:${member.port}`, { rejectUnauthorized: false, settings });
  session.on("error", () => {});
  await new Promise((done, fail) => session.once("remoteSettings", done).once("error", fail));
  return session;
}

/** What opens a WebSocket. RFC 8441. */
const socketOf = (member: TestMember): OutgoingHttpHeaders => ({
  ":method": "CONNECT",
  ":protocol": "websocket",
  ":scheme": "https",
  ":path": "/socket",
  ":authority": `127.0.0.1:${member.port}`,
  "sec-websocket-version": "13",
});

/** One request; rejects where its stream is reset. */
function request(
  session: ClientHttp2Session,
  fields: OutgoingHttpHeaders,
  content?: string | Buffer,
): Promise<Answered> {
  return answered(session.request(fields, { endStream: content === undefined }), content);
}

function answered(stream: ClientHttp2Stream, content?: string | Buffer): Promise<Answered> {
  if (content !== undefined) stream.end(content);
  return new Promise((resolve, reject) => {
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | null = null;
    const interim: IncomingHttpHeaders[] = [];
    const chunks: Buffer[] = [];
    stream.on("headers", (fields) => interim.push(fields));
    stream.on("response", (fields) => (head = fields));
    stream.on("trailers", (fields) => (trailers = fields));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return reject(new Error(`reset with ${stream.rstCode}`));
      const text = Buffer.concat(chunks).toString();
      return resolve({ status: Number(head[":status"]), fields: head, interim, trailers, text });
    });
  });
}

describe("HTTP/2", () => {
  it("is offered over TLS, beside HTTP/1.1, to real clients", async () => {
    const member = await secured();
    const url = `https://127.0.0.1:${member.port}/x`;
    const curl = (...flags: string[]): Promise<string> =>
      run("curl", ["-sk", "--max-time", "10", "-w", " over %{http_version}", ...flags, url]).then(
        ({ stdout }) => stdout,
      );
    expect(await curl("--http2")).toBe("content of /x over 2");
    expect(await curl("--http1.1")).toBe("content of /x over 1.1");
    expect((await run("nghttp", ["--no-verify-peer", url])).stdout).toContain("content of /x");
    const load = await run("h2load", ["-n", "2000", "-c", "8", "-m", "10", url]);
    expect(load.stdout).toContain("2000 succeeded, 0 failed, 0 errored");
    expect((await statusOf(member)).self.hits).toBeGreaterThan(1990);
    const { stdout } = await run("sh", [
      "-c",
      `echo | openssl s_client -connect 127.0.0.1:${member.port} -alpn h2,http/1.1 2>/dev/null`,
    ]);
    expect(stdout).toContain("ALPN protocol: h2");
  });

  it.skipIf(!hasHttpx)(
    "serves Python's httpx: a hundred at once, content of a length and without, on one connection",
    async () => {
      const member = await secured();
      const script = join(import.meta.dirname, "../support/httpx-client.py");
      const { stdout } = await run("/usr/bin/python3", [script, `https://127.0.0.1:${member.port}`]);
      expect(stdout).toBe("all right\n");
    },
  );

  it("goes on with other answers while its client reads one of them late, which then is what it was", async () => {
    for (const threads of ["1", "2"]) {
      const member = await secured("--threads", threads);
      const session = await open(member);
      session.settings({ initialWindowSize: 16_384 });
      await once(session, "localSettings");
      const stored = (await request(session, { ":path": "/long" })).text;
      const late = session.request({ ":path": "/private/pieces" });
      await once(late, "response");
      // One of them goes the way that the answer which is not read yet has come.
      for (let round = 0; round < 3; round++) {
        const both = [request(session, { ":path": "/long" }), request(session, { ":path": "/long" })];
        for (const { text } of await Promise.all(both)) expect(text === stored).toBe(true);
      }
      const { text } = await answered(late);
      expect(text).toBe("a".repeat(25_000) + "b".repeat(25_000));
      session.close();
    }
  });

  it("is offered without TLS where a listener says so, to those who know", async () => {
    const member = await clear();
    const url = `http://127.0.0.1:${member.port}/x`;
    const { stdout } = await run("curl", ["-s", "--http2-prior-knowledge", "-w", " over %{http_version}", url]);
    expect(stdout).toBe("content of /x over 2");
    expect((await ask(member.port, "/x")).text).toBe("content of /x");
    const plain = await startMember(["--origin", origin.url]);
    await expect(run("curl", ["-s", "--http2-prior-knowledge", `http://127.0.0.1:${plain.port}/x`])).rejects.toThrow();
  });

  it("gives what HTTP/1.1 gives: fields, HEAD, content of any length, interim answers, trailers, conditions", async () => {
    const member = await secured();
    const session = await open(member);
    for (const outcome of ["stored", "hit", "hit"]) {
      const { status, text, fields } = await request(session, { ":path": "/x" });
      expect([status, text, fields["x-two"]]).toEqual([200, "content of /x", "a, b"]);
      expect(fields["cache-status"]).toContain(outcome);
      expect(fields).not.toHaveProperty("connection");
    }
    expect(await request(session, { ":path": "/x", ":method": "HEAD" })).toMatchObject({ status: 200, text: "" });
    const long = await request(session, { ":path": "/long" });
    expect(long.text).toBe("/long ".repeat(200_000));
    expect((await request(session, { ":path": "/long" })).text).toBe(long.text);
    const hinted = await request(session, { ":path": "/hinted" });
    expect([hinted.text, hinted.interim.map((fields) => fields.link)]).toEqual([
      "hinted",
      ["</style.css>; rel=preload"],
    ]);
    expect(await request(session, { ":path": "/trailed" })).toMatchObject({
      text: "trailed",
      trailers: { "x-sum": "7" },
    });
    const ranged = await request(session, { ":path": "/x", range: "bytes=0-6" });
    expect([ranged.status, ranged.text]).toEqual([206, "content"]);
    const { fields } = await request(session, { ":path": "/x" });
    expect((await request(session, { ":path": "/x", "if-modified-since": fields.date! })).status).toBe(304);
    expect(origin.asked.find(({ url }) => url === "/trailed")?.headers["via"]).toBe(`2.0 ${member.name}`);
    session.close();
  });

  it("takes as many cookies as HTTP/1.1, each in a field of its own, and says so where a head is too much", async () => {
    for (const threads of ["1", "2"]) {
      const member = await secured("--threads", threads);
      const session = await open(member);
      const cookies = Array.from({ length: 300 }, (_, number) => `name${number}=${"v".repeat(20)}`);
      const asked = { ":path": "/private/cookies", cookie: cookies };
      const both = await Promise.all([request(session, asked), request(session, asked)]);
      for (const one of both) expect(one).toMatchObject({ status: 200, text: cookies.join("; ") });
      const many = Object.fromEntries(Array.from({ length: 200 }, (_, number) => [`x-${number}`, "v"]));
      expect(await request(session, { ":path": "/", ...many })).toMatchObject({ status: 431 });
      // A hit, too, by whichever way it is answered.
      for (let turn = 0; turn < 3; turn++)
        expect(await request(session, { ":path": "/stored" })).toMatchObject({ status: 200 });
      for (const path of ["/", "/stored"])
        expect(await request(session, { ":path": path, "x-long": "v".repeat(40_000) })).toMatchObject({ status: 431 });
      expect(await request(session, { ":path": "/", "x-long": "v".repeat(65_000) })).toMatchObject({ status: 431 });
      session.close();
    }
  });

  it("bears with what an origin says that HTTP/2 cannot, in fields and trailers", async () => {
    for (const threads of ["1", "2"]) {
      const member = await secured("--threads", threads);
      const session = await open(member);
      for (let turn = 0; turn < 3; turn++)
        for (const [path, status, text] of [
          ["/odd", 200, "odd"],
          // RFC 9110 §15: what is beyond the classes counts as 5xx.
          ["/beyond", 500, "beyond"],
        ] as const)
          expect(await request(session, { ":path": path })).toMatchObject({ status, text });
      session.close();
      expect(await member.stop()).toBe(0);
    }
  });

  it("stops at once where somebody has connected and said nothing", async () => {
    const member = await clear();
    const socket = dial({ host: "127.0.0.1", port: member.port });
    await new Promise((done) => socket.once("connect", done));
    const begun = performance.now();
    expect(await member.stop()).toBe(0);
    expect(performance.now() - begun).toBeLessThan(5000);
    socket.destroy();
  });

  it("carries content to the origin, of a length or without, and asks for it where the client waits", async () => {
    const member = await secured();
    const session = await open(member);
    const content = Buffer.alloc(3_000_000, "x");
    const post = { ":path": "/post", ":method": "POST", "x-said": "this" };
    expect((await request(session, post, content)).text).toBe("took 3000000 as this");
    expect((await request(session, { ...post, "content-length": content.length }, content)).text).toBe(
      "took 3000000 as this",
    );
    const waiting = session.request({ ...post, expect: "100-continue" });
    const told = new Promise<void>((resolve) => {
      waiting.on("continue", resolve);
    });
    const answer = answered(waiting);
    await told;
    waiting.end("after 100");
    expect((await answer).text).toBe("took 9 as this");
    session.close();
  });

  it("answers many at once on one connection, each its own, while others leave", async () => {
    const member = await secured();
    const session = await open(member);
    const answers = await Promise.allSettled(
      Array.from({ length: 240 }, async (_, number) => {
        const path = `/${number % 3 === 0 ? "private" : number % 3 === 1 ? "long" : "x"}?${number % 20}`;
        const stream = session.request({ ":path": path });
        if (number % 7 === 0) {
          setImmediate(() => stream.close(constants.NGHTTP2_CANCEL));
          return "left";
        }
        const { text } = await answered(stream);
        expect(text).toBe(path.startsWith("/long") ? `${path} `.repeat(200_000) : `content of ${path}`);
        return "answered";
      }),
    );
    expect(answers.filter(({ status }) => status === "rejected")).toEqual([]);
    await until(async () => (await statusOf(member)).self.inFlight === 0, "nothing is under way");
    session.close();
  });

  it("sends what is urgent first (RFC 9218)", async () => {
    const member = await clear("--threads", "1");
    // All share the connection's window, which is small.
    const session = await open(member, "http");
    const paths = ["/huge1", "/huge2", "/huge3"];
    for (const path of paths) await request(session, { ":path": path });
    const order: string[] = [];
    await Promise.all(
      paths.map((path, index) =>
        request(session, { ":path": path, priority: index === 2 ? "u=0" : "u=7" }).then(() => order.push(path)),
      ),
    );
    expect(order[0]).toBe("/huge3");
    session.destroy();
  });

  it("opens tunnels: a WebSocket, and CONNECT through the forward proxy", async () => {
    const echo = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes: Buffer) => socket.write(`echo ${bytes.toString()}`));
    });
    await new Promise<void>((done) => echo.listen(0, "127.0.0.1", done));
    const { port } = echo.address() as AddressInfo;
    const member = await secured("--forward", "true", "--connect-ports", "any");
    const session = await open(member);
    const talk = (stream: ClientHttp2Stream, expected: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let text = "";
        stream.on("error", reject);
        stream.on("data", (bytes: Buffer) => {
          text += bytes.toString();
          if (text.includes(expected)) resolve(text);
        });
      });
    const socket = session.request(socketOf(member));
    socket.write("ping");
    expect(await talk(socket, "echo ping;")).toBe("hello 13;echo ping;");
    socket.close();
    const tunnel = session.request({ ":method": "CONNECT", ":authority": `127.0.0.1:${port}` });
    tunnel.write("through");
    expect(await talk(tunnel, "echo through")).toBe("echo through");
    tunnel.close();
    session.close();
    await new Promise((done) => echo.close(done));
  });

  for (const threads of ["1", "3"])
    it(`ends a tunnel whose client ends its side and then goes (${threads} threads)`, async () => {
      const listening = await startOrigin((_request, response) => response.end("a page"));
      // It goes on listening, and has nothing more to say.
      listening.server.on("upgrade", (_request, socket: Socket) => {
        upgraded.push(socket.on("error", () => {}).resume());
        socket.allowHalfOpen = true;
        socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
      });
      const member = await secured("--threads", threads, "--origin", listening.url);
      const session = await open(member);
      for (let count = 0; count < 2; count++) {
        const socket = session.request(socketOf(member));
        await new Promise((said) => socket.on("error", () => {}).once("data", said));
        expect((await statusOf(member)).self.inFlight).toBeGreaterThan(0);
        socket.end();
        await new Promise((ended) => socket.once("finish", ended));
        socket.close(constants.NGHTTP2_CANCEL);
      }
      await until(async () => (await statusOf(member)).self.inFlight === 0, "nothing is under way", 5000);
      session.close();
      for (const socket of upgraded) socket.destroy();
      await listening.close();
    });

  for (const threads of ["1", "3"])
    it(`gives the last of a tunnel to a client that takes its time (${threads} threads)`, async () => {
      const said = Buffer.alloc(60_000, "last words ");
      const speaking = await startOrigin((_request, response) => response.end("a page"));
      speaking.server.on("upgrade", (_request, socket: Socket) => {
        socket.on("error", () => {}).resume();
        socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        socket.end(said);
      });
      const member = await secured("--threads", threads, "--origin", speaking.url);
      const session = await open(member, "https", { initialWindowSize: 10_000 });
      for (let count = 0; count < 2; count++) {
        const socket = session.request(socketOf(member));
        const closed = new Promise((gone) => socket.once("close", gone));
        await new Promise((opened) => socket.on("error", () => {}).once("response", opened));
        socket.end();
        // The tunnel is over on the other side of the window.
        if (threads === "3") await until(async () => (await statusOf(member)).self.inFlight === 0, "it is over");
        const chunks: Buffer[] = [];
        socket.on("data", (bytes: Buffer) => chunks.push(bytes));
        await closed;
        expect([socket.rstCode, Buffer.concat(chunks).equals(said)]).toEqual([0, true]);
      }
      session.close();
      await speaking.close();
    });

  it("opens no tunnel where the origin does not, and ends one whose client had nothing to say", async () => {
    const ended = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.on("data", () => {});
      socket.on("end", () => socket.end("that was all"));
    });
    await new Promise<void>((done) => ended.listen(0, "127.0.0.1", done));
    const { port } = ended.address() as AddressInfo;
    const refusing = await startOrigin((_request, response) => response.end("a page"));
    refusing.server.on("upgrade", (_request, socket: Socket) =>
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na page"),
    );
    const member = await secured("--forward", "true", "--connect-ports", "any", "--origin", refusing.url);
    const session = await open(member);
    const socket = session.request(socketOf(member));
    // RFC 8441 §5: any 2xx would say that it is open.
    expect((await answered(socket)).status).toBe(502);
    const fields = { ":method": "CONNECT", ":authority": `127.0.0.1:${port}` };
    const tunnel = await answered(session.request(fields, { endStream: true }));
    expect([tunnel.status, tunnel.text]).toEqual([200, "that was all"]);
    session.close();
    await refusing.close();
    await new Promise((done) => ended.close(done));
  });

  it.skipIf(!existsSync(browser))("shows a browser a page of 200 pictures, all of them over it", async () => {
    const member = await secured();
    const running = await chromium.launch({
      executablePath: browser,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    });
    try {
      const page = await running.newPage({ ignoreHTTPSErrors: true });
      for (let turn = 0; turn < 2; turn++) {
        await page.goto(`https://127.0.0.1:${member.port}/page`);
        const [widths, protocols] = (await page.evaluate(`(async () => {
          const pictures = [...document.images];
          await Promise.all(pictures.map((picture) => picture.decode()));
          const entries = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/picture"));
          return [pictures.map(({ naturalWidth }) => naturalWidth), entries.map(({ nextHopProtocol }) => nextHopProtocol)];
        })()`)) as [number[], string[]];
        expect(widths).toEqual(new Array(200).fill(1));
        expect(new Set(protocols)).toEqual(new Set(["h2"]));
        expect(protocols.length).toBe(200);
      }
    } finally {
      await running.close();
    }
  });

  it("ends in order: a member that stops lets streams end, and says so", async () => {
    const member = await secured();
    const session = await open(member);
    const stream = session.request({ ":path": "/post", ":method": "POST", "x-said": "late" });
    stream.write("begun");
    await request(session, { ":path": "/x" });
    const gone = new Promise((resolve) => session.once("goaway", resolve));
    const stopped = member.stop();
    await gone;
    const answer = answered(stream);
    stream.end(" and ended");
    expect((await answer).text).toBe("took 15 as late");
    expect(await stopped).toBe(0);
  });

  it("TLS ends a connection that asks for neither", async () => {
    const member = await secured();
    const socket = dialTls({
      port: member.port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      ALPNProtocols: ["spdy/3"],
    });
    await new Promise((done) => socket.once("error", done).once("close", done));
    expect(socket.alpnProtocol).toBeFalsy();
  });
});
