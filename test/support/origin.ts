/** An origin whose answers a test writes itself, and which remembers what it was asked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface TestOrigin {
  readonly url: string;
  readonly port: number;
  readonly asked: Asked[];
  readonly server: Server;
  /** Requests for a path. */
  readonly count: (path: string) => number;
  readonly close: () => Promise<void>;
}

/** `answer` is called with the request's content already read. */
export async function startOrigin(
  answer: (request: IncomingMessage, response: ServerResponse, asked: Asked) => void,
): Promise<TestOrigin> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = { method: request.method!, url: request.url!, headers: request.headers, body: Buffer.concat(chunks) };
      asked.push(one);
      answer(request, response, one);
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    asked,
    server,
    count: (path) => asked.filter(({ url }) => url === path).length,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
