/** A small budget is a bound: what a member takes beside it stays small, whatever is thrown at it. */
import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
import { endAll, startMember, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
let member: TestMember;
const mebibyte = 2 ** 20;
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
});
afterAll(async () => {
  await endAll();
  await origin.close();
});

/** Resident bytes now. */
function resident(): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${member.pid}/status`, "utf8"))![1]) * 1024;
}

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
/** So many requests, sixteen at a time. @returns the most that was resident meanwhile, in bytes. */
async function flood(count: number, send: (index: number) => Promise<unknown>): Promise<number> {
  let [next, most] = [0, 0];
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < count) {
        const index = next++;
        await send(index);
        if (index % 50 === 0) most = Math.max(most, resident());
      }
    }),
  );
  return Math.max(most, resident());
}

const long = "z".repeat(13_000);
const floods: Readonly<Record<string, () => Promise<number>>> = {
  "new small responses": () => flood(30_000, (index) => ask(member.port, `/s${index}`, { agent })),
  "fields of 13 KB that Vary names": () =>
    flood(4000, (index) => ask(member.port, `/vary${index}`, { agent, headers: { "x-long": `${index}${long}` } })),
  "groups by the dozen": () => flood(4000, (index) => ask(member.port, `/group${index}`, { agent })),
  "long URLs that nothing is stored for": () =>
    flood(6000, (index) => ask(member.port, `/none${index}?${long}`, { agent })),
  "unsafe requests for long URLs": () =>
    flood(6000, (index) => ask(member.port, `/post${index}?${long}`, { agent, method: "POST", body: "x" })),
  "responses of 64 KB": () => flood(6000, (index) => ask(member.port, `/medium${index}`, { agent })),
  "downloads of 200 MB, and readers that stop": async () => {
    const idle = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const client = await RawClient.open(member.port);
        client.send(`GET /large-idle${index} HTTP/1.1\r\nHost: h\r\n\r\n`);
        await client.until((text) => text.length > 0, "the answer has begun");
        client.socket.pause();
        return client;
      }),
    );
    let most = 0;
    const client = await RawClient.open(member.port);
    client.socket.removeAllListeners("data");
    let bytes = 0;
    client.socket.on("data", (data: Buffer) => {
      bytes += data.length;
      most = Math.max(most, resident());
    });
    client.send("GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    await client.end();
    expect(bytes).toBeGreaterThan(200 * mebibyte);
    for (const one of idle) one.close();
    return Math.max(most, resident());
  },
};

it.each(Object.keys(floods))(
  "a member with --memory 32MB stays below 32 MB + 100 MB under %s",
  async (name) => {
    const most = await floods[name]!();
    console.log(`${name}: ${Math.round(most / mebibyte)} MB at most`);
    expect(most).toBeLessThan(132 * mebibyte);
  },
  120_000,
);
