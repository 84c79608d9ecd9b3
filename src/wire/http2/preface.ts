/** Whether a connection begins as HTTP/2 does, where both are spoken without TLS. RFC 9113 §3.3, §3.4. */
import type { Socket } from "node:net";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A connection that has not said yet what it speaks. */
export interface Undecided {
  drain(): void;
  /** Closes it when its time is over; ms, monotonic. */
  sweep(now: number): void;
  /** Its time is so much longer. */
  heldUp(lostMs: number): void;
}

/**
 * Reads as much as tells, and gives it back. `told` is called once: with whether it is HTTP/2, or with null where the
 * connection has ended, or its time has, before that is known; then it is destroyed.
 */
export function whenPreface(socket: Socket, untilMs: number, told: (isHttp2: boolean | null) => void): Undecided {
  let begun = Buffer.alloc(0);
  let lateMs = untilMs;
  const decided = (isHttp2: boolean | null): void => {
    socket.off("data", take);
    socket.off("end", ended);
    socket.off("close", ended);
    if (isHttp2 === null) socket.destroy();
    else {
      socket.pause();
      socket.unshift(begun);
    }
    told(isHttp2);
    if (isHttp2 === false) socket.resume();
  };
  const take = (bytes: Buffer): void => {
    begun = Buffer.concat([begun, bytes]);
    const isLike = begun.subarray(0, preface.length).equals(preface.subarray(0, begun.length));
    if (!isLike || begun.length >= preface.length) decided(isLike);
  };
  const ended = (): void => decided(null);
  socket.on("data", take);
  socket.on("end", ended);
  socket.on("close", ended);
  socket.on("error", () => socket.destroy());
  return {
    drain: ended,
    sweep: (now) => void (now > lateMs && ended()),
    heldUp: (lostMs) => void (lateMs += lostMs),
  };
}
