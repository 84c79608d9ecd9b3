/**
 * One request of HTTP/2 and its answer: carried over a lane as HTTP/1.1, both ways, with what is read of either side
 * waiting for the other.
 */
import { countRead } from "../../base/read-buffers.ts";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { FieldList } from "../../http/fields.ts";
import type { ResponseHead } from "../response-head.ts";
import { ResponseReader, type ResponseListener } from "../response-reader.ts";
import type { Lane, LaneListener } from "./lane.ts";
import { trailerText, type RequestText } from "./request-text.ts";
import { grouped, respond, sayable } from "./response-fields.ts";

/** What becomes of a lane when its request is over. */
export interface StreamHost {
  /** It can carry the next. */
  free(lane: Lane): void;
  /** As of the last look; monotonic. */
  readonly nowMs: number;
}

/** node:http2 holds one write of a stream at a time, and counts it against its session. */
const pieceBytes = 32 * 1024;
/** See above. */
export class GatewayStream implements LaneListener {
  readonly #stream: ServerHttp2Stream;
  readonly #request: RequestText;
  readonly #lane: Lane;
  readonly #host: StreamHost;
  readonly #reader = new ResponseReader();
  /** Bytes of content that are still to come, where that was said. */
  #left: number;
  /**
   * The end of a request whose length was said: it waits until the client has ended it, since one that goes on behind
   * it is malformed, and must not have been taken for whole by anybody. RFC 9113 §8.1.1.
   */
  #last: Buffer | null = null;
  #trailers: readonly string[] = [];
  #isTunnel = false;
  #isAnswered = false;
  /** The answer has ended, at both ends of the lane. */
  #isOver = false;
  /** Content to be written, and whom to tell when what stands before has been. */
  readonly #waiting: (Buffer | (() => void))[] = [];
  #isWriting = false;
  /** The client's content has come, all of it. */
  #isWhole = false;
  /** The lane is somebody else's. */
  #isFreed = false;
  /** Nothing follows what waits. */
  #isEnding = false;
  /** When it last moved; ms, monotonic. */
  movedMs: number;

