/** What becomes of connections when their server stops. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RawClient } from "../../test/support/client.ts";
import { AnswerHead } from "./answer-head.ts";
import type { Client, Exchange } from "./exchange.ts";
import { openLocalLane } from "./http2/local-lane.ts";
import { nobody, type Lane } from "./http2/lane.ts";
import { WireServer } from "./server.ts";

const client: Client = { address: "127.0.0.1", local: true, scheme: "http" };
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;
let waiting: Exchange[] = [];
let server: WireServer;
let port = 0;
const answer = (exchange: Exchange): void => exchange.answer(AnswerHead.of(200, [], 2), "", Buffer.from("ok"));

beforeEach(async () => {
  waiting = [];
  server = new WireServer({
    admits: () => true,
    isLocal: () => true,
    handle: (exchange) => (exchange.head.target === "/slow" ? void waiting.push(exchange) : answer(exchange)),
  });
  ({ port } = await server.listen({ host: "127.0.0.1", port: 0 }));
});
afterEach(() => server.close(0));

/** What a lane has given, and who waits for more. */
function heard(lane: Lane): { text: () => string; until: (part: string) => Promise<void>; isEnded: () => boolean } {
  let [text, isEnded] = ["", false];
  let wake = (): void => {};
  lane.listener = {
    ...nobody,
    data: (bytes, taken) => {
      text += bytes.toString("latin1");
      taken();
      wake();
    },
    ended: () => {
      isEnded = true;
      wake();
    },
  };
  const until = async (part: string): Promise<void> => {
    while (!text.includes(part) && !isEnded) await new Promise<void>((go) => (wake = go));
  };
  return { text: () => text, until, isEnded: () => isEnded };
}

describe("a server that stops", () => {
  it("says so in answers that are under way, to each of two clients", async () => {
    const clients = [await RawClient.open(port), await RawClient.open(port)];
    for (const one of clients) one.send(get("/slow"));
    while (waiting.length < 2) await new Promise((next) => setImmediate(next));
    const stopped = server.close(5000);
    for (const exchange of waiting) answer(exchange);
    for (const one of clients) {
      expect(await one.end()).toContain("connection: close\r\n");
      one.close();
    }
    expect(await stopped).toBe(0);
  });

  it("answers who has asked, or has connected, and has not been looked at", async () => {
    const known = await RawClient.open(port);
    known.send(get("/first"));
    await known.until((text) => text.includes("ok"), "it is kept for the next");
    const opening = RawClient.open(port);
    await new Promise<void>((begun) => process.nextTick(begun));
    known.send(get("/next"));
    const stopped = server.close(5000);
    const newcomer = await opening;
    newcomer.send(get("/new"));
    for (const one of [known, newcomer]) {
      expect(await one.end()).toMatch(/connection: close\r\n[^]*ok$/);
      one.close();
    }
    expect(await stopped).toBe(0);
  });

  it("answers what somebody else has sent on, who waits for requests in its place, and has not heard of it yet", async () => {
    const lane = openLocalLane(client, (socket, asker) => server.take(socket, asker));
    const one = heard(lane);
    lane.send(Buffer.from(get("/first")));
    await one.until("ok");
    const stopped = server.close(5000);
    expect(one.isEnded()).toBe(false);
    lane.send(Buffer.from(get("/second")));
    await one.until("connection: close");
    expect(one.text().match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    lane.leave();
    expect(await stopped).toBe(0);
  });
});
