import { connect, createServer, performServerHandshake, type ServerHttp2Session } from "node:http2";
import { createServer as listen, type AddressInfo } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { letStreamsPass } from "./passing-streams.ts";

const ended: (() => void)[] = [];
afterEach(() => {
  for (const end of ended.splice(0)) end();
});

/** A server whose sessions' streams pass, and what it has been told of each session. */
async function started(): Promise<{ origin: string; sessions: ServerHttp2Session[]; isKnown: boolean[] }> {
  const sessions: ServerHttp2Session[] = [];
  const isKnown: boolean[] = [];
  const server = listen((socket) => {
    const session = performServerHandshake(socket);
    isKnown.push(letStreamsPass(session));
    sessions.push(session);
    session.on("error", () => {});
    socket.on("error", () => {});
    session.on("stream", (stream, headers) => {
      stream.on("error", () => {});
      if (headers[":path"] === "/waits") return;
      stream.respond({ ":status": 200 });
      stream.end(headers[":path"]);
    });
  }).listen(0, "127.0.0.1");
  ended.push(() => server.close());
  await once(server, "listening");
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sessions, isKnown };
}

async function answer(client: ReturnType<typeof connect>, path: string): Promise<string> {
  const stream = client.request({ ":path": path });
  let text = "";
  for await (const piece of stream.setEncoding("utf8")) text += piece as string;
  return text;
}

describe("streams that pass", () => {
  it("are this Node's", async () => {
    const { origin, isKnown } = await started();
    const client = connect(origin);
    ended.push(() => client.destroy());
    expect(await answer(client, "/")).toBe("/");
    expect(isKnown).toEqual([true]);
  });

  it("are answered side by side, one after the other, and by what is left of them", async () => {
    const { origin } = await started();
    const client = connect(origin);
    ended.push(() => client.destroy());
    for (let round = 0; round < 5; round++) {
      const paths = Array.from({ length: 30 }, (_, index) => `/${round}/${index}`);
      expect(await Promise.all(paths.map((path) => answer(client, path)))).toEqual(paths);
    }
  });

  it("end with their session, each", async () => {
    const { origin, sessions } = await started();
    const client = connect(origin);
    client.on("error", () => {});
    const waiting = Array.from({ length: 3 }, () => client.request({ ":path": "/waits" }));
    const over = waiting.map((stream) =>
      once(
        stream.on("error", () => {}),
        "close",
      ),
    );
    expect(await answer(client, "/")).toBe("/");
    sessions[0]!.destroy();
    await Promise.all(over);
    client.destroy();
  });

  it("are waited for when their session closes", async () => {
    const { origin, sessions } = await started();
    const client = connect(origin);
    ended.push(() => client.destroy());
    const waiting = client.request({ ":path": "/waits" });
    expect(await answer(client, "/")).toBe("/");
    const closed = once(sessions[0]!, "close");
    sessions[0]!.close();
    waiting.on("error", () => {});
    expect(sessions[0]!.destroyed).toBe(false);
    waiting.close();
    await closed;
  });

  it("stay as they are in what has none like them", () => {
    expect(letStreamsPass(createServer() as unknown as ServerHttp2Session)).toBe(false);
  });
});
