/**
 * A budget is a bound: for what is stored, for what is remembered beside it, and, with what the program itself takes,
 * for what the process has for itself, whatever is thrown at a member.
 */
import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
import { endAll, startMember, statusOf, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
let member: TestMember;
const mebibyte = 2 ** 20;
const threads = Number(process.env["GYRE_THREADS"]);
const fronts = threads === 1 ? 0 : threads;
const chunk = Buffer.alloc(64 * 1024, "c");

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    origin.asked.length = 0;
    const url = request.url!;
    if (url.startsWith("/large")) {
      // 200 MB, as fast as it is taken.
      let left = 200 * mebibyte;
      const more = (): void => {
        while (left > 0) {
          left -= chunk.length;
          if (!response.write(chunk)) return void response.once("drain", more);
        }
        response.end();
      };
      response.setHeader("cache-control", "max-age=60");
      return more();
    }
    if (url.startsWith("/vary")) response.setHeader("vary", "x-long");
    if (url.startsWith("/group"))
      response.setHeader("cache-groups", Array.from({ length: 32 }, (_, n) => `"g${n}${url}"`).join(", "));
    response.setHeader("cache-control", url.startsWith("/none") ? "no-store" : "max-age=600");
    response.end(
      url.startsWith("/medium") ? chunk : "a small response of no importance, such as sites have by the million",
    );
    return undefined;
  });
  member = await startMember(["--origin", origin.url, "--memory", "32MB"]);
  sampling = setInterval(own, 10);
});
afterAll(async () => {
  clearInterval(sampling);
  await endAll();
  await origin.close();
});

/**
 * Bytes that the member has for itself now: resident, without the pages of Node's program file, which all processes of
 * the machine share and the kernel takes back when it needs them.
 */
function own(): number {
  const text = readFileSync(`/proc/${member.pid}/status`, "utf8");
  const kilobytes = ["RssAnon", "RssShmem"].map((name) => new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)![1]);
  const bytes = kilobytes.reduce((sum, one) => sum + Number(one), 0) * 1024;
  mostEver = Math.max(mostEver, bytes);
  return bytes;
}
let mostEver = 0;
let sampling: NodeJS.Timeout;

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
/** So many requests, sixteen at a time. @returns the most that it had for itself meanwhile, in bytes. */
async function flood(count: number, send: (index: number) => Promise<unknown>): Promise<number> {
  let [next, most] = [0, 0];
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < count) {
        const index = next++;
        await send(index);
        if (index % 50 === 0) most = Math.max(most, own());
      }
    }),
  );
  return Math.max(most, own());
}

const long = "z".repeat(13_000);
const floods: Readonly<Record<string, (name: string) => Promise<number>>> = {
  "URLs that nothing is stored for": (name) =>
    flood(6000, (index) => ask(member.port, `/none${index}?${name}`, { agent })),
  "unsafe requests": (name) =>
    flood(6000, (index) => ask(member.port, `/post${index}?${name}`, { agent, method: "POST", body: "x" })),
};

it.each(Object.keys(floods))(
  "long names cost no more than their place in the budget, and what is remembered of them nothing: %s",
  async (what) => {
    // Long ones first too: what the collector has not got round to is there before the comparison.
    await floods[what]!(`${long}0`);
    const before = await floods[what]!(`${long}1`);
    await floods[what]!(`${long}2`);
    const after = await floods[what]!(`${long}3`);
    const { store } = (await statusOf(member)).self;
    expect(store.bytes).toBeLessThanOrEqual(store.bytesMax);
    // Two floods kept by their names would be 156 MB and more.
    expect(after - before, `${Math.round(before / mebibyte)} MB, then ${Math.round(after / mebibyte)} MB`).toBeLessThan(
      120 * mebibyte,
    );
  },
  120_000,
);

it("values that Vary has selected count against the budget", async () => {
  await flood(4000, (index) => ask(member.port, `/vary${index}`, { agent, headers: { "x-long": `${index}${long}` } }));
  const { store } = (await statusOf(member)).self;
  expect(store.responses).toBeGreaterThan(500);
  expect(store.responses * long.length).toBeLessThan(store.bytesMax);
});

it("content stays within the budget, whoever reads it how slowly", async () => {
  await flood(3000, (index) => ask(member.port, `/medium${index}`, { agent }));
  await flood(3000, (index) => ask(member.port, `/group${index}`, { agent }));
  const idle = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const client = await RawClient.open(member.port);
      client.send(`GET /large-idle${index} HTTP/1.1\r\nHost: h\r\n\r\n`);
      await client.until((text) => text.length > 0, "the answer has begun");
      client.socket.pause();
      return client;
    }),
  );
  const before = own();
  let [bytes, most] = [0, 0];
  const client = await RawClient.open(member.port);
  client.socket.removeAllListeners("data");
  client.socket.on("data", (data: Buffer) => {
    bytes += data.length;
    most = Math.max(most, own());
  });
  client.send("GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  await client.end();
  expect(bytes).toBeGreaterThan(200 * mebibyte);
  const { store } = (await statusOf(member)).self;
  expect(store.bytes).toBeLessThanOrEqual(store.bytesMax);
  expect(most - before, "a download of 200 MB passes through").toBeLessThan(100 * mebibyte);
  for (const one of idle) one.close();
}, 60_000);

it("content that only passes in leaves nothing behind", async () => {
  const upload = Buffer.alloc(8 * mebibyte, "u");
  await flood(200, (index) => ask(member.port, `/post-large${index}`, { agent, method: "PUT", body: upload }));
}, 60_000);

it("never had more for itself than its budget and 100 MB, and 40 MB for each thread that was asked for beyond one", () => {
  const all = Math.round(mostEver / mebibyte);
  expect(all, `${all} MB`).toBeLessThan(32 + 100 + 40 * fronts);
});
