/** Several members as one cache: who owns what, one fetch for all, deaths that no client sees. */
import type { ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient, through } from "../support/client.ts";
import {
  endAll,
  secret,
  settled,
  startCluster,
  startMember,
  statusOf,
  until,
  type TestMember,
} from "../support/member.ts";
import { openLoop } from "../support/open-loop.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", request.url!.startsWith("/short") ? "max-age=1" : "max-age=300");
    if (request.url!.startsWith("/passing")) {
      response.setHeader("cache-control", "no-store");
      return passInPieces(response, passing(request.url!));
    }
    response.setHeader("etag", '"same"');
    if (request.url!.startsWith("/large")) response.end(Buffer.alloc(8 * 2 ** 20, "large "));
    else response.end(`content of ${request.url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

/** Content that is another at each place of each path. */
function passing(path: string): Buffer {
  return Buffer.from(Array.from({ length: 40_000 }, (_, index) => `${path} ${index}\n`).join(""));
}

/** Large pieces and small ones in turn, each by itself. */
function passInPieces(response: ServerResponse, content: Buffer, at = 0): void {
  const bytes = at % 56_000 === 0 ? 48_000 : 8000;
  if (at + bytes >= content.length) {
    response.end(content.subarray(at));
    return;
  }
  response.write(content.subarray(at, at + bytes));
  setImmediate(() => passInPieces(response, content, at + bytes));
}

/** A path under `prefix` whose owner is the member named. */
async function ownedBy(members: readonly TestMember[], name: string, prefix: string): Promise<string> {
  const urls = Array.from({ length: 60 }, (_, index) => `${origin.url}${prefix}${index}`);
  const query = urls.map((url) => `url=${encodeURIComponent(url)}`).join("&");
  const located = (await (await fetch(`http://${members[0]!.admin}/api/locate?${query}`)).json()) as {
    urls: { url: string; owner: string }[];
  };
  return located.urls.find(({ owner }) => owner === name)!.url;
}

/** Nobody is gone round where a busy machine lets a member wait for its processor. */
const patient = ["--still-after", "1500ms"];

describe("three members", () => {
  it("fetch a cold URL once for 1,000 concurrent requests that enter at all three", async () => {
    const members = await startCluster(3, patient);
    const url = `${origin.url}/thousand`;
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => through(members[index % 3]!.port, url)),
    );
    expect(answers.every(({ status, text }) => status === 200 && text === "content of /thousand")).toBe(true);
    expect(origin.count("/thousand")).toBe(1);
  });

  it("agree on owners, forward once, and say so in Cache-Status", async () => {
    const members = await startCluster(3, patient);
    const url = await ownedBy(members, "m2", "/owned");
    const miss = await through(members[0]!.port, url);
    const hit = await through(members[2]!.port, url);
    expect(miss.cacheStatus).toMatch(
      /^m2; fwd=uri-miss; fwd-status=200; stored; ttl=\d+, m1; fwd=bypass; fwd-status=200; detail=owner-m2$/,
    );
    expect(hit.cacheStatus).toMatch(/^m2; hit; ttl=\d+, m3; fwd=bypass; fwd-status=200; detail=owner-m2$/);
    const atOwner = await through(members[1]!.port, url);
    expect(atOwner.cacheStatus).toMatch(/^m2; hit; ttl=\d+$/);
    const shares = (await statusOf(members[0]!)).members.map(({ share }) => share);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
  });

  it("invalidate at the owner before the answer to an unsafe request is given", async () => {
    const members = await startCluster(3, patient);
    const url = await ownedBy(members, "m3", "/invalidated");
    await through(members[0]!.port, url);
    expect((await through(members[0]!.port, url)).cacheStatus).toContain("m3; hit");
    await through(members[1]!.port, url, { method: "POST", body: "new" });
    expect((await through(members[0]!.port, url)).cacheStatus).toContain("m3; fwd=uri-miss");
  });

  it("give a joiner its share, and take it back when it leaves", async () => {
    const members = await startCluster(2);
    const before = (await statusOf(members[0]!)).epoch;
    const third = await startMember(["--name", "m3", "--coordinator", `http://${members[0]!.peer}`]);
    await settled([...members, third]);
    const joined = await statusOf(members[1]!);
    expect(joined.epoch).toBeGreaterThan(before);
    expect(joined.members.find(({ name }) => name === "m3")!.share).toBeGreaterThan(0.25);
    expect(await third.stop()).toBe(0);
    await settled(members);
  });

  it("receive a new view within 100 ms of its publication", async () => {
    const members = await startCluster(3);
    const third = members[2]!;
    const drained = third.stop();
    const seen = members.slice(0, 2).map(async (member) => {
      await until(
        async () => (await statusOf(member)).members.every(({ name, state }) => name !== "m3" || state === "draining"),
        "the drain is seen",
      );
      return performance.now();
    });
    const [first, second] = await Promise.all(seen);
    expect(Math.abs(first! - second!)).toBeLessThan(100);
    await drained;
  });

  it("divide the key space by weight", async () => {
    const members = await startCluster(3, [], (index) => ["--weight", index === 0 ? "2" : "1"]);
    const { members: view } = await statusOf(members[1]!);
    expect(view.find(({ name }) => name === "m1")!.share).toBeCloseTo(0.5, 1);
  });
});

