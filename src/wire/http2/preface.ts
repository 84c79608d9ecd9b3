/** Whether a connection begins as HTTP/2 does, where both are spoken without TLS. RFC 9113 §3.3, §3.4. */
import type { Socket } from "node:net";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Reads as much as tells, and gives it back. A connection that says nothing for `limitMs` is closed. */
export function whenPreface(socket: Socket, limitMs: number, told: (isHttp2: boolean) => void): void {
  let begun = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), limitMs);
  const over = (): void => {
    clearTimeout(timer);
    socket.off("data", take);
    socket.off("close", over);
  };
  const take = (bytes: Buffer): void => {
    begun = Buffer.concat([begun, bytes]);
    const isLike = begun.subarray(0, preface.length).equals(preface.subarray(0, begun.length));
    if (isLike && begun.length < preface.length) return;
    over();
    socket.pause();
    socket.unshift(begun);
    told(isLike);
    if (!isLike) socket.resume();
  };
  socket.on("data", take);
  socket.once("close", over);
  socket.on("error", () => socket.destroy());
}
