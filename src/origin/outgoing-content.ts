/**
 * A request's content on its way to an origin: as fast as its client sends it and the origin takes it. Whoever stops it
 * before anything has been read finds all of it there still, for another connection.
 */
import type { Socket } from "node:net";
import type { Readable } from "node:stream";

/** Who is told of content that is being sent. After `sent` or `failed` nothing follows. */
export interface ContentListener {
  /** Either side has moved. */
  moved(): void;
  /** Some of it has been read: it cannot be sent again. */
  read(): void;
  /** All of it has been written. */
  sent(): void;
  /** The client's side has ended too early or too late. */
  failed(what: string): void;
}

/** Sends content, in chunks where no length was said. @returns what stops it. */
export function sendContent(
  stream: Readable,
  socket: Socket,
  length: string | undefined,
  listener: ContentListener,
): () => void {
  let isRead = false;
  let left = length === undefined ? null : Number(length);
  const taken = (): void => {
    listener.moved();
    stream.resume();
  };
  const data = (chunk: Buffer): void => {
    isRead = true;
    listener.read();
    if (left === null) {
      socket.cork();
      socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
      socket.write(chunk);
      socket.write("\r\n", "latin1");
      socket.uncork();
    } else {
      left -= chunk.length;
      if (left < 0) return listener.failed("the client's content is longer than it said");
      socket.write(chunk);
    }
    listener.moved();
    if (!socket.writableNeedDrain) return undefined;
    stream.pause();
    return undefined;
  };
  const end = (): void => {
    if (left !== null && left !== 0) return listener.failed("the client's content is not as long as it said");
    if (left === null) socket.write("0\r\n\r\n", "latin1");
    return listener.sent();
  };
  const failed = (error: Error): void => listener.failed(error.message);
  const closed = (): void => listener.failed("the client's content broke off");
  // One that is sent again, and had nothing in it.
  if (stream.readableEnded) end();
  else if (stream.destroyed) closed();
  else {
    socket.on("drain", taken);
    stream.on("data", data).on("end", end).on("error", failed).on("close", closed);
    // Where it had been stopped before it stands still.
    stream.resume();
  }
  return () => {
    socket.off("drain", taken);
    stream.off("data", data).off("end", end).off("error", failed).off("close", closed);
    // A stream that flows on without a reader loses what comes meanwhile.
    if (!isRead) stream.pause();
  };
}
