/**
 * Frames of the peer link: ten bytes of head, then the payload. `docs/peer-protocol.md` is the specification.
 *
 *   0        4      5       6          10
 *   | length | type | flags | stream   | payload …
 */

export const frameHeadBytes = 10;
/** The protocol's number, the first byte of a hello. */
export const protocolVersion = 4;
/** Before what the asker has heard: the answer is to be kept. */
export const keeping = "keep ";
/** Before that: the asker follows the trace that the fields name. */
export const tracing = "trace ";
/**
 * The largest payload from a member that has proved itself: a view of some 30,000 members. DATA and RESPONSE are cut
 * into much smaller pieces, so that one answer does not stand in the way of others.
 */
export const payloadBytesMax: number = 8 * 1024 * 1024;

export const FrameType = {
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  request: 10,
  response: 11,
  data: 12,
  end: 13,
  reset: 14,
  window: 15,
  interim: 16,
  ping: 20,
  pong: 21,
  call: 22,
  reply: 23,
  note: 24,
  goodbye: 25,
} as const;

/** The largest frame of the handshake. */
export const handshakeBytesMax = 1024;

/** The stream ends with this frame: nothing follows. */
export const flagEnd = 1;
/** REQUEST: the client is on the entry member's machine. REPLY: the call failed. */
export const flagLocal = 2;
export const flagFailed = 2;
/** REQUEST: the client spoke TLS. RESPONSE: the length of the content is not known. */
export const flagSecure = 4;
export const flagUnknownLength = 4;
/** REQUEST: no field can change the answer but those that Vary may name. */
export const flagPlain = 8;
/** RESPONSE: the content came from a loopback or private address. */
export const flagInner = 8;
/** REQUEST: for the forward proxy, not for a route. */
export const flagForward = 16;
/** REQUEST: what is asked of the receiver other than to answer as the owner; see `Asking`. */
export const flagPeek = 32;
export const flagStandIn = 64;
export const flagByKey = 128;

/** Content up to this size is copied behind its frame's head. */
const copiedBytesMax = 16 * 1024;
const none: readonly (() => void)[] = [];

/** Builds frames into one growing buffer, so that all of a tick leave in one write. */
export class FrameWriter {
  #buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #length = 0;
  #flushed = 0;
  #pieces: Buffer[] = [];
  #lent: (() => void)[] = [];
  #frameAt = 0;

  begin(type: number, flags: number, stream: number): void {
    this.#room(frameHeadBytes);
    this.#frameAt = this.#length;
    this.#buffer[this.#length + 4] = type;
    this.#buffer[this.#length + 5] = flags;
    this.#buffer.writeUInt32BE(stream, this.#length + 6);
    this.#length += frameHeadBytes;
  }

