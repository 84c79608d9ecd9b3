/**
 * A socket that speaks frames, whichever side opened it: all frames of one turn of the event loop leave in one gathered
 * write (under load that is what makes a hop cheap), what comes in is cut into frames.
 */
import { countRead } from "../base/read-buffers.ts";
import type { Socket } from "node:net";
import { FrameReader, FrameWriter, type Frame } from "./frames.ts";

const nothing: Buffer = Buffer.alloc(0);

/** What a link does with its frames. */
export interface FrameListener {
  take(frame: Frame): void;
  /** What came is no frame that may be taken: the link is to be cut. */
  broken(reason: string): void;
}

/** Frames on a socket. */
export class FrameSocket {
  readonly writer: FrameWriter = new FrameWriter();
  readonly #socket: Socket;
  readonly #in: FrameReader;
  #scheduled = false;

  constructor(socket: Socket, payloadBytesMax: number, listener: FrameListener) {
    this.#socket = socket;
    this.#in = new FrameReader(payloadBytesMax);
    socket.on("data", (bytes: Buffer) => {
      countRead(bytes.length);
      if (!this.#in.feed(bytes, (frame) => listener.take(frame))) listener.broken("a frame was too large");
    });
  }

  /** From now on larger frames are taken: the other side has proved itself. */
  admit(payloadBytesMax: number): void {
    this.#in.payloadBytesMax = payloadBytesMax;
  }

  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** A frame without a payload. */
  bare(type: number, flags: number, stream: number): void {
    this.writer.begin(type, flags, stream);
    this.writer.end();
    this.schedule();
  }

  /** Writes what has been built, at the end of this turn. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Writes what has been built, now. */
  flush(): void {
    const socket = this.#socket;
    const pieces = this.writer.take();
    const lent = this.writer.takeLent();
    if (socket.destroyed || socket.writableEnded) {
      for (const taken of lent) taken();
      return;
    }
    if (pieces.length === 1) socket.write(pieces[0]!);
    else if (pieces.length > 1) {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    if (lent.length === 0) return;
    const allTaken = (): void => {
      for (const taken of lent) taken();
    };
    if (socket.writableLength === 0) allTaken();
    else socket.write(nothing, allTaken);
  }
}
