/** The admin port and the commands that ask it: who may do what, what is told of requests and events, what is changed. */
import { spawn } from "node:child_process";
import { request } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import {
  endAll,
  program,
  secret,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((asked, response) => {
    if (asked.url === "/broken") response.statusCode = 503;
    else response.setHeader("cache-control", "max-age=600");
    response.end(`content of ${asked.url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

interface Answer {
  readonly status: number;
  readonly cookie: string | null;
  readonly value: Record<string, unknown>;
}

/** A request as a browser, or somebody who makes it up, would send it. */
function send(
  { admin }: Pick<TestMember, "admin">,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  content = "",
): Promise<Answer> {
  const [host, port] = admin.split(":");
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, method, path, headers: { ...headers } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          cookie: response.headers["set-cookie"]?.[0] ?? null,
          value: response.headers["content-type"]?.includes("json") === true ? JSON.parse(text || "{}") : {},
        }),
      );
    });
    asked.on("error", reject);
    asked.end(content);
  });
}

const json = { "content-type": "application/json" };

/** The token of a session. */
async function loggedIn(member: TestMember): Promise<string> {
  const { status, cookie, value } = await send(member, "POST", "/api/login", json, JSON.stringify({ secret }));
  expect(status).toBe(200);
  expect(cookie, "which would go to origins as well").toBeNull();
  return value["token"] as string;
}

describe("who may do what", () => {
  it("reads from this machine alone, and only by an address of this machine: names that are rebound do not", async () => {
    const member = await startMember(["--origin", origin.url]);
    expect((await send(member, "GET", "/api/status")).status).toBe(200);
    expect((await send(member, "GET", "/api/status", { host: "evil.example" })).status).toBe(401);
    expect((await send(member, "GET", "/api/status", { host: "evil.example:8082" })).status).toBe(401);
    expect((await send(member, "GET", "/api/status", { origin: "http://evil.example" })).status).toBe(401);
    expect((await send(member, "GET", "/api/status", { "sec-fetch-site": "cross-site" })).status).toBe(401);
    expect((await send(member, "GET", "/api/requests?recent=1&follow=0", { host: "evil.example" })).status).toBe(401);
    expect((await send(member, "GET", "/healthz", { host: "evil.example" })).status).toBe(200);
  });

  it("tells strangers nothing but that it lives and whether they may log in: no name either", async () => {
    const member = await startMember(["--origin", origin.url]);
    const { status, value } = await send(member, "GET", "/api/session", { host: "evil.example" });
    expect([status, value]).toEqual([200, { member: null, reads: false, loggedIn: false, mayLogIn: false }]);
  });

  it("answers nobody who names two hosts (RFC 9112 §3.2)", async () => {
    const member = await startMember(["--origin", origin.url]);
    for (const path of ["/healthz", "/api/status"]) {
      const client = await RawClient.open(Number(member.admin.split(":")[1]));
      client.send(`GET ${path} HTTP/1.1\r\nHost: ${member.admin}\r\nhost: evil.example\r\n\r\n`);
      const answer = await client.end();
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain("two Host fields");
    }
  });

  it("changes nothing without the secret, nor with a wrong one", async () => {
    const member = await startMember(["--origin", origin.url]);
    for (const path of ["/api/purge", "/api/drain", "/api/reload", "/api/weight", "/api/coordinate", "/api/logout"]) {
      expect((await send(member, "POST", path, json, "{}")).status, path).toBe(401);
      expect((await send(member, "POST", path, { authorization: "Bearer wrong" }, "{}")).status, path).toBe(401);
      expect((await send(member, "POST", path, { authorization: `Basic ${secret}` }, "{}")).status, path).toBe(401);
    }
    expect((await statusOf(member)).self.state).toBe("ready");
  });

  it("logs in with the secret, from the page itself, a few times a minute", async () => {
    const member = await startMember(["--origin", origin.url]);
    const login = (headers: Readonly<Record<string, string>>, what: string = secret): Promise<Answer> =>
      send(member, "POST", "/api/login", headers, JSON.stringify({ secret: what }));
    expect((await login({ ...json, origin: "http://evil.example" })).status).toBe(403);
    expect((await login({ ...json, "sec-fetch-site": "cross-site" })).status).toBe(403);
    expect((await login({ ...json, host: "evil.example" })).status).toBe(403);
    expect((await login({ "content-type": "text/plain" })).status).toBe(415);
    expect((await send(member, "POST", "/api/login", json, "x".repeat(5000))).status).toBe(400);
    expect((await login({ ...json, origin: `http://${member.admin}`, "sec-fetch-site": "same-origin" })).status).toBe(
      200,
    );
    for (let guess = 0; guess < 10; guess++) expect((await login(json, `guess ${guess}`)).status).toBe(401);
    expect((await login(json)).status).toBe(429);
  });

  it("changes something by a session's token: no other page has it", async () => {
    const member = await startMember(["--origin", origin.url]);
    const token = await loggedIn(member);
    const weigh = (headers: Readonly<Record<string, string>>): Promise<Answer> =>
      send(member, "POST", "/api/weight", { ...json, ...headers }, '{"weight":2}');
    expect((await weigh({})).status).toBe(401);
    expect((await weigh({ "x-gyre-token": `${token}x` })).status).toBe(401);
    expect((await weigh({ "x-gyre-token": token, origin: "http://evil.example" })).status).toBe(401);
    expect((await weigh({ "x-gyre-token": token, "sec-fetch-site": "same-site" })).status).toBe(401);
    expect((await weigh({ "x-gyre-token": token, host: "evil.example" })).status).toBe(401);
    expect((await weigh({ "x-gyre-token": token })).status).toBe(200);
    expect((await send(member, "GET", "/api/session", { "x-gyre-token": token })).value["loggedIn"]).toBe(true);
    expect((await send(member, "GET", "/api/session")).value).toEqual({
      member: "m1",
      reads: true,
      loggedIn: false,
      mayLogIn: true,
    });
    expect((await send(member, "POST", "/api/logout", { "x-gyre-token": token })).status).toBe(200);
    expect((await weigh({ "x-gyre-token": token })).status).toBe(401);
  });

  it("answers HEAD of what does not end, and bounds how many of those there are", async () => {
    const member = await startMember(["--origin", origin.url]);
    for (const path of ["/api/requests", "/api/events?follow=1", "/api/live"])
      expect((await send(member, "HEAD", path)).status, path).toBe(200);
    const [host, port] = member.admin.split(":");
    const open = await Promise.all(
      Array.from(
        { length: 100 },
        () =>
          new Promise<import("node:http").IncomingMessage>((done) =>
            request({ host, port, path: "/api/requests" }, done).end(),
          ),
      ),
    );
    expect((await send(member, "GET", "/api/requests")).status).toBe(503);
    for (const one of open) one.destroy();
    await until(async () => (await send(member, "HEAD", "/api/requests")).status === 200, "they are free again");
  });

  it("makes no event of who goes away in the middle", async () => {
    const member = await startMember(["--origin", origin.url]);
    const before = ((await send(member, "GET", "/api/events")).value as unknown as unknown[]).length;
    const port = Number(member.admin.split(":")[1]);
    for (let count = 0; count < 20; count++) {
      const client = await RawClient.open(port);
      client.send(
        "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
      );
      client.close();
    }
    expect((await send(member, "GET", "/healthz")).status).toBe(200);
    expect((await send(member, "GET", "/api/events")).value).toHaveLength(before);
  });

  it("says what it does not know, and what it does not take", async () => {
    const member = await startMember(["--origin", origin.url]);
    const bearer = { authorization: `Bearer ${secret}` };
    expect((await send(member, "GET", "/api/nothing")).value["paths"]).toContain("/api/status");
    expect((await send(member, "GET", "/api/drain")).status).toBe(405);
    expect((await send(member, "POST", "/api/weight", bearer, "no")).status).toBe(400);
    expect((await send(member, "POST", "/api/weight", bearer, '{"weight":-1}')).status).toBe(409);
    expect((await send(member, "POST", "/api/weight?member=m9", bearer, '{"weight":1}')).status).toBe(404);
    expect((await send(member, "GET", "/api/requests?filter=colour=red")).status).toBe(400);
    expect((await send(member, "GET", "/api/busiest?count=1000")).status).toBe(400);
  });
});

