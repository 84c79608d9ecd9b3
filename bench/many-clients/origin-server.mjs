/** One address at which the origin answers, which may not be well for a while. */
import { createServer } from "node:net";
import { after } from "./chance.mjs";
import { requestOf } from "./requests.mjs";
import { tunnelPath } from "./tunnels.mjs";

/** Reads requests, and has them answered one after the other on each connection. */
export class OriginServer {
  port = 0;
  /** "is well", "refuses" connections, "is silent" (nothing is read), or answers "503". */
  #how = "is well";
  #sockets = new Set();
  #server;
  #answer;
  #wrong;

  /** `answer(socket, request, how)` says what becomes of the connection: "cut", "ended" or "kept". */
  constructor(answer, wrong) {
    this.#answer = answer;
    this.#wrong = wrong;
  }

  async start(port) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    await new Promise((done) => this.#server.listen(port, "127.0.0.1", done));
    this.port = this.#server.address().port;
  }

  async ail(how, ms) {
    if (this.#how !== "is well") return;
    this.#how = how;
    if (how === "refuses") {
      const closed = new Promise((done) => this.#server.close(done));
      // Content that only its end delimits must not seem to have ended.
      for (const socket of this.#sockets) socket.resetAndDestroy();
      await closed;
    }
    await after(ms);
    if (how === "refuses") await this.start(this.port);
    this.#how = "is well";
  }

  #serve(socket) {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    socket.on("error", () => {});
    let had = Buffer.alloc(0);
    let isBusy = false;
    const answer = async (request) => {
      while (this.#how === "is silent" && !socket.destroyed) await after(10);
      return socket.destroyed ? "cut" : this.#answer(socket, request, this.#how);
    };
    const read = () => {
      if (isBusy) return;
      const request = requestOf(had);
      if (request === null) return;
      had = Buffer.from(had.subarray(request.bytes));
      const tunnel = tunnelPath.exec(request.path);
      if (tunnel !== null && this.#how === "is well") return echo(socket, had, tunnel[1]);
      isBusy = true;
      answer(request).then(
        (how) => {
          isBusy = false;
          if (how === "cut") socket.destroy();
          else if (how === "ended") socket.end();
          else read();
        },
        (error) => this.#wrong("origin", { error: String(error.stack) }),
      );
    };
    socket.on("end", () => socket.end());
    socket.on("data", (bytes) => {
      had = Buffer.concat([had, bytes]);
      read();
    });
  }
}

/** Sends back what it gets; `most`: so many bytes, and then ends. */
function echo(socket, had, most) {
  let left = most === "" ? Infinity : Number(most);
  socket.removeAllListeners("data");
  socket.write("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const back = (bytes) => {
    if (socket.writableEnded) return;
    const goesOn = socket.write(bytes);
    left -= bytes.length;
    if (left <= 0) socket.end();
    else if (!goesOn) socket.pause();
  };
  socket.on("drain", () => socket.resume());
  socket.on("data", back);
  if (had.length > 0 || left === 0) back(had);
}
