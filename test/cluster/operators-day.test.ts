/**
 * An operator's day: three members with certificates from an authority, redirects, HTTP/2, compression; a reload, a new
 * secret, a member replaced; and clients who see nothing of it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTls } from "node:tls";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { afterAll, afterEach, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { freePort } from "../support/free-port.ts";
import {
  endAll,
  secret as oldSecret,
  settled,
  startMember,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { hasPebble, startPebble, type Pebble } from "../support/pebble.ts";

const page = "<p>a line of a page that repeats itself</p>\n".repeat(200);
const newSecret = "another secret, for the evening";
const folder = temporaryFolder();
let origin: TestOrigin | null = null;
let pebble: Pebble | null = null;

afterEach(endAll);
afterAll(async () => {
  await origin?.close();
  await pebble?.stop();
});

interface Seat {
  readonly name: string;
  readonly http: number;
  readonly https: number;
  readonly peer: number;
  readonly admin: number;
  readonly file: string;
  member: TestMember | null;
}

/** One client over HTTP/2: as a balancer does, it goes to the next member where one does not take the request. */
class Client {
  answered = 0;
  uncoded = 0;
  readonly failures: string[] = [];
  readonly #seats: readonly Seat[];
  readonly #sessions = new Map<number, ClientHttp2Session>();
  #next: number;

  constructor(seats: readonly Seat[], first: number) {
    this.#seats = seats;
    this.#next = first;
  }

  async run(ended: () => boolean): Promise<void> {
    for (let count = 0; !ended(); count++) await this.#ask(`/page/${count % 40}`);
    for (const session of this.#sessions.values()) session.close();
  }

  async #ask(path: string): Promise<void> {
    const reasons: string[] = [];
    for (let turn = 0; turn < this.#seats.length; turn++) {
      const { https } = this.#seats[(this.#next + turn) % this.#seats.length]!;
      const answer = await this.#once(https, path).catch((error: Error & { code?: string }) => error);
      if (answer instanceof Error) {
        reasons.push(`${https}: ${(answer as { code?: string }).code ?? answer.message}`);
        continue;
      }
      this.answered++;
      if (answer !== `${path} ${page}`) this.failures.push(`${path}: ${answer.slice(0, 100)}`);
      return;
    }
    this.failures.push(`${path}: ${reasons.join(", ")}`);
    this.#next++;
  }

  #once(port: number, path: string): Promise<string> {
    let session = this.#sessions.get(port);
    if (session === undefined || session.closed || session.destroyed) {
      session = connectHttp2(`https://day.test:${port}`, {
        createConnection: () =>
          connectTls({
            host: "127.0.0.1",
            port,
            servername: "day.test",
            ALPNProtocols: ["h2"],
            rejectUnauthorized: false,
          }),
      });
      session.on("error", () => {});
      this.#sessions.set(port, session);
    }
    return new Promise((done, fail) => {
      const stream = session.request({ ":path": path, ":authority": "day.test", "accept-encoding": "br" });
      let status = 0;
      let coding: unknown;
      const chunks: Buffer[] = [];
      stream.on("response", (headers) => {
        status = headers[":status"]!;
        coding = headers["content-encoding"];
      });
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      // What had begun to be answered must be answered: only what was never taken may go elsewhere.
      stream.on("error", (error) => (status === 0 ? fail(error) : done(`broken off: ${error.message}`)));
      stream.on("end", () => {
        if (status === 0) return fail(new Error("not taken"));
        if (status !== 200) return done(`status ${status}: ${Buffer.concat(chunks).toString()}`);
        // A member that is just joining passes on what it is asked, and keeps and makes nothing of it.
        if (coding !== "br") this.uncoded++;
        const bytes = Buffer.concat(chunks);
        return done((coding === "br" ? brotliDecompressSync(bytes) : bytes).toString());
      });
      stream.end();
    });
  }
}

