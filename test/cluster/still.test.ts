/** A member that stands still (stopped, swapped out, a stalled machine) keeps nobody waiting. */
import { Agent } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
import { endAll, settled, startCluster, statusOf, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
let members: TestMember[];
/** What is asked for next stays half. */
let isHalf = false;
beforeAll(async () => {
  origin = await startOrigin((asked, response) => {
    origin.asked.length = 0;
    response.setHeader("cache-control", "max-age=600");
    // Slow origins are no sign that a member stands still.
    if (asked.url!.startsWith("/big")) {
      // Nothing that another member could go on with: no length, no tag.
      response.setHeader("cache-control", "no-store");
      response.write(Buffer.alloc(4 * 2 ** 20, "b"));
      response.end(Buffer.alloc(4 * 2 ** 20, "b"));
    } else if (asked.url!.startsWith("/half")) {
      const content = Buffer.alloc(300_000, "h");
      response.setHeader("content-length", content.length);
      if (asked.method === "POST" || !isHalf) response.end(content);
      else response.write(content.subarray(0, 150_000));
      isHalf &&= asked.method === "POST";
    } else if (asked.url!.startsWith("/slow")) setTimeout(() => response.end("slow"), 400);
    else response.end("answer");
  });
  members = await startCluster(3, ["--origin", origin.url]);
  await settled(members);
});
afterAll(async () => {
  await endAll();
  await origin.close();
});

const agent = new Agent({ keepAlive: true, maxSockets: 32 });

it("is gone round within the time that it usually answers in; none fails, and it is asked again when it goes on", async () => {
  const [entry, still] = members as [TestMember, TestMember, TestMember];
  // Every key has been fetched, so that what is measured is not the origin.
  for (let index = 0; index < 300; index++) await ask(entry.port, `/k${index}`, { agent });
  process.kill(still.pid, "SIGSTOP");
  const times: number[] = [];
  const statuses = new Set<number>();
  let next = 0;
  const until = performance.now() + 1200;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (performance.now() < until) {
        const begun = performance.now();
        const { status } = await ask(entry.port, `/k${next++ % 300}`, { agent });
        times.push(performance.now() - begun);
        statuses.add(status);
      }
    }),
  );
  process.kill(still.pid, "SIGCONT");
  times.sort((a, b) => a - b);
  expect([...statuses]).toEqual([200]);
  expect(times.length).toBeGreaterThan(300);
  expect(times[Math.floor(times.length * 0.999)]!, "p99.9 in ms").toBeLessThan(300);
  // It is asked again: its keys come over a hop.
  let over = 0;
  const patience = performance.now() + 5000;
  for (let turn = 0; performance.now() < patience && over === 0; turn++) {
    const { cacheStatus } = await ask(entry.port, `/k${turn % 300}`, { agent });
    if (cacheStatus.includes(`owner-${still.name}`)) over++;
    else await new Promise((done) => setImmediate(done));
  }
  expect(over).toBe(1);
}, 30_000);

it("is asked once, and not again as one that is busy, nor for what it has", async () => {
  const [entry, still] = await startCluster(2, ["--origin", origin.url]);
  const query = Array.from({ length: 60 }, (_, index) => `url=http://once.test/once${index}`).join("&");
  const located = (await (await fetch(`http://${entry!.admin}/api/locate?${query}`)).json()) as {
    urls: { url: string; owner: string }[];
  };
  const paths = located.urls.filter(({ owner }) => owner === still!.name).map(({ url }) => new URL(url).pathname);
  const headers = { host: "once.test" };
  await ask(entry!.port, paths[0]!, { headers });
  const before = (await statusOf(entry!)).self;
  process.kill(still!.pid, "SIGSTOP");
  try {
    // What could be no copy, and is the first that waits: only one of two links has been found silent then.
    const { cacheStatus } = await ask(entry!.port, paths[1]!, { headers: { ...headers, "if-none-match": '"x"' } });
    expect(cacheStatus).toContain(`${entry!.name}; fwd=uri-miss`);
    const { forwarded, stoodIn, peeks } = (await statusOf(entry!)).self;
    expect(forwarded - before.forwarded, "hops").toBe(1);
    expect({ stoodIn, peeks }).toEqual({ stoodIn: before.stoodIn, peeks: before.peeks });
  } finally {
    process.kill(still!.pid, "SIGCONT");
  }
}, 30_000);

