/** Clients for benchmarks that need an answer for every path: keep-alive, one request at a time on each connection. */
import { connect } from "node:net";

/**
 * Asks for path after path until `more` has none (null), over so many connections to the ports by turns. `answered` is
 * told how many answers there are by then. @returns how many in all.
 */
export async function fetchAll({ ports, connections = 48, more, answered = () => {} }) {
  let done = 0;
  await Promise.all(
    Array.from(
      { length: connections },
      (_, which) =>
        new Promise((ended, fail) => {
          const socket = connect(ports[which % ports.length], "127.0.0.1");
          let [text, left] = ["", -1];
          const send = () => {
            const path = more();
            if (path === null) return ended(socket.destroy());
            socket.write(`GET ${path} HTTP/1.1\r\nHost: example.test\r\n\r\n`);
          };
          socket.setNoDelay(true);
          socket.on("connect", send);
          socket.on("error", fail);
          socket.on("data", (data) => {
            if (left === -1) {
              text += data.toString("latin1");
              const end = text.indexOf("\r\n\r\n");
              if (end === -1) return;
              const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0);
              left = length - (text.length - end - 4);
            } else left -= data.length;
            if (left > 0) return;
            [text, left] = ["", -1];
            answered(++done);
            send();
          });
        }),
    ),
  );
  return done;
}
