/**
 * The link between a front thread and home: two rings, and a queue beside each for what finds no room. Both sides keep
 * to credits (home-socket.ts, front-connection.ts), so that the queues stay short; neither side ever waits for the
 * other in its turn, so that two full rings cannot hold each other up.
 */
import { plainly, type ByteRing, type TakeFrame } from "./byte-ring.ts";

/** Bytes of each ring, powers of two: requests are shorter than answers. */
export const ringBytes = { toHome: 512 * 1024, fromHome: 1024 * 1024 } as const;
/** Frames taken in one go, so that sockets get their turn. */
const framesAtOnce = 256;
/** Frames that may wait for room before no further connection is begun. */
const queuedMax = 4096;

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
  /** To a front: the same, behind the bytes that are its content from the fourth on. */
  last: 11,
  /** To a front: home has room for so many bytes more. */
  room: 10,
} as const;

interface Waiting {
  readonly kind: number;
  readonly number: number;
  readonly content: Buffer | null;
  readonly sent: (() => void) | null;
}

/** One end of a link. */
export class ThreadLink {
  readonly #incoming: ByteRing;
  readonly #outgoing: ByteRing;
  readonly #take: TakeFrame;
  readonly #failed: (error: Error) => void;
  readonly #queue: Waiting[] = [];
  readonly #allocate: (bytes: number) => Buffer;
  #isOver = false;
  #isWaking = false;

  /** `allocate` gives memory for the content of frames that come in. */
  constructor(
    incoming: ByteRing,
    outgoing: ByteRing,
    take: TakeFrame,
    failed: (error: Error) => void,
    allocate: (bytes: number) => Buffer = plainly,
  ) {
    this.#allocate = allocate;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#take = take;
    this.#failed = failed;
    // Not before whoever makes it has it.
    queueMicrotask(() => void this.#receive());
  }

  /** Whether the other side has not read for long: more is not to be begun. */
  get isCongested(): boolean {
    return this.#queue.length > queuedMax;
  }

  /** The other side is gone. */
  close(): void {
    this.#isOver = true;
    for (const { sent } of this.#queue.splice(0)) sent?.();
  }

  /**
   * Sends a frame; content longer than a frame takes goes in several of the same kind. Content must not change before
   * `sent` is called, perhaps at once.
   */
  send(kind: number, number: number, content: Buffer | null = null, sent: (() => void) | null = null): void {
    const { contentMax } = this.#outgoing;
    let at = 0;
    if (content !== null && !this.#isOver)
      for (; content.length - at > contentMax; at += contentMax)
        this.#put(kind, number, content.subarray(at, at + contentMax), null);
    if (this.#isOver) sent?.();
    else this.#put(kind, number, at === 0 ? content : content!.subarray(at), sent);
  }

  /** The same with one number of 32 bits as its content. */
  sendNumber(kind: number, number: number, value: number): void {
    const content = Buffer.allocUnsafe(4);
    content.writeUInt32LE(value >>> 0, 0);
    this.send(kind, number, content);
  }

  #put(kind: number, number: number, content: Buffer | null, sent: (() => void) | null): void {
    this.#wakeSoon();
    if (this.#queue.length === 0 && this.#outgoing.write(kind, number, content)) return sent?.();
    this.#queue.push({ kind, number, content, sent });
    if (this.#queue.length === 1) void this.#empty();
  }

  /** What one turn of the loop has to say is read at once: each waking costs as much as several frames. */
  #wakeSoon(): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      this.#outgoing.wake();
    });
  }

  async #empty(): Promise<void> {
    while (this.#queue.length > 0) {
      this.#wakeSoon();
      const { kind, number, content, sent } = this.#queue[0]!;
      if (this.#outgoing.write(kind, number, content)) {
        this.#queue.shift();
        sent?.();
      } else await this.#outgoing.room();
    }
  }

  async #receive(): Promise<void> {
    let inTurn = 0;
    while (!this.#isOver) {
      let frames = 0;
      try {
        frames = this.#incoming.read(this.#take, framesAtOnce, this.#allocate);
      } catch (error) {
        this.#failed(error as Error);
        continue;
      }
      inTurn += frames;
      if (inTurn >= framesAtOnce) {
        inTurn = 0;
        await new Promise((done) => setImmediate(done));
      } else if (frames === 0 && (await this.#incoming.something())) inTurn = 0;
    }
  }
}
