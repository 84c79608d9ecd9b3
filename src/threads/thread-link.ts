/**
 * The link between a front thread and home: two rings, and a queue beside each for what finds no room. Both sides keep
 * to credits (home-socket.ts, front-connection.ts), so that the queues stay short; neither side ever waits for the other in its
 * turn, so that two full rings cannot hold each other up.
 */
import type { ByteRing, TakeFrame } from "./byte-ring.ts";

/** Bytes of each ring, a power of two. */
export const ringBytes: number = 512 * 1024;
/** Frames taken in one go, so that sockets get their turn. */
const framesAtOnce = 256;

/** What a frame says. Numbers name connections. */
export const frame = {
  /** To home: a connection's first request that is not answered at its thread. Content: the client, as JSON. */
  opened: 1,
  /** Both: bytes. */
  data: 2,
  /** Both: no more bytes from there. */
  ended: 3,
  /** To home: the connection is gone. */
  gone: 4,
  /** To home: bytes that the client's socket has taken, and (kind `flushed`) that it has been ended. */
  taken: 5,
  flushed: 6,
  /** To a front: bytes that lie in a block of the store: block, offset, length. */
  piece: 7,
  /** To a front: destroy the connection, with a reset (1) or without (0). */
  cut: 8,
  /** To a front: all requests have been answered, those in so many bytes: what follows is the thread's again. */
  rest: 9,
  /** To a front: home has room for so many bytes more. */
  room: 10,
} as const;

interface Waiting {
  readonly kind: number;
  readonly number: number;
  readonly content: Buffer | null;
}

/** One end of a link. */
export class ThreadLink {
  readonly #incoming: ByteRing;
  readonly #outgoing: ByteRing;
  readonly #take: TakeFrame;
  readonly #failed: (error: Error) => void;
  readonly #queue: Waiting[] = [];
  #isOver = false;

  constructor(incoming: ByteRing, outgoing: ByteRing, take: TakeFrame, failed: (error: Error) => void) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#take = take;
    this.#failed = failed;
    void this.#receive();
  }

  /** The other side is gone. */
  close(): void {
    this.#isOver = true;
    this.#queue.length = 0;
  }

  /** Sends a frame; content longer than a frame takes goes in several of the same kind. */
  send(kind: number, number: number, content: Buffer | null = null): void {
    if (this.#isOver) return;
    const { contentMax } = this.#outgoing;
    if (content === null || content.length <= contentMax) return this.#put(kind, number, content);
    for (let at = 0; at < content.length; at += contentMax)
      this.#put(kind, number, content.subarray(at, Math.min(content.length, at + contentMax)));
  }

  /** The same with one number of 32 bits as its content. */
  sendNumber(kind: number, number: number, value: number): void {
    const content = Buffer.allocUnsafe(4);
    content.writeUInt32LE(value >>> 0, 0);
    this.send(kind, number, content);
  }

  #put(kind: number, number: number, content: Buffer | null): void {
    if (this.#queue.length === 0 && this.#outgoing.write(kind, number, content)) return;
    // Whoever sent it may use its memory for something else.
    this.#queue.push({ kind, number, content: content === null ? null : Buffer.from(content) });
    if (this.#queue.length === 1) void this.#empty();
  }

  async #empty(): Promise<void> {
    while (this.#queue.length > 0) {
      const { kind, number, content } = this.#queue[0]!;
      if (this.#outgoing.write(kind, number, content)) this.#queue.shift();
      else await this.#outgoing.room();
    }
  }

  async #receive(): Promise<void> {
    while (!this.#isOver) {
      let frames = 0;
      try {
        frames = this.#incoming.read(this.#take, framesAtOnce);
      } catch (error) {
        this.#failed(error as Error);
        continue;
      }
      if (frames === 0) await this.#incoming.something();
      else if (frames === framesAtOnce) await new Promise((done) => setImmediate(done));
    }
  }
}