describe("what is told of requests", () => {
  it("is every one of them, hits of the fast way too, as they end, at every member, and only those asked for", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    const folder = temporaryFolder();
    const all = follow(members[0]!, ["logs", "--follow", "--json"], folder);
    const broken = follow(members[0]!, ["logs", "--follow", "--json", "--filter", "status>=500 uri~/bro"], folder);
    const seen = (): { uri: string; outcome: string; owned: string | null; member: string; route: string }[] =>
      all
        .text()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as never);
    // Who follows is there when he sees what is asked again and again.
    await until(async () => {
      await Promise.all(members.map((member) => ask(member.port, "/begin")));
      await ask(members[1]!.port, "/broken");
      const lines = seen();
      return broken.text() !== "" && members.every(({ name }) => lines.some((line) => line.member === name));
    }, "both are followed");
    for (const member of members) for (let turn = 0; turn < 3; turn++) await ask(member.port, "/page");
    const pages = (): ReturnType<typeof seen> => seen().filter(({ uri }) => uri.endsWith("/page"));
    await until(() => pages().length === 6, "all six are told of, each once");
    expect(new Set(pages().map(({ member }) => member))).toEqual(new Set(["m1", "m2"]));
    expect(
      pages().filter(({ outcome, owned }) => outcome === "hit" || owned?.includes("; hit") === true).length,
    ).toBeGreaterThanOrEqual(2);
    expect(pages()[0]!.route).toBe("*/");
    expect(broken.text()).not.toContain("/page");
    expect(broken.text()).toContain("/broken");
    all.end();
    broken.end();
  });

  it("ends with those who watch: nobody pays for it then", async () => {
    const member = await startMember(["--origin", origin.url]);
    const folder = temporaryFolder();
    const run = await Promise.all([
      gyre(["logs", "--follow", "--count", "3", "--admin", member.admin], folder),
      until(
        async () => {
          await ask(member.port, "/counted");
          return false;
        },
        "it ends",
        1500,
      ).catch(() => {}),
    ]);
    expect(run[0].code).toBe(0);
    expect(run[0].output.trim().split("\n")).toHaveLength(3);
    expect(run[0].output).toMatch(/m1 GET http:\/\/\S+\/counted 200 hit, 19 B in \d/);
  });

  it("remembers the last that were no hits, and why the last answer for a URL was one", async () => {
    const member = await startMember(["--origin", origin.url]);
    const folder = temporaryFolder();
    await ask(member.port, "/remembered");
    await ask(member.port, "/broken");
    const { output } = await gyre(["logs", "--admin", member.admin, "--filter", "outcome=uri-miss"], folder);
    expect(output).toMatch(/\/remembered 200 uri-miss, /);
    expect(output).toMatch(/\/broken 503 uri-miss/);
    const explained = await gyre(
      ["explain", `http://127.0.0.1:${member.port}/remembered`, "--admin", member.admin],
      folder,
    );
    expect(explained.output).toMatch(/last {5}uri-miss, status 200, at m1/);
    const refused = await gyre(["logs", "--admin", member.admin, "--filter", "colour=red"], folder);
    expect(refused).toMatchObject({ code: 2, errors: expect.stringContaining('"colour" is not known') as string });
  });

  it("counts what is busiest, over all members", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    const folder = temporaryFolder();
    const load = { ended: false };
    const loading = (async () => {
      while (!load.ended) for (const member of members) await ask(member.port, "/busy");
    })();
    // Each counts for five seconds: both the same ones.
    const [told, table] = await Promise.all(
      [["--json"], ["--once", "--by", "client"]].map((as) =>
        gyre(["top", ...as, "--admin", members[0]!.admin], folder),
      ),
    );
    load.ended = true;
    await loading;
    const { uri, route, client } = JSON.parse(told!.output) as Record<string, { name: string; requests: number }[]>;
    expect(uri!.map(({ name }) => name).toSorted()).toEqual(
      members.map(({ port }) => `http://127.0.0.1:${port}/busy`).toSorted(),
    );
    expect(uri![0]!.requests).toBeGreaterThan(1);
    expect(route![0]!.name).toBe("*/");
    expect(client![0]!.name).toBe("127.0.0.1");
    expect(client![0]!.requests).toBeCloseTo(uri![0]!.requests + uri![1]!.requests, 3);
    expect(table!.output).toContain("CLIENT");
    expect(await gyre(["top", "--by", "colour", "--admin", members[0]!.admin], folder)).toMatchObject({ code: 2 });
  }, 60_000);

  it("drops what a reader who does not read does not take, and tells how much", async () => {
    const member = await startMember(["--origin", origin.url]);
    const [host, port] = member.admin.split(":");
    const response = await new Promise<import("node:http").IncomingMessage>((resolve) => {
      request({ host, port, path: "/api/requests" }, resolve).end();
    });
    response.pause();
    await ask(member.port, `/${"x".repeat(1800)}`);
    const paths = Array.from({ length: 30 }, () => `/${"x".repeat(1800)}`);
    for (let turn = 0; turn < 150; turn++) await Promise.all(paths.map((path) => ask(member.port, path)));
    let text = "";
    response.on("data", (chunk: Buffer) => (text += chunk.toString()));
    response.resume();
    await until(async () => {
      await ask(member.port, "/after");
      return text.includes('{"dropped":');
    }, "the loss is told");
    const lost = [...text.matchAll(/\{"dropped":(\d+)\}/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    const told = text.split("\n").filter((line) => line.includes("/xxx")).length;
    expect(lost).toBeGreaterThan(500);
    expect(told + lost).toBeGreaterThanOrEqual(1 + 150 * 30);
    response.destroy();
  }, 60_000);
});