describe("deaths under steady load", () => {
  it("lose no request: first a member that nobody enters by, then the coordinator's host", async () => {
    const members = await startCluster(4);
    const [host, entry, other, victim] = members as [TestMember, TestMember, TestMember, TestMember];
    const load = openLoop(150, (index) => ({
      port: (index % 2 === 0 ? entry : other).port,
      url: `${origin.url}${index % 5 === 0 ? `/cold${index}` : index % 7 === 0 ? `/short${index % 20}` : `/warm${index % 50}`}`,
    }));
    await until(async () => (await statusOf(entry)).self.requests > 100, "the load runs");
    await victim.kill();
    await settled([host, entry, other]);
    await host.kill();
    const seen = (await statusOf(entry)).self.requests;
    await until(async () => (await statusOf(entry)).session === "suspended", "the session is suspended");
    await until(async () => (await statusOf(entry)).self.requests > seen + 200, "requests go on with the last view");
    const { sent, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(400);
    expect((await statusOf(other)).members.map(({ name }) => name)).toContain("m1");
  }, 60_000);

  it("heal by themselves when the coordinator returns, at a higher epoch", async () => {
    const members = await startCluster(3);
    const [host, ...rest] = members as [TestMember, TestMember, TestMember];
    const before = (await statusOf(rest[0]!)).epoch;
    await host.kill();
    await until(async () => (await statusOf(rest[0]!)).session === "suspended", "the session is suspended");
    const returned = await startMember([
      "--name",
      "m1",
      "--listen",
      host.listen,
      "--peer",
      host.peer,
      "--admin",
      host.admin,
    ]);
    await settled([returned, ...rest]);
    for (const member of [returned, ...rest]) expect((await statusOf(member)).epoch).toBeGreaterThan(before);
    expect((await statusOf(rest[1]!)).session).toBe("connected");
  }, 60_000);

  it("resume a large answer whose owner dies in the middle (RFC 9110 §8.8.1)", async () => {
    const members = await startCluster(3);
    const url = await ownedBy(members, "m3", "/large");
    const whole = await through(members[0]!.port, url);
    expect(whole.body.length).toBe(8 * 2 ** 20);
    const client = await RawClient.open(members[0]!.port);
    const target = new URL(url);
    client.send(`GET ${url} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`);
    await client.until((text) => text.length > 300_000, "the answer has begun");
    client.socket.pause();
    await members[2]!.kill();
    client.socket.resume();
    const end = whole.body.length;
    const received = await client.until(
      (text) => text.length - text.indexOf("\r\n\r\n") - 4 >= end,
      "the whole answer",
    );
    client.close();
    expect(Buffer.from(received.slice(received.indexOf("\r\n\r\n") + 4), "latin1").equals(whole.body)).toBe(true);
  });

  it("pass on through two of them what each origin's answer was, byte for byte, however many pass at once", async () => {
    const members = await startCluster(2, patient);
    const url = await ownedBy(members, "m2", "/passing");
    const other = await ownedBy(members, "m2", "/passing-too");
    for (let round = 0; round < 3; round++) {
      const urls = Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? url : other));
      const answers = await Promise.all(urls.map((one) => through(members[0]!.port, one)));
      for (const [index, { body, cacheStatus }] of answers.entries()) {
        expect(cacheStatus).toContain("detail=owner-m2");
        expect(body.equals(passing(new URL(urls[index]!).pathname))).toBe(true);
      }
    }
  });

  it("go round a member that hangs without dying", async () => {
    const members = await startCluster(3);
    const url = await ownedBy(members, "m3", "/hanging");
    await through(members[0]!.port, url);
    process.kill(members[2]!.pid, "SIGSTOP");
    const answer = await through(members[0]!.port, url);
    expect(answer.status).toBe(200);
    expect(answer.cacheStatus).not.toContain("m3");
    process.kill(members[2]!.pid, "SIGCONT");
    await settled(members);
  });
});

describe("strangers", () => {
  it("are not let into a cluster without its secret, nor under a name that is taken", async () => {
    const first = await startMember(["--name", "m1"]);
    const intruder = startMember(["--name", "m2", "--coordinator", `http://${first.peer}`], {
      GYRE_SECRET: "another secret altogether",
    });
    expect(
      await intruder.then(
        () => "joined",
        (error: Error) => error.message,
      ),
    ).toContain("does not know the secret");
    await until(() => first.output().includes("does not know the secret"), "the refusal is logged");
    expect((await statusOf(first)).members.length).toBe(1);
    const taken = await startMember(["--name", "m1", "--coordinator", `http://${first.peer}`]).catch(
      (error: Error) => error.message,
    );
    expect(taken).toContain("the name m1 belongs to another member");
  });

  it("get nothing from the admin port that changes anything or comes from elsewhere", async () => {
    const member = await startMember();
    expect((await fetch(`http://${member.admin}/api/status`, { method: "POST" })).status).toBe(401);
    expect(
      (await fetch(`http://${member.admin}/api/status`, { headers: { authorization: "Bearer wrong secret" } })).status,
    ).toBe(401);
    expect(
      (await fetch(`http://${member.admin}/api/status`, { headers: { authorization: `Bearer ${secret}` } })).status,
    ).toBe(200);
    // A page whose name was rebound to this machine sends its own name.
    expect(
      (await ask(Number(member.admin.split(":")[1]), "/api/status", { headers: { host: "attacker.example" } })).status,
    ).toBe(401);
    expect(
      (await ask(Number(member.admin.split(":")[1]), "/healthz", { headers: { host: "attacker.example" } })).status,
    ).toBe(200);
  });
});