it("and goes on soon has cut no answer that had begun", async () => {
  const [entry, still] = members as [TestMember, TestMember, TestMember];
  let url = "";
  for (let turn = 0; url === ""; turn++) {
    const { cacheStatus } = await ask(entry.port, `/big${turn}`, { agent, method: "HEAD" });
    if (cacheStatus.includes(`owner-${still.name}`)) url = `/big${turn}?get`;
    if (
      url !== "" &&
      !(await ask(entry.port, url, { agent, method: "HEAD" })).cacheStatus.includes(`owner-${still.name}`)
    )
      url = "";
  }
  const client = await RawClient.open(entry.port);
  client.socket.removeAllListeners("data");
  let bytes = 0;
  let stopped = false;
  client.socket.on("data", (piece: Buffer) => {
    bytes += piece.length;
    if (stopped) return;
    stopped = true;
    process.kill(still.pid, "SIGSTOP");
    setTimeout(() => process.kill(still.pid, "SIGCONT"), 200);
  });
  client.send(`GET ${url} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
  await client.end();
  expect(stopped).toBe(true);
  expect(bytes).toBeGreaterThan(8 * 2 ** 20);
}, 30_000);

it("is not waited for with what it has begun to say, where nobody has heard of that yet: a hot copy is made elsewhere", async () => {
  const [entry, still] = await startCluster(2, ["--origin", origin.url]);
  const query = Array.from({ length: 60 }, (_, index) => `url=http://half.test/half${index}`).join("&");
  const located = (await (await fetch(`http://${entry!.admin}/api/locate?${query}`)).json()) as {
    urls: { url: string; owner: string }[];
  };
  const headers = { host: "half.test" };
  const path = new URL(located.urls.find(({ owner }) => owner === still!.name)!.url).pathname;
  for (let count = 0; count < 20; count++) await ask(entry!.port, path, { headers });
  expect((await ask(entry!.port, path, { headers })).cacheStatus).toContain("detail=hot-copy");
  isHalf = true;
  await ask(entry!.port, path, { headers, method: "POST" });
  const kept = async (): Promise<number> => {
    const metrics = await (await fetch(`http://${entry!.admin}/metrics`)).text();
    return Number(/^gyre_store_bytes\S* (\d+)/m.exec(metrics)![1]);
  };
  const before = await kept();
  const answers = Promise.all([ask(entry!.port, path, { headers }), ask(entry!.port, path, { headers })]);
  await until(async () => (await kept()) >= before + 300_000, "its length has been said");
  const stoppedAt = performance.now();
  process.kill(still!.pid, "SIGSTOP");
  try {
    for (const { status, body } of await answers) expect([status, body.length]).toEqual([200, 300_000]);
    // Sooner than the link is given up.
    expect(performance.now() - stoppedAt).toBeLessThan(1500);
  } finally {
    process.kill(still!.pid, "SIGCONT");
  }
}, 30_000);

it("is not what a member is that waits for a slow origin: its requests are not sent to another as well", async () => {
  const asked: string[] = [];
  origin.server.on("request", ({ url }) => asked.push(url!));
  await Promise.all(Array.from({ length: 24 }, (_, index) => ask(members[0]!.port, `/slow${index}`, { agent })));
  const again = asked.filter((url, index) => asked.indexOf(url) !== index);
  // Some 16 belong to the others, and waiting for the origin for four times as long as they may stand would have sent
  // all of those again. A member that gets no processor for 100 ms does stand still, and a few may be.
  expect(again.length).toBeLessThan(6);
});