  u8(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  u16(value: number): void {
    this.#room(2);
    this.#length = this.#buffer.writeUInt16BE(value, this.#length);
  }

  u32(value: number): void {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
  }

  /** A count that may exceed 32 bits. */
  f64(value: number): void {
    this.#room(8);
    this.#length = this.#buffer.writeDoubleBE(value, this.#length);
  }

  /** Latin1 text behind its length. */
  text(value: string): void {
    this.u32(value.length);
    this.#room(value.length);
    this.#length += this.#buffer.write(value, this.#length, "latin1");
  }

  /** Latin1 text without its length: the rest of a frame. */
  tail(value: string): void {
    this.#room(value.length);
    this.#length += this.#buffer.write(value, this.#length, "latin1");
  }

  bytes(value: Buffer): void {
    this.#room(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** Part of a buffer, copied. */
  part(from: Buffer, start: number, end: number): void {
    this.#room(end - start);
    this.#length += from.copy(this.#buffer, this.#length, start, end);
  }

  /** Closes the frame; `content` follows it uncopied where it is large, until `taken` is called. */
  end(content: Buffer | null = null, taken?: () => void): void {
    const contentBytes = content === null ? 0 : content.length;
    this.#buffer.writeUInt32BE(this.#length - this.#frameAt - frameHeadBytes + contentBytes, this.#frameAt);
    if (content === null || contentBytes <= copiedBytesMax) {
      if (content !== null) this.bytes(content);
      return taken?.();
    }
    this.#cut();
    this.#pieces.push(content);
    if (taken !== undefined) this.#lent.push(taken);
    return undefined;
  }

  /** What is to be called when the pieces that have been taken have left. */
  takeLent(): readonly (() => void)[] {
    if (this.#lent.length === 0) return none;
    const lent = this.#lent;
    this.#lent = [];
    return lent;
  }

  /** What has been built, in order, for one gathered write. */
  take(): Buffer[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #cut(): void {
    if (this.#length > this.#flushed) this.#pieces.push(this.#buffer.subarray(this.#flushed, this.#length));
    this.#flushed = this.#length;
    // What was handed out must not be written again: go on behind it, or in a new buffer.
    if (this.#buffer.length - this.#length < 4096) {
      this.#buffer = Buffer.allocUnsafeSlow(64 * 1024);
      this.#length = 0;
      this.#flushed = 0;
    }
  }

  #room(bytes: number): void {
    if (this.#buffer.length - this.#length >= bytes) return;
    const unfinished = this.#buffer.subarray(this.#frameAt, this.#length);
    const done = this.#buffer.subarray(this.#flushed, this.#frameAt);
    const inFrame = this.#frameAt >= this.#flushed;
    if (inFrame && done.length > 0) this.#pieces.push(done);
    const kept = inFrame ? unfinished : this.#buffer.subarray(this.#flushed, this.#length);
    const next = Buffer.allocUnsafeSlow(Math.max(64 * 1024, (kept.length + bytes) * 2));
    next.set(kept, 0);
    this.#buffer = next;
    this.#frameAt = 0;
    this.#flushed = 0;
    this.#length = kept.length;
  }
}

/** Reads the payload of a frame in order; running over its end gives zeros and empty texts and sets `broken`. */
export class PayloadReader {
  broken = false;
  readonly #payload: Buffer;
  #at = 0;

  constructor(payload: Buffer) {
    this.#payload = payload;
  }

  get left(): number {
    return this.#payload.length - this.#at;
  }

  u8(): number {
    return this.#has(1) ? this.#payload[this.#at++]! : 0;
  }

  u16(): number {
    if (!this.#has(2)) return 0;
    this.#at += 2;
    return this.#payload.readUInt16BE(this.#at - 2);
  }

  u32(): number {
    if (!this.#has(4)) return 0;
    this.#at += 4;
    return this.#payload.readUInt32BE(this.#at - 4);
  }

  f64(): number {
    if (!this.#has(8)) return 0;
    this.#at += 8;
    return this.#payload.readDoubleBE(this.#at - 8);
  }

  text(): string {
    const bytes = this.u32();
    return this.bytes(bytes).toString("latin1");
  }

  bytes(count: number): Buffer {
    if (!this.#has(count)) return Buffer.alloc(0);
    this.#at += count;
    return this.#payload.subarray(this.#at - count, this.#at);
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }

  #has(bytes: number): boolean {
    if (this.left >= bytes) return true;
    this.broken = true;
    this.#at = this.#payload.length;
    return false;
  }
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  /** Largest payload accepted; a link that has not proved itself gets a small one. */
  payloadBytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  #needed = frameHeadBytes;

  constructor(largest: number = payloadBytesMax) {
    this.payloadBytesMax = largest;
  }

  /**
   * Takes bytes and gives every frame that is complete. @returns false where a frame is too large: the link is to be
   * cut.
   */
  feed(chunk: Buffer, take: (frame: Frame) => void): boolean {
    let bytes = chunk;
    if (this.#bytes > 0) {
      this.#parts.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes < this.#needed) return true;
      bytes = Buffer.concat(this.#parts, this.#bytes);
      this.#parts = [];
      this.#bytes = 0;
    }
    let at = 0;
    for (;;) {
      this.#needed = frameHeadBytes;
      if (bytes.length - at < frameHeadBytes) break;
      const length = bytes.readUInt32BE(at);
      if (length > this.payloadBytesMax) return false;
      this.#needed = frameHeadBytes + length;
      if (bytes.length - at < this.#needed) break;
      const start = at + frameHeadBytes;
      take({
        type: bytes[at + 4]!,
        flags: bytes[at + 5]!,
        stream: bytes.readUInt32BE(at + 6),
        payload: bytes.subarray(start, start + length),
      });
      at = start + length;
    }
    if (at < bytes.length) {
      this.#parts = [at === 0 ? bytes : bytes.subarray(at)];
      this.#bytes = bytes.length - at;
    }
    return true;
  }
}