it.skipIf(!hasPebble)(
  "passes without a request that fails",
  async () => {
    origin = await startOrigin((request, response) => {
      response.setHeader("content-type", "text/html");
      response.setHeader("cache-control", "max-age=2, stale-while-revalidate=60");
      response.end(`${request.url} ${page}`);
    });
    const ports = await Promise.all(Array.from({ length: 16 }, () => freePort()));
    pebble = await startPebble(ports[0]!);
    const config = (state: string, http: number, https: number, more = ""): string => `certificates: auto
acme-directory: ${pebble!.directory}
acme-ca: ${pebble!.ca}
state: ${join(folder, state)}
listen: ["127.0.0.1:${https},tls,http2", "127.0.0.1:${http},redirect"]
compress: [br, gzip]
routes:
  - { path: /health, respond: { status: 200, text: well } }
  - { host: day.test, origin: "${origin!.url}"${more} }
`;
    const seats = ["m1", "m2", "m3", "m4"].map((name, index): Seat => {
      const [http = 0, https = 0, peer = 0, admin = 0] = ports.slice(index * 4, index * 4 + 4);
      const file = join(folder, `${name}.yaml`);
      writeFileSync(file, config(name, http, https));
      return { name, http, https, peer, admin, file, member: null };
    });
    const start = async (seat: Seat, secrets: string): Promise<void> => {
      const flags = [
        "--config",
        seat.file,
        "--name",
        seat.name,
        "--peer",
        `127.0.0.1:${seat.peer}`,
        "--admin",
        `127.0.0.1:${seat.admin}`,
      ];
      const coordinator = seat === seats[0] ? [] : ["--coordinator", `http://127.0.0.1:${seats[0]!.peer}`];
      seat.member = await startMember([...flags, ...coordinator], { GYRE_SECRET: secrets }, []);
    };
    const all = (): TestMember[] => seats.map(({ member }) => member).filter((member) => member !== null);

    // In the morning: three members, certificates for all.
    for (const seat of seats.slice(0, 3)) await start(seat, oldSecret);
    await settled(all());
    const shown = (port: number): Promise<string | null> =>
      new Promise((done) => {
        const socket = connectTls(
          { host: "127.0.0.1", port, servername: "day.test", rejectUnauthorized: false },
          () => {
            done(socket.getPeerX509Certificate()?.serialNumber ?? null);
            socket.destroy();
          },
        );
        socket.on("error", () => done(null));
      });
    await until(
      async () => (await Promise.all(seats.slice(0, 3).map(({ https }) => shown(https)))).every((one) => one !== null),
      "all have their certificate",
      60_000,
    );
    const serial = await shown(seats[0]!.https);
    const plain = await ask(seats[1]!.http, "/page/1", { headers: { host: "day.test" } });
    expect([plain.status, plain.headers["location"]]).toEqual([308, `https://day.test:${seats[1]!.https}/page/1`]);
    expect((await ask(seats[1]!.http, "/health")).text).toBe("well");

    // All day long: clients.
    const day = { ended: false };
    const clients = [0, 1, 2, 0, 1, 2].map((first) => new Client(seats, first));
    const running = Promise.all(clients.map((client) => client.run(() => day.ended)));
    const answered = (): number => clients.reduce((sum, client) => sum + client.answered, 0);
    const some = async (more: number): Promise<void> => {
      const before = answered();
      await until(() => answered() >= before + more, `${more} more are answered`, 60_000);
    };
    await some(300);

    // At noon: a reload at all.
    for (const seat of seats.slice(0, 3)) {
      const more = ', set-fields: { response: { Strict-Transport-Security: "max-age=60" } }';
      writeFileSync(seat.file, config(seat.name, seat.http, seat.https, more));
      seat.member!.child.kill("SIGHUP");
      await until(() => seat.member!.output().includes("configuration reloaded"), "it is taken up");
    }
    await some(300);

    // In the afternoon: another secret, member by member.
    for (const secrets of [`${oldSecret}\n${newSecret}`, `${newSecret}\n${oldSecret}`, newSecret]) {
      for (const seat of seats.slice(0, 3)) {
        await seat.member!.stop();
        await start(seat, secrets);
        await some(20);
      }
      await settled(all());
    }

    // In the evening: a member leaves, another comes.
    await seats[2]!.member!.stop();
    seats[2]!.member = null;
    await start(seats[3]!, newSecret);
    await settled(all());
    await until(async () => (await shown(seats[3]!.https)) === serial, "it has been given the certificate");
    await some(300);
    day.ended = true;
    await running;

    expect(clients.flatMap(({ failures }) => failures)).toEqual([]);
    expect(answered()).toBeGreaterThan(1000);
    expect(clients.reduce((sum, { uncoded }) => sum + uncoded, 0)).toBeLessThan(answered() / 4);
    expect(await shown(seats[0]!.https), "the same all day").toBe(serial);
    expect(readFileSync(seats[0]!.file, "utf8")).toContain("Strict-Transport-Security");
  },
  240_000,
);
