/** An origin that keeps the bytes of every request, so that no parser hides anything, and answers each with two bytes. */
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface RecordingOrigin {
  readonly url: string;
  /** Forgets what has come. @returns what comes from now on, a request each. */
  begin(): readonly string[];
  close(): void;
}

/** One more. */
export async function startRecordingOrigin(): Promise<RecordingOrigin> {
  let received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    let seen = "";
    socket.on("data", (bytes: Buffer) => {
      seen += bytes.toString("latin1");
      for (let end = seen.indexOf("\r\n\r\n"); end !== -1; end = seen.indexOf("\r\n\r\n")) {
        const head = seen.slice(0, end);
        const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
        const isChunked = /^transfer-encoding: chunked$/im.test(head);
        const over = isChunked ? chunksEnd(seen, end + 4) : end + 4 + length;
        if (over === -1 || seen.length < over) return;
        received.push(seen.slice(0, over));
        seen = seen.slice(over);
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok");
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    begin: () => (received = []),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Where chunks that begin at `at` are over, their trailers with them; -1 where more is to come. */
function chunksEnd(text: string, at: number): number {
  for (let next = at; ;) {
    const line = text.indexOf("\r\n", next);
    if (line === -1) return -1;
    const size = Number.parseInt(text.slice(next, line), 16);
    if (size > 0) next = line + 2 + size + 2;
    else {
      const over = text.indexOf("\r\n\r\n", line);
      return over === -1 ? -1 : over + 4;
    }
  }
}