describe("what is told of events", () => {
  it("is the past of all members in order, and what comes", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    const folder = temporaryFolder();
    const { output } = await gyre(["events", "--json", "--admin", members[0]!.admin], folder);
    const events = output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { time: string; member: string; kind: string });
    expect(new Set(events.map(({ member }) => member))).toEqual(new Set(["m1", "m2"]));
    expect(events.filter(({ kind }) => kind === "start")).toHaveLength(2);
    expect(events.map(({ time }) => time)).toEqual(events.map(({ time }) => time).toSorted());
    const following = follow(members[0]!, ["events", "--follow"], folder);
    await until(() => following.text().includes("m2"), "both are followed");
    const weighed = await gyre(["weight", "m2", "3", "--admin", members[0]!.admin], folder);
    expect(weighed.code, weighed.errors).toBe(0);
    await until(() => following.text().includes("m2 info weighs 3 from now on"), "the event is told");
    following.end();
  });
});

describe("what is changed at running members", () => {
  it("is a drain, of whoever hosts the coordinator too, asked for at another: it is answered", async () => {
    for (const name of ["m1", "m2"]) {
      const members = await startCluster(2, ["--origin", origin.url]);
      const other = members.find((member) => member.name !== name)!;
      const drained = await send(other, "POST", `/api/drain?member=${name}`, { authorization: `Bearer ${secret}` });
      expect([name, drained.status, drained.value["error"]]).toEqual([name, 200, undefined]);
      await endAll();
    }
  });

  it("is a weight: the share follows, and what is stored is found where it was", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    const folder = temporaryFolder();
    const paths = Array.from({ length: 40 }, (_, index) => `/weighed/${index}`);
    for (const path of paths) await ask(members[0]!.port, path);
    const before = origin.asked.length;
    const { code, output } = await gyre(["weight", "m2", "4", "--admin", members[0]!.admin, "--json"], folder);
    expect({ code, output: JSON.parse(output) as unknown }).toEqual({ code: 0, output: { member: "m2", weight: 4 } });
    await until(
      async () =>
        (await statusOf(members[0]!)).members.every(({ name, share }) => (name === "m2" ? share > 0.7 : share < 0.3)),
      "the shares have moved",
    );
    for (const path of paths) await ask(members[0]!.port, path);
    expect(origin.asked.length - before, "asked of the origin again").toBe(0);
    expect(await gyre(["weight", "m2", "none", "--admin", members[0]!.admin], folder)).toMatchObject({ code: 2 });
    expect(await gyre(["weight", "m9", "1", "--admin", members[0]!.admin], folder)).toMatchObject({ code: 1 });
  });

  it("is a configuration, at all members or those named, or the old one stays and why is said", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "gyre.yaml");
    writeFileSync(file, `origin: ${origin.url}\n`);
    const members = await startCluster(2, ["--config", file]);
    const at = ["--admin", members[0]!.admin];
    const all = await gyre(["reload", ...at], folder);
    expect(all).toMatchObject({ code: 0, output: "m1: configuration reloaded\nm2: configuration reloaded\n" });
    writeFileSync(file, "orign: nothing\n");
    const refused = await gyre(["reload", "m2", ...at, "--json"], folder);
    expect(refused.code).toBe(1);
    expect(refused.output).toContain("orign");
    expect((await ask(members[1]!.port, "/still")).status).toBe(200);
  });
});

/** A command that goes on until it is ended. */
function follow(
  member: TestMember,
  parameters: readonly string[],
  folder: string,
): { text: () => string; end: () => void } {
  const child = spawn(process.execPath, [program, ...parameters, "--admin", member.admin], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, GYRE_RUN_DIR: folder, GYRE_SECRET: secret },
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return { text: () => text, end: () => void child.kill("SIGINT") };
}
