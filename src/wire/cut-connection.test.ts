/** What becomes of whole answers on a connection that is broken off behind them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RawClient, statuses } from "../../test/support/client.ts";
import { AnswerHead } from "./answer-head.ts";
import type { Client, Exchange } from "./exchange.ts";
import { openLocalLane } from "./http2/local-lane.ts";
import { nobody } from "./http2/lane.ts";
import { WireServer } from "./server.ts";

const client: Client = { address: "127.0.0.1", local: true, scheme: "http" };
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;
const half = "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf";
const answer = (exchange: Exchange): void => exchange.answer(AnswerHead.of(200, [], 2), "", Buffer.from("ok"));
let waiting: Exchange | null = null;
let server: WireServer;

beforeEach(() => {
  waiting = null;
  server = new WireServer({
    admits: () => true,
    isLocal: () => true,
    handle: (exchange) => {
      if (exchange.head.target === "/slow") waiting = exchange;
      else if (exchange.head.target === "/half") exchange.body!.on("error", () => {}).resume();
      else answer(exchange);
    },
  });
});
afterEach(() => server.close(0));

const awaited = async (): Promise<Exchange> => {
  while (waiting === null) await new Promise((next) => setImmediate(next));
  return waiting;
};

describe("a client that ends in the midst of content, having asked for something else before", () => {
  it("gets what it has asked for", async () => {
    const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
    const clients = [await RawClient.open(port), await RawClient.open(port)];
    for (const [number, one] of clients.entries()) {
      waiting = null;
      one.send(get("/slow") + get("/at-once").repeat(number) + half);
      const exchange = await awaited();
      // Its end is seen while the first answer is waited for: all behind that happens in one turn.
      const ended = new Promise<void>((seen) => one.socket.once("finish", seen));
      one.socket.end();
      await ended;
      await new Promise((next) => setImmediate(next));
      answer(exchange);
      expect(statuses(await one.end())).toEqual(Array.from({ length: 1 + number }, () => 200));
      one.close();
    }
  });

  it("gets it by a lane too", async () => {
    const given: string[] = [];
    const lane = openLocalLane(client, (socket, asker) => server.take(socket, asker));
    const over = new Promise<void>((cut) => {
      lane.listener = { ...nobody, data: (bytes, taken) => (given.push(bytes.toString()), taken()), cut };
    });
    lane.send(Buffer.from(get("/slow") + half));
    const exchange = await awaited();
    lane.end();
    await new Promise((next) => setImmediate(next));
    answer(exchange);
    await over;
    expect(statuses(given.join(""))).toEqual([200]);
  });
});