  constructor(stream: ServerHttp2Stream, request: RequestText, lane: Lane, host: StreamHost) {
    this.#stream = stream;
    this.#request = request;
    this.#lane = lane;
    this.#host = host;
    this.movedMs = host.nowMs;
    const { framing } = request;
    this.#left = framing.kind === "length" ? framing.bytes : 0;
    lane.listener = this;
    const answer: ResponseListener = {
      interim: (status, fields) => this.#interim(status, fields),
      head: (head) => this.#head(head),
      data: (content) => this.#write(content),
      end: (trailers) => this.#end(trailers),
      bad: () => this.#bad(),
    };
    this.#reader.expect(request.method, answer);
    const head = Buffer.from(`${request.text}\r\n`, "latin1");
    if (framing.kind === "length" && framing.bytes === 0) this.#last = head;
    else lane.send(head);
    stream.on("close", () => this.#closed());
    this.#isWhole = framing.kind === "none";
    if (this.#isWhole) return;
    stream.on("data", (bytes: Buffer) => this.#content(bytes));
    stream.on("trailers", (_fields: unknown, _flags: number, raw?: string[]) => (this.#trailers = raw ?? []));
    stream.on("end", () => this.#contentEnded());
    // A tunnel's bytes wait until it is one.
    if (framing.kind === "tunnel") stream.pause();
  }

  /** Whether it waits for its client to take what there is. */
  get isBlocked(): boolean {
    return this.#isWriting;
  }

  /** Ends it as its client sees that it was cut. */
  reset(code: number): void {
    this.#close(code);
  }

  // ---- what the client sends ----------------------------------------------------------------------------------------

  #content(bytes: Buffer): void {
    countRead(bytes.length);
    this.movedMs = this.#host.nowMs;
    const { framing } = this.#request;
    // What was sent ahead of an answer that opens no tunnel is nobody's.
    if (this.#isOver || (framing.kind === "tunnel" && !this.#isTunnel)) return;
    let hasRoom = true;
    if (framing.kind === "chunked") {
      const size = Buffer.from(`${bytes.length.toString(16)}\r\n`, "latin1");
      hasRoom = this.#lane.send(Buffer.concat([size, bytes, Buffer.from("\r\n")]));
    } else {
      this.#left -= bytes.length;
      // More would be read as the next request.
      if (framing.kind === "length" && this.#left < 0) return this.#fail(constants.NGHTTP2_PROTOCOL_ERROR);
      const piece = Buffer.from(bytes);
      if (framing.kind === "length" && this.#left === 0) this.#last = piece;
      else hasRoom = this.#lane.send(piece);
    }
    if (!hasRoom) this.#stream.pause();
  }

  #contentEnded(): void {
    this.#isWhole = true;
    if (this.#isOver) return undefined;
    const { framing } = this.#request;
    if (framing.kind === "tunnel") return this.#isTunnel ? this.#lane.end() : undefined;
    if (framing.kind === "length") {
      if (this.#left > 0) return this.#fail(constants.NGHTTP2_PROTOCOL_ERROR);
      return void this.#lane.send(this.#last!);
    }
    const trailers = trailerText(this.#trailers);
    if (typeof trailers !== "string") return this.#fail(constants.NGHTTP2_PROTOCOL_ERROR);
    this.#lane.send(Buffer.from(`0\r\n${trailers}\r\n`, "latin1"));
    return undefined;
  }

  // ---- what the lane gives ------------------------------------------------------------------------------------------

  data(bytes: Buffer, taken: () => void): void {
    if (this.#isTunnel) this.#write(bytes);
    else this.#reader.feed(bytes);
    this.#waiting.push(taken);
    this.#writeOn();
  }

  ended(): void {
    if (!this.#isTunnel) {
      this.#reader.ended("in-order");
      // It carries nothing more, and nobody at its other end needs to wait for us.
      if (this.#isOver && !this.#isFreed) this.#lane.leave();
      return undefined;
    }
    this.#isEnding = true;
    return this.#writeOn();
  }

  cut(): void {
    if (!this.#isTunnel) this.#reader.ended("reset");
    else if (!this.#isEnding) this.#fail(constants.NGHTTP2_CONNECT_ERROR);
    else {
      // All that was said lies here, and goes to the client yet; what it still says is nobody's.
      this.#isOver = true;
      this.#stream.once("finish", () => this.#stream.readableEnded || this.#close(constants.NGHTTP2_CONNECT_ERROR));
    }
  }

  room(): void {
    if (!this.#stream.isPaused() || (this.#request.framing.kind === "tunnel" && !this.#isTunnel)) return;
    this.#stream.resume();
  }

  rested(): void {
    if (!this.#isOver || this.#isTunnel) return;
    this.#isFreed = true;
    this.#host.free(this.#lane);
  }

  // ---- the answer in it ---------------------------------------------------------------------------------------------

  #interim(status: number, fields: FieldList): void {
    if (status === 101 || this.#stream.destroyed) return;
    try {
      this.#stream.additionalHeaders({ ":status": status, ...grouped(fields) });
    } catch {
      // An interim answer that HTTP/2 cannot carry is nobody's loss.
    }
  }

  #head(head: ResponseHead): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    const { framing } = this.#request;
    const by = framing.kind === "tunnel" ? framing.by : null;
    const opens =
      by === "websocket" ? head.status === 101 : by === "connect" && head.status >= 200 && head.status < 300;
    // RFC 8441 §5: success would say that the tunnel is open.
    const isMistaken = by === "websocket" && !opens && head.status >= 200 && head.status < 300;
    const status = opens ? 200 : isMistaken ? 502 : sayable(head.status);
    const hasNone = !opens && head.framing.kind === "none";
    this.#isAnswered = true;
    try {
      const waitForTrailers = !hasNone && head.framing.kind === "chunked";
      respond(stream, status, head.fields, { endStream: hasNone, waitForTrailers });
    } catch {
      // What cannot be said in HTTP/2, such as a field twice that may be there once.
      return this.#fail(constants.NGHTTP2_INTERNAL_ERROR);
    }
    // What is not read to its end is never closed.
    if (!opens) return void (by !== null && stream.resume());
    this.#isTunnel = true;
    stream.resume();
    const early = this.#reader.takeRest();
    this.#reader.stop();
    this.#write(early);
    if (this.#isWhole) this.#lane.end();
  }

  #end(trailers: FieldList): void {
    this.#isOver = true;
    const stream = this.#stream;
    stream.resume();
    if (stream.destroyed || stream.writableEnded) return;
    stream.on("wantTrailers", () => {
      try {
        stream.sendTrailers(grouped(trailers));
      } catch {
        // The answer is whole; trailers that HTTP/2 cannot carry are nobody's loss.
        stream.close(constants.NGHTTP2_NO_ERROR);
      }
    });
    // Content that nobody wants any more: the client need not send it. RFC 9113 §8.1.
    stream.once("finish", () => {
      if (stream.readableEnded || this.#request.framing.kind === "none") return;
      this.#close(constants.NGHTTP2_NO_ERROR);
    });
    this.#isEnding = true;
    this.#writeOn();
  }

  #bad(): void {
    this.#fail(this.#isAnswered ? constants.NGHTTP2_INTERNAL_ERROR : constants.NGHTTP2_REFUSED_STREAM);
  }

  /** Puts content behind what is still to be written: node:http2 would take it all, and count it as held. */
  #write(bytes: Buffer): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    // In clear text a frame that is half out when the stream is reset is still read from here: what is lent may hold
    // somebody else's content by then. Encrypted, it has been copied.
    const own = stream.session?.encrypted === true ? bytes : Buffer.from(bytes);
    for (let at = 0; at < own.length; at += pieceBytes) this.#waiting.push(own.subarray(at, at + pieceBytes));
  }

  /** Writes what waits, a piece at a time; what stands between pieces is told when those before it have been taken. */
  #writeOn(): void {
    if (this.#isWriting) return;
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        if (this.#isEnding && !this.#stream.writableEnded) this.#stream.end();
        return;
      }
      if (typeof next === "function") next();
      else {
        this.#isWriting = true;
        this.#stream.write(next, () => {
          this.#isWriting = false;
          this.movedMs = this.#host.nowMs;
          this.#writeOn();
        });
        return;
      }
    }
  }

  #fail(code: number): void {
    this.#isOver = true;
    this.#reader.stop();
    this.#lane.leave();
    this.#close(code);
  }

  #close(code: number): void {
    this.#stream.close(code);
    // Node waits for the end of what the client has sent, which it does not always see.
    setImmediate(() => this.#stream.destroy());
  }

  #closed(): void {
    for (const next of this.#waiting.splice(0)) if (typeof next === "function") next();
    // Whoever has left, or been left, with something under way: nobody waits for the rest of it.
    if (!this.#isFreed && (!this.#isOver || this.#isTunnel || !this.#isWhole)) {
      this.#isOver = true;
      this.#reader.stop();
      this.#lane.leave();
    }
  }
}
