/**
 * A client's connection as home has it while its socket is at a front thread: a stream like any other. What is written
 * is taken when the client's socket has taken it; what is received is asked for as it is read.
 */
import { Duplex } from "node:stream";
import type { ClientSocket } from "../wire/client-socket.ts";
import type { StoreBlocks } from "./store-blocks.ts";
import { frame, type ThreadLink } from "./thread-link.ts";

/** Bytes that a front may send before it is told to send more. */
export const windowBytes: number = 128 * 1024;
/** Room is told of in steps. */
const roomStepBytes = windowBytes / 4;
/** Content of the store from here on is not copied: its place is told. */
const pieceBytesMin = 4096;
/** Bytes that may be on their way to the client without a word that they have been taken. */
export const untakenMax: number = 64 * 1024;
const nothing: Buffer = Buffer.alloc(0);
/**
 * Written behind an answer when there is nothing else to answer, so as to go in order with what is written: with what
 * had been received by then. More may have come when it goes, and is not answered.
 */
const restMarks = new WeakMap<Buffer, number>();

/** Called when so many bytes, counted from the beginning, have been taken. */
interface Untaken {
  readonly upTo: number;
  readonly done: () => void;
}

/** One end of such a connection. */
export class HomeSocket extends Duplex implements ClientSocket {
  readonly #link: ThreadLink;
  readonly #number: number;
  readonly #blocks: StoreBlocks;
  bytesRead = 0;
  /** Told of as room again. */
  #roomTold = 0;
  #sent = 0;
  #taken = 0;
  readonly #untaken: Untaken[] = [];
  /** Places in the store that the front has been told of, and has not said to be done with. */
  readonly #lent: Untaken[] = [];
  /** What must not be changed before it has been taken, told of so far. */
  #lentUpTo = 0;
  #flushed: ((error?: Error | null) => void) | null = null;
  #isReset = false;
  #isGone = false;

  constructor(link: ThreadLink, number: number, blocks: StoreBlocks) {
    super({ allowHalfOpen: true });
    this.#link = link;
    this.#number = number;
    this.#blocks = blocks;
  }

  get bytesWritten(): number {
    return this.#taken + this.writableLength;
  }

  setNoDelay(): this {
    return this;
  }

  resetAndDestroy(): this {
    this.#isReset = true;
    return this.destroy();
  }

  rest(): boolean {
    if (this.readableLength > 0 || this.destroyed || this.writableEnded) return false;
    const mark = Buffer.alloc(0);
    restMarks.set(mark, this.bytesRead);
    this.write(mark);
    return true;
  }

  /** Bytes from the client. */
  received(bytes: Buffer): void {
    this.bytesRead += bytes.length;
    this.push(bytes);
  }

  /** The client has ended its side. */
  ended(): void {
    this.push(null);
  }

  /** The client's socket has taken so many bytes more. */
  took(bytes: number): void {
    this.#taken += bytes;
    for (const list of [this.#lent, this.#untaken])
      while (list.length > 0 && list[0]!.upTo <= this.#taken) list.shift()!.done();
  }

  /** The client's socket has been ended. */
  flushed(): void {
    this.#flushed?.();
    this.#flushed = null;
  }

  /** The client's socket is no more. */
  gone(): void {
    this.#isGone = true;
    for (const { done } of this.#lent.splice(0)) done();
    this.destroy();
  }

  override _read(): void {
    const room = this.bytesRead - this.#roomTold;
    if (room < roomStepBytes) return;
    this.#roomTold = this.bytesRead;
    this.#link.sendNumber(frame.room, this.#number, room);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send(chunk, () => this.#whenTaken(done));
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    const bytes = chunks.reduce((sum, { chunk }) => sum + chunk.length, 0);
    const last = chunks.length - 1;
    if (bytes >= pieceBytesMin) {
      for (const [index, { chunk }] of chunks.entries())
        this.#send(chunk, index === last ? () => this.#whenTaken(done) : null);
      return;
    }
    // One frame, and the word that it is the last with it.
    const rested = restMarks.get(chunks[last]!.chunk);
    this.#sent += bytes;
    const before = rested === undefined ? nothing : asBytes(rested);
    const content = Buffer.concat([before, ...chunks.map(({ chunk }) => chunk)]);
    this.#link.send(rested === undefined ? frame.data : frame.last, this.#number, content);
    this.#whenTaken(done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#flushed = done;
    this.#link.send(frame.ended, this.#number);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isGone) this.#link.sendNumber(frame.cut, this.#number, this.#isReset ? 1 : 0);
    this.#flushed?.();
    this.#flushed = null;
    for (const { done: taken } of this.#untaken.splice(0)) taken();
    done(error);
  }

  /** `sent`: the chunk may be changed, unless it has been lent. */
  #send(chunk: Buffer, sent: (() => void) | null): void {
    const rested = restMarks.get(chunk);
    if (rested !== undefined) return this.#link.send(frame.rest, this.#number, asBytes(rested), sent);
    this.#sent += chunk.length;
    const block = chunk.length < pieceBytesMin ? -1 : this.#blocks.numberOf(chunk.buffer);
    if (block === -1) return this.#link.send(frame.data, this.#number, chunk, sent);
    const place = Buffer.allocUnsafe(12);
    place.writeUInt32LE(block, 0);
    place.writeUInt32LE(chunk.byteOffset, 4);
    place.writeUInt32LE(chunk.length, 8);
    this.#lentUpTo = this.#sent;
    // Whatever becomes of this end meanwhile: the front may be sending it.
    this.#lent.push({ upTo: this.#sent, done: this.#blocks.lend(block, chunk.byteOffset) });
    return this.#link.send(frame.piece, this.#number, place, sent);
  }

  #whenTaken(done: () => void): void {
    // What has been copied is the link's; only so much of it, and what has been lent, is waited for.
    const upTo = Math.max(this.#lentUpTo, this.#sent - untakenMax);
    // Once the client is gone nobody says any more what it has taken: what was on its way is copied or dropped.
    if (this.#taken >= upTo || this.destroyed) process.nextTick(done);
    else this.#untaken.push({ upTo, done });
  }
}

/** 32 bits. */
function asBytes(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(number >>> 0, 0);
  return bytes;
}
