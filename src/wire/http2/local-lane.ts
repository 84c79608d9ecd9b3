/** A lane whose other end is served by the same thread. */
import { Duplex } from "node:stream";
import type { Client } from "../exchange.ts";
import type { ClientSocket } from "../client-socket.ts";
import { nobody, type Lane, type LaneListener } from "./lane.ts";

/** The served end. */
class LaneSocket extends Duplex implements ClientSocket {
  bytesRead = 0;
  #taken = 0;
  readonly #lane: LocalLane;

  constructor(lane: LocalLane) {
    super({ allowHalfOpen: true });
    this.#lane = lane;
  }

  get bytesWritten(): number {
    return this.#taken + this.writableLength;
  }

  setNoDelay(): this {
    return this;
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  rest(): boolean {
    if (this.readableLength > 0 || this.destroyed || this.writableEnded) return false;
    // Behind what is still on its way.
    this.write(restMark);
    return true;
  }

  /** @returns whether there is room for more. */
  received(bytes: Buffer): boolean {
    this.bytesRead += bytes.length;
    return this.push(bytes);
  }

  override _read(): void {
    this.#lane.listener.room();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (chunk === restMark) {
      this.#lane.listener.rested();
      return done();
    }
    return this.#lane.listener.data(chunk, () => {
      this.#taken += chunk.length;
      process.nextTick(done);
    });
  }

  override _final(done: () => void): void {
    this.#lane.listener.ended();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#lane.listener.cut();
    done(error);
  }
}
const restMark: Buffer = Buffer.alloc(0);

/** The asking end. */
class LocalLane implements Lane {
  listener: LaneListener = nobody;
  readonly socket = new LaneSocket(this);

  send(bytes: Buffer): boolean {
    return this.socket.destroyed || this.socket.received(bytes);
  }

  end(): void {
    if (!this.socket.destroyed) this.socket.push(null);
  }

  leave(): void {
    this.listener = nobody;
    this.socket.destroy();
  }
}

/** Opens a lane; `serve` is given its other end. */
export function openLocalLane(client: Client, serve: (socket: ClientSocket, client: Client) => void): Lane {
  const lane = new LocalLane();
  serve(lane.socket, client);
  return lane;
}
