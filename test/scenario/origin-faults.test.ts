/**
 * What clients get where an origin dies, stalls or talks nonsense, at every point where it can: docs/origin-faults.md
 * is the table, and each of its cells is checked here. `WRITE_TABLES=1` writes it anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endAll, root, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";

const table = join(root, "docs/origin-faults.md");
const half = "x".repeat(50);
const head = (more: string): string =>
  `HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-if-error=600\r\nETag: "1"\r\n${more}\r\n`;

/** A reset overtakes what has not been read yet: it must not come before every client has what it is to have. */
function resetWhenSeen(socket: Socket): void {
  void until(() => seenCount >= together, "all have seen half of it").then(() => socket.resetAndDestroy());
}

/** What an origin does once it has read a request. */
const faults: Readonly<Record<string, (socket: Socket) => void>> = {
  "closes without an answer": (socket) => socket.end(),
  "resets without an answer": (socket) => socket.resetAndDestroy(),
  "never answers": () => {},
  "answers in another protocol": (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"),
  "closes within the head": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-"),
  "falls silent within the head": (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-"),
  "falls silent after an interim answer": (socket) =>
    socket.write("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"),
  "closes after an interim answer": (socket) => socket.end("HTTP/1.1 102 Processing\r\n\r\n"),
  "sends a head that contradicts itself": (socket) =>
    socket.end(`${head("Content-Length: 1\r\nContent-Length: 2\r\n")}x`),
  "answers with 503": (socket) => socket.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nsick"),
  "closes after the head": (socket) => socket.end(head("Content-Length: 100\r\n")),
  "closes within the content": (socket) => socket.end(`${head("Content-Length: 100\r\n")}${half}`),
  "resets within the content": (socket) => {
    socket.write(`${head("Content-Length: 100\r\n")}${half}`);
    resetWhenSeen(socket);
  },
  "falls silent within the content": (socket) => socket.write(`${head("Content-Length: 100\r\n")}${half}`),
  "sends a chunk that is none": (socket) =>
    socket.end(`${head("Transfer-Encoding: chunked\r\n")}5\r\nhello\r\nnonsense\r\n`),
  "ends within chunks": (socket) => socket.end(`${head("Transfer-Encoding: chunked\r\n")}5\r\nhello\r\n`),
  "resets content that only its end delimits": (socket) => {
    socket.write(`${head("")}${half}`);
    resetWhenSeen(socket);
  },
};

let fault: ((socket: Socket) => void) | null = null;
let asked = 0;
/** How many ask at once, and how many of them have seen as much as is to come. */
let together = 1;
let seenCount = 0;
const sockets = new Set<Socket>();
const server = createServer((socket) => {
  sockets.add(socket);
  socket.on("error", () => {});
  let received = "";
  socket.on("data", (bytes: Buffer) => {
    received += bytes.toString("latin1");
    const end = received.indexOf("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
    if (end === -1 || received.length < end + 4 + length) return undefined;
    received = "";
    asked++;
    const act = fault;
    // All who ask at once must have come before the first of them is let down.
    if (act !== null && together > 1 && asked === 1)
      return void until(async () => (await statusOf(member)).self.inFlight >= together, "all have come").then(() =>
        act(socket),
      );
    if (act !== null) return act(socket);
    return void socket.write(`${head("Content-Length: 4\r\n")}good`);
  });
});
let member: TestMember;

beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const file = join(temporaryFolder(), "faults.yaml");
  writeFileSync(
    file,
    `routes:\n  - { origin: "http://127.0.0.1:${(server.address() as AddressInfo).port}", head-timeout: 300ms, body-timeout: 300ms }\n`,
  );
  member = await startMember(["--config", file]);
});
afterAll(async () => {
  await endAll();
  for (const socket of sockets) socket.destroy();
  server.close();
});

/** What one client sees. */
function see(method: string, path: string): Promise<string> {
  return new Promise((done) => {
    const headers = method === "POST" ? { "content-length": 7 } : {};
    const sending = request(
      { port: member.port, host: "127.0.0.1", path, method, agent: false, headers },
      (response) => {
        let text = "";
        // The head is all that a HEAD is to have.
        if (method === "HEAD") seenCount++;
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
          if (text.length === half.length) seenCount++;
        });
        response.on("error", () => {});
        response.on("close", () => {
          const stale = text === "good" ? " stale" : "";
          done(response.complete ? `${response.statusCode}${stale}` : `${response.statusCode}, cut`);
        });
      },
    );
    sending.on("error", () => done("cut"));
    if (method === "POST") sending.write("content");
    sending.end();
  });
}

/** A cell: what each client saw, where they differ all of it, and how often the origin was asked. */
async function cell(clients: readonly (() => Promise<string>)[]): Promise<string> {
  asked = 0;
  seenCount = 0;
  const seen = [...new Set(await Promise.all(clients.map((client) => client())))].sort();
  return `${seen.join(" / ")} · ${asked}×`;
}

let paths = 0;
const columns: Readonly<Record<string, () => Promise<string>>> = {
  GET: async () => {
    const path = `/${paths++}`;
    return cell([() => see("GET", path)]);
  },
  "three GETs at once": async () => {
    const path = `/${paths++}`;
    together = 3;
    const text = await cell([1, 2, 3].map(() => () => see("GET", path)));
    together = 1;
    return text;
  },
  HEAD: async () => {
    const path = `/${paths++}`;
    return cell([() => see("HEAD", path)]);
  },
  POST: async () => {
    const path = `/${paths++}`;
    return cell([() => see("POST", path)]);
  },
  "GET, a stale response stored": async () => {
    const path = `/${paths++}`;
    const then = fault;
    fault = null;
    await see("GET", path);
    fault = then;
    return cell([() => see("GET", path)]);
  },
};

async function rowOf(name: string): Promise<string[]> {
  fault = faults[name]!;
  const cells: string[] = [];
  for (const column of Object.values(columns)) cells.push(await column());
  fault = null;
  return cells;
}

describe("an origin that", () => {
  const written: string[] = [];
  const known = (name: string): string[] =>
    readFileSync(table, "utf8")
      .split("\n")
      .find((line) => line.startsWith(`| ${name} |`))!
      .split("|")
      .slice(2, -1)
      .map((text) => text.trim());

  it.each(Object.keys(faults))(
    "%s: each client gets what the table says",
    async (name) => {
      const row = await rowOf(name);
      written.push(`| ${name} | ${row.join(" | ")} |`);
      if (process.env["WRITE_TABLES"] === undefined) expect(row).toEqual(known(name));
    },
    30_000,
  );

  afterAll(() => {
    if (process.env["WRITE_TABLES"] === undefined) return;
    const before = readFileSync(table, "utf8")
      .split("\n")
      .filter((line) => !line.startsWith("|"));
    const lines = [
      `| The origin… | ${Object.keys(columns).join(" | ")} |`,
      `|---${"|---".repeat(Object.keys(columns).length)}|`,
      ...written,
    ];
    const at = before.indexOf("<!-- table -->") + 1;
    writeFileSync(table, [...before.slice(0, at), ...lines, ...before.slice(at)].join("\n"));
  });
});
