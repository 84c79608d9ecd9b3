/** An origin that costs next to nothing: the same answer for whatever is asked. */
import { createServer } from "node:net";

/** @returns a server on a free port of loopback; content of so many bytes, fresh for a day. */
export async function constantOrigin(bytes) {
  const head = [
    "HTTP/1.1 200 OK",
    "content-type: text/plain",
    "cache-control: max-age=86400",
    'etag: "abc"',
    "server: bench",
    `date: ${new Date().toUTCString()}`,
    `content-length: ${bytes}`,
  ];
  const answer = Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), Buffer.alloc(bytes, "x")]);
  const origin = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    let rest = "";
    socket.on("data", (data) => {
      rest += data.toString("latin1");
      for (let end = rest.indexOf("\r\n\r\n"); end !== -1; end = rest.indexOf("\r\n\r\n")) {
        rest = rest.slice(end + 4);
        socket.write(answer);
      }
    });
  });
  await new Promise((done) => origin.listen(0, "127.0.0.1", done));
  return origin;
}
