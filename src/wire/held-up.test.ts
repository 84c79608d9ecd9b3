/** What becomes of deadlines where this process stood still. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AnswerHead } from "./answer-head.ts";
import type { Client } from "./exchange.ts";
import { openLocalLane } from "./http2/local-lane.ts";
import { nobody, type Lane } from "./http2/lane.ts";
import { WireServer } from "./server.ts";

const client: Client = { address: "127.0.0.1", local: true, scheme: "http" };
const [headMs, lookMs] = [2000, 500] as const;
let now = 0;
let server: WireServer;
let lane: Lane;
let told = "";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  now = 1000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  server = new WireServer({
    limits: { headMs, idleMs: headMs, lingerSilenceMs: 0 },
    admits: () => true,
    isLocal: () => true,
    handle: (exchange) => exchange.answer(AnswerHead.of(200, [], 2), "", Buffer.from("ok")),
  });
  server.begin();
  told = "";
  lane = openLocalLane(client, (socket, asker) => server.take(socket, asker));
  lane.listener = {
    ...nobody,
    data: (bytes, taken) => {
      told += bytes.toString("latin1");
      taken();
    },
  };
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  await server.close(0);
});

async function says(text: string): Promise<void> {
  lane.send(Buffer.from(text));
  await turn();
  await turn();
}

/** The next look comes after so many milliseconds. */
async function looks(afterMs: number): Promise<void> {
  now += afterMs;
  vi.advanceTimersByTime(lookMs);
  await turn();
}

describe("a server whose process stood still for longer than its deadlines", () => {
  it("gives a head that begins after that its whole time", async () => {
    await looks(lookMs);
    await looks(5 * headMs);
    await says("GET / HTTP/1.1\r\nHo");
    await looks(lookMs);
    await says("st: h\r\n\r\n");
    expect(told).toContain("HTTP/1.1 200 OK");
  });

  it("does so too where the head is read before anybody has seen what time it is", async () => {
    await looks(lookMs);
    now += 5 * headMs;
    await says("GET / HTTP/1.1\r\nHo");
    await looks(0);
    await looks(lookMs);
    await says("st: h\r\n\r\n");
    expect(told).toContain("HTTP/1.1 200 OK");
  });

  it("gives one that had begun before what was left of its time, and no more", async () => {
    await says("GET / HTTP/1.1\r\nHo");
    await looks(5 * headMs);
    await looks(lookMs);
    await looks(lookMs);
    expect(told).toBe("");
    for (let spent = 0; spent <= headMs; spent += lookMs) await looks(lookMs);
    expect(told).toContain("HTTP/1.1 408 Request Timeout");
  });
});
