/** Clients served by several threads: the same answers as from one, in order, and nothing old from any of them. */
import { createServer } from "node:net";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Fronts } from "../../src/member/fronts.ts";
import { Recorder } from "../../src/proxy/request/recorder.ts";
import { PageStore } from "../../src/store/pages/page-store.ts";
import { wireLimits } from "../../src/wire/limits.ts";
import { ask, RawClient } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { endAll, secret, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
let version = 1;
beforeAll(async () => {
  origin = await startOrigin((request, response, { body }) => {
    const url = request.url!;
    response.setHeader("cache-control", url.startsWith("/private") ? "no-store" : "max-age=600");
    if (request.method === "POST") response.end(`took ${body.length}`);
    else if (url.startsWith("/long")) response.end(`${url} `.repeat(20_000));
    else if (url.startsWith("/slow")) setTimeout(() => response.end(`content of ${url}`), 150);
    else if (url.startsWith("/version")) response.end(`${url} is ${version}`);
    else response.end(`content of ${url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const threads = 3;
const served = (...flags: string[]): Promise<TestMember> =>
  startMember(["--origin", origin.url, "--threads", String(threads), ...flags]);

async function metricOf({ admin }: TestMember, name: string, labels = ""): Promise<number> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{${labels}[^}]*\\} (\\S+)$`, "m").exec(text)?.[1]);
}

/** Many connections, so that every thread has some. */
const openAll = (member: TestMember, count = 24): Promise<RawClient[]> =>
  Promise.all(Array.from({ length: count }, () => RawClient.open(member.port)));

const asH = { headers: { host: "h" } };
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;

describe("several threads", () => {
  it("answer as one, and are counted as one", async () => {
    const member = await served();
    await ask(member.port, "/hit", asH);
    const clients = await openAll(member);
    await Promise.all(
      clients.map(async (client, number) => {
        client.send(get("/hit").repeat(10) + get(`/miss${number}`) + get("/hit"));
        await client.until((text) => text.split("content of").length > 12, "twelve answers");
      }),
    );
    expect((await statusOf(member)).self).toMatchObject({ threads, requests: 1 + 24 * 12, hits: 24 * 11 });
    expect(await metricOf(member, "gyre_request_seconds_count")).toBe(1 + 24 * 12);
    expect(await metricOf(member, "gyre_responses_total", 'status="200",')).toBe(1 + 24 * 12);
    for (const client of clients) client.close();
  });

  it("keep the order of what is asked on a connection, whichever thread answers it, however the bytes come", async () => {
    const member = await served();
    const paths = ["/a", "/b", "/long", "/private", "/c"];
    for (const path of paths) await ask(member.port, path, asH);
    const request = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...paths).map((path) => ({ bytes: get(path), path })) },
      { weight: 1, arbitrary: fc.nat(9).map((n) => ({ bytes: get(`/new${n}`), path: `/new${n}` })) },
      {
        weight: 1,
        arbitrary: fc.nat(3000).map((n) => ({
          bytes: `POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: ${n}\r\n\r\n${"x".repeat(n)}`,
          path: `POST ${n}`,
        })),
      },
      {
        weight: 1,
        arbitrary: fc.constant({ bytes: "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", path: "HEAD" }),
      },
    );
    const expected = (path: string): string => {
      if (path === "HEAD") return "";
      if (path === "/long") return "/long ".repeat(20_000);
      return path.startsWith("POST ") ? `took ${path.slice(5)}` : `content of ${path}`;
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            requests: fc.array(request, { minLength: 1, maxLength: 12 }),
            pieces: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 6 }),
          }),
          { minLength: 3, maxLength: 3 },
        ),
        async (plans) => {
          await Promise.all(
            plans.map(async ({ requests, pieces }) => {
              const client = await RawClient.open(member.port);
              const bytes = requests.map((one) => one.bytes).join("");
              for (let at = 0, turn = 0; at < bytes.length; turn++) {
                const piece = turn < 40 ? pieces[turn % pieces.length]! : bytes.length;
                client.send(bytes.slice(at, at + piece));
                at += piece;
                await new Promise((next) => setImmediate(next));
              }
              client.send("GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
              const answers = contents(await client.end(), [...requests.map(({ path }) => path), "/end"]);
              expect(answers).toEqual([...requests.map(({ path }) => expected(path)), "content of /end"]);
            }),
          );
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);

  it("answer nothing before what home is still answering, whenever it was asked for", async () => {
    const member = await served();
    // Content that home lends, and a hit for the front.
    for (const path of ["/long", "/a"]) for (let turn = 0; turn < 2; turn++) await ask(member.port, path, asH);
    for (let turn = 0; turn < 40; turn++) {
      const client = await RawClient.open(member.port);
      client.send(get("/long"));
      await new Promise((next) => setImmediate(next));
      client.send(get(`/slow${turn}`));
      await until(() => origin.count(`/slow${turn}`) > 0, "the slow one is asked for");
      client.send(get("/a") + "GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      const paths = ["/long", `/slow${turn}`, "/a", "/end"];
      const [long, ...others] = contents(await client.end(), paths);
      expect([long!.length, ...others]).toEqual([120_000, ...paths.slice(1).map((path) => `content of ${path}`)]);
    }
  }, 60_000);

  it("wait no longer for the next request of a client that has sent an empty line", async () => {
    const file = join(temporaryFolder(), "gyre.yaml");
    writeFileSync(file, `origin: ${origin.url}\nlimits: { idle-timeout: 700ms }\n`);
    const member = await startMember(["--config", file, "--threads", String(threads)]);
    const client = await RawClient.open(member.port);
    await client.send(get("/private")).until((text) => text.includes("content of"), "an answer");
    client.send("\r\n");
    await client.end();
    client.close();
  }, 10_000);

  it("do nothing that is asked for on a connection that they have ended", async () => {
    const member = await served();
    await ask(member.port, "/hit", asH);
    const [idle, busy] = [await RawClient.open(member.port), await RawClient.open(member.port)];
    await idle.send(get("/hit")).until((text) => text.includes("content of"), "an answer");
    busy.send(get("/slow-last"));
    await until(() => origin.count("/slow-last") > 0, "it is asked for");
    const stopped = member.stop();
    await idle.end();
    idle.send("POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    await busy.until((text) => text.includes("content of /slow-last"), "the other is answered");
    for (const client of [idle, busy]) client.close();
    expect(await stopped).toBe(0);
    expect(origin.count("/late")).toBe(0);
  });

  it("have nothing old to give when a purge or an unsafe request has been answered", async () => {
    const member = await served();
    const clients = await openAll(member, 12);
    let [least, over, hits] = [version, false, 0];
    const wrong: string[] = [];
    const hammering = clients.map(async (client, number) => {
      while (!over) {
        const atLeast = least;
        client.received = "";
        client.send(get(`/version?${number % 3}`));
        const text = await client.until((received) => / is \d+$/.test(received), "an answer");
        const got = Number(/ is (\d+)$/.exec(text)![1]);
        if (got < atLeast) wrong.push(`${got} where it was ${atLeast}`);
        if (text.includes("; hit;")) hits++;
      }
    });
    const purge = (selector: object): Promise<number> =>
      fetch(`http://${member.admin}/api/purge`, {
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
        body: JSON.stringify({ selectors: [selector] }),
      }).then(({ status }) => status);
    const uris = [0, 1, 2].map((query) => `http://h/version?${query}`);
    for (let turn = 0; turn < 60; turn++) {
      version++;
      if (turn % 3 === 0) expect(await purge({ prefix: "http://h/version" })).toBe(200);
      else if (turn % 3 === 1) for (const uri of uris) expect(await purge({ uri })).toBe(200);
      else
        for (const uri of uris)
          expect(
            (await ask(member.port, uri.slice(8), { method: "POST", headers: { host: "h" }, body: "x" })).status,
          ).toBe(200);
      least = version;
    }
    over = true;
    await Promise.all(hammering);
    expect(wrong).toEqual([]);
    expect(hits).toBeGreaterThan(1000);
    for (const client of clients) client.close();
  });

  it("write a line for every request, whichever thread has answered it", async () => {
    const file = join(temporaryFolder(), "access.log");
    const member = await served("--access-log", "all", "--access-log-file", file);
    await ask(member.port, "/hit", asH);
    const clients = await openAll(member, 12);
    await Promise.all(
      clients.map(async (client) => {
        client.send(get("/hit").repeat(100));
        await client.until((text) => text.split("content of /hit").length > 100, "a hundred answers");
        client.close();
      }),
    );
    expect(await member.stop()).toBe(0);
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    expect(lines.length).toBe(1201);
    for (const line of lines)
      expect(JSON.parse(line)).toMatchObject({ kind: "access", client: "127.0.0.1", method: "GET", status: 200 });
    expect(lines.filter((line) => line.includes('"outcome":"hit"')).length).toBe(1200);
  });

  it("all go by a changed configuration from the moment that it is loaded", async () => {
    const file = join(temporaryFolder(), "gyre.yaml");
    const other = await startOrigin((_, response) => {
      response.setHeader("cache-control", "max-age=600");
      response.end("the other");
    });
    const routesTo = (url: string): void => writeFileSync(file, `routes: [{ origin: "${url}" }]\n`);
    routesTo(origin.url);
    const member = await startMember(["--config", file, "--threads", String(threads)]);
    const clients = await openAll(member, 12);
    await ask(member.port, "/hit", asH);
    routesTo(other.url);
    // What is stored is what the first origin has said: new settings make nobody forget it, but every thread must ask.
    process.kill(member.pid, "SIGHUP");
    await until(() => member.output().includes("configuration reloaded"), "it is reloaded");
    const answers = await Promise.all(
      clients.map(async (client, number) => {
        client.send(get(`/after${number}`));
        return client.until((text) => text.includes("the other") || text.includes("content of"), "an answer");
      }),
    );
    expect(answers.filter((text) => !text.includes("the other"))).toEqual([]);
    await other.close();
  });

  it("let nobody else listen where they do, and say so where somebody does", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const place = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const flags = ["start", "--threads", "2", "--peer", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--listen"];
    const folder = temporaryFolder();
    const refused = {
      code: 1,
      errors: expect.stringContaining(`cannot listen on ${place}: the port is in use`) as string,
    };
    expect(await gyre([...flags, place], folder)).toMatchObject(refused);
    taken.close();
    const member = await served();
    expect(await gyre([...flags, member.listen], folder)).toMatchObject({
      code: 1,
      errors: expect.stringContaining("the port is in use") as string,
    });
  });

  it("end what is under way before they end, and cut what the limit leaves", async () => {
    const member = await served();
    await ask(member.port, "/hit", asH);
    const clients = await openAll(member, 12);
    for (const client of clients) client.send(get("/hit"));
    await Promise.all(clients.map((client) => client.until((text) => text.includes("content of"), "an answer")));
    const stopped = member.stop();
    for (const client of clients) {
      await client.end();
      client.close();
    }
    expect(await stopped).toBe(0);
  });
});

describe("a front thread that dies", () => {
  it("is told of, with its number", async () => {
    const workers: Worker[] = [];
    const died = new Promise<string>((resolve) => {
      const store = new PageStore(2 ** 22, { readers: 2 });
      const fronts = new Fronts({
        count: 2,
        member: "m1",
        viaLine: "via: 1.1 m1\r\n",
        limits: wireLimits,
        listeners: [{ tls: false, http2: false, proxyProtocol: false, role: "both" }],
        settings: { allow: [[]], tls: null, proofs: [], log: null, routes: [], watched: false, traced: null },
        ticketKeys: new Uint8Array(48),
        store,
        recorder: new Recorder(),
        accept: () => {},
        lines: () => {},
        seen: () => {},
        turnedAway: () => {},
        unread: () => {},
        failed: () => {},
        died: resolve,
        started: (worker) => workers.push(worker),
      });
      void fronts.start().then(() => workers[1]!.terminate());
    });
    expect(await died).toMatch(/^front thread 1 has ended with code 1/);
    await workers[0]!.terminate();
  });
});

/** The contents of the answers to these requests, from a connection's bytes. */
function contents(received: string, paths: readonly string[]): string[] {
  let at = 0;
  return paths.map((path) => {
    const end = received.indexOf("\r\n\r\n", at);
    const head = received.slice(at, end).toLowerCase();
    at = end + 4;
    if (path === "HEAD") return "";
    const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
    if (length !== undefined) {
      const content = received.slice(at, at + Number(length));
      at += Number(length);
      return content;
    }
    let content = "";
    for (;;) {
      const line = received.indexOf("\r\n", at);
      const size = Number.parseInt(received.slice(at, line), 16);
      content += received.slice(line + 2, line + 2 + size);
      at = line + 4 + size;
      if (!(size > 0)) return content;
    }
  });
}
