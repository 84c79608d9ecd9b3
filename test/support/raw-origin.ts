/** An origin that writes bytes: what servers do that no HTTP library would. */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export interface RawRequest {
  /** Request line and fields, as they came. */
  readonly head: string;
  /** Method and target. */
  readonly line: string;
  readonly socket: Socket;
  field(name: string): string | undefined;
  /** A whole answer with its length. */
  answer(status: string, fields: readonly string[], content?: string): void;
}

export interface RawOrigin {
  readonly url: string;
  readonly port: number;
  readonly requests: RawRequest[];
  /** Connections open now. */
  readonly open: () => number;
  close(): Promise<void>;
}

/** Starts one; `answer` is called for each head, content being left to it. */
export async function startRawOrigin(answer: (request: RawRequest) => void): Promise<RawOrigin> {
  const requests: RawRequest[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      for (let end = received.indexOf("\r\n\r\n"); end !== -1; end = received.indexOf("\r\n\r\n")) {
        const head = received.slice(0, end);
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
        received = received.slice(end + 4 + length);
        const request: RawRequest = {
          head,
          line: head.slice(0, head.indexOf(" HTTP/")),
          socket,
          field: (name) => new RegExp(`^${name}: *(.*?)\\r?$`, "im").exec(head)?.[1],
          answer: (status, fields, content = "") =>
            void socket.write(
              Buffer.from(
                `HTTP/1.1 ${status}\r\n${[...fields, `Content-Length: ${content.length}`].join("\r\n")}\r\n\r\n${content}`,
                "latin1",
              ),
            ),
        };
        requests.push(request);
        answer(request);
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    open: () => sockets.size,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
