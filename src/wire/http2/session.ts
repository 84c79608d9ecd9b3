/**
 * One connection of HTTP/2: its streams, and bounds on what it may cost. Requests are answered at once where somebody
 * can (a thread that has the store's memory), and carried over lanes to where HTTP/1.1 is served.
 */
import { PassingSet } from "../../base/passing.ts";
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { reasonPhrase } from "../../http/messages.ts";
import type { Client } from "../exchange.ts";
import type { WireLimits } from "../limits.ts";
import { isRefusal, requestHead, type ParsedHead } from "../request-head.ts";
import { nobody, type Lane, type OpenLane } from "./lane.ts";
import { Overhead } from "./overhead.ts";
import { letStreamsPass } from "./passing-streams.ts";
import { requestText, type RequestText } from "./request-text.ts";
import { respond, sayable } from "./response-fields.ts";
import { GatewayStream, type StreamHost } from "./stream.ts";
import { lineOfFields, type Unread } from "../unread.ts";

/** An answer that is there already. */
export interface ReadyAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly fields: readonly string[];
  readonly content: Buffer;
}

/** Answers a plain or conditional GET, or a HEAD, at once, or does not. */
export type AnswerNow = (head: ParsedHead, client: Client) => ReadyAnswer | null;

/** What all sessions of a server share. */
export interface SessionHost {
  readonly limits: WireLimits;
  readonly open: OpenLane;
  readonly answerNow: AnswerNow | null;
  readonly refused: (unread: Unread, client: Client) => void;
  readonly bug: (error: Error) => void;
}

const streamsMax = 256;
/** Idle lanes kept for the next requests. */
const lanesMax = 16;
/** Megabytes that node:http2 may hold for one session. */
const sessionMemoryMb = 8;
/** What each field of a head counts for beside its characters. RFC 9113 §6.5.2. */
const bytesForField = 32;
/** Content of a stream that waits, at most: with as many streams as there may be, 16 MB for a connection. */
const windowBytes = 64 * 1024;
/** What goes wrong with a stream is seen by its end. */
const ignored = (): void => {};

/** See above. */
export class Http2Connection implements StreamHost {
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  readonly #client: Client;
  readonly #host: SessionHost;
  readonly #streams = new PassingSet<GatewayStream>();
  readonly #lanes: Lane[] = [];
  readonly #overhead: Overhead;
  /** Streams that have been given their answer as a whole, and when. */
  readonly #given = new PassingSet<{ readonly stream: ServerHttp2Stream; sinceMs: number }>();
  /** Bytes written, and since when it has been so many. */
  #written = 0;
  #writtenMs: number;
  #open = 0;
  #nowMs: number;
  /** When its last stream ended; ms, monotonic. */
  #idleSinceMs: number;
  #hasAsked = false;

  /** `closed` is called when it is over. */
  constructor(socket: Socket, client: Client, host: SessionHost, nowMs: number, closed: () => void) {
    this.#socket = socket;
    this.#client = client;
    this.#host = host;
    this.#nowMs = nowMs;
    this.#idleSinceMs = nowMs;
    this.#writtenMs = nowMs;
    this.#overhead = new Overhead(nowMs);
    const { limits } = host;
    // Clients send each cookie as a field of its own, which together are one for whoever counts: so many are read that
    // HTTP/1.1's own bounds decide, with a status that says why. RFC 9113 §8.2.3.
    const fieldsRead = limits.fieldsMax + Math.ceil(limits.headBytesMax / bytesForField);
    const session = performServerHandshake(socket, {
      maxSessionMemory: sessionMemoryMb,
      maxHeaderListPairs: fieldsRead,
      maxOutstandingPings: 4,
      settings: {
        enableConnectProtocol: true,
        enablePush: false,
        maxConcurrentStreams: streamsMax,
        maxHeaderListSize: 2 * limits.headBytesMax + bytesForField * fieldsRead,
        initialWindowSize: windowBytes,
      },
    });
    letStreamsPass(session);
    this.#session = session;
    session.on("stream", (stream, _headers, _flags, raw?: string[]) => this.#asked(stream, raw ?? []));
    session.on("ping", () => this.#counted("ping"));
    session.on("remoteSettings", () => this.#counted("settings"));
    session.on("error", () => session.destroy());
    session.on("frameError", () => {});
    // An older Node leaves the socket open behind its GOAWAY.
    session.on("close", () => socket.destroy());
    socket.on("error", () => socket.destroy());
    // Nothing can be answered without windows from the other side: half a connection is none.
    socket.on("end", () => socket.destroy());
    socket.once("close", () => {
      session.destroy();
      for (const lane of this.#lanes.splice(0)) lane.leave();
      closed();
    });
  }

  /** Takes no further requests, and ends when those under way have been answered. */
  drain(): void {
    if (!this.#session.closed) this.#session.close();
  }

  /** Compares deadlines; ms, monotonic. */
  sweep(now: number): void {
    this.#nowMs = now;
    const { limits } = this.#host;
    const { bytesRead, bytesWritten } = this.#socket;
    if (this.#overhead.isTooMuch(now, bytesRead, bytesWritten)) return this.#calm();
    const blocked = [...this.#streams].filter((stream) => stream.isBlocked);
    const waiting = blocked.length + this.#given.size;
    if (bytesWritten !== this.#written || waiting === 0) {
      this.#written = bytesWritten;
      this.#writtenMs = now;
    }
    // Nothing at all is taken: no stream could even be told.
    if (now - this.#writtenMs > limits.rateWindowMs) return void this.#socket.destroy();
    // Where others move, a stream may have to wait for its turn among them.
    const patientMs = limits.rateWindowMs * (1 + waiting);
    for (const stream of blocked) if (now - stream.movedMs > patientMs) stream.reset(constants.NGHTTP2_CANCEL);
    for (const { stream, sinceMs } of this.#given)
      if (now - sinceMs > patientMs) stream.close(constants.NGHTTP2_CANCEL);
    const patienceMs = this.#hasAsked ? limits.idleMs : Math.min(limits.idleMs, limits.headMs);
    if (this.#open > 0 || now - this.#idleSinceMs < patienceMs) return undefined;
    // One that has been told to go and does not is shown out.
    if (this.#session.closed || now - this.#idleSinceMs > patienceMs + limits.lingerSilenceMs) this.#socket.destroy();
    else this.#session.close();
    return undefined;
  }

  heldUp(lostMs: number, now: number): void {
    this.#nowMs = now;
    this.#idleSinceMs += lostMs;
    this.#writtenMs += lostMs;
    for (const stream of this.#streams) stream.movedMs += lostMs;
    for (const given of this.#given) given.sinceMs += lostMs;
  }

  // ---- for streams --------------------------------------------------------------------------------------------------

  free(lane: Lane): void {
    lane.listener = { ...nobody, cut: () => this.#dropped(lane), ended: () => this.#dropped(lane) };
    if (this.#lanes.length < lanesMax && !this.#session.closed) this.#lanes.push(lane);
    else lane.leave();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  // -------------------------------------------------------------------------------------------------------------------

  #dropped(lane: Lane): void {
    const index = this.#lanes.indexOf(lane);
    if (index !== -1) this.#lanes.splice(index, 1);
    lane.leave();
  }

  #asked(stream: ServerHttp2Stream, raw: readonly string[]): void {
    this.#open++;
    this.#hasAsked = true;
    this.#overhead.asked();
    let place: { leave(): void } | null = null;
    stream.on("error", ignored);
    stream.on("close", () => {
      place?.leave();
      if (--this.#open === 0) this.#idleSinceMs = this.#nowMs;
    });
    try {
      place = this.#answer(stream, raw);
    } catch (error) {
      this.#host.bug(error as Error);
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  /** @returns its place among those that are followed, to be left when it is over. */
  #answer(stream: ServerHttp2Stream, raw: readonly string[]): { leave(): void } | null {
    const { answerNow, limits } = this.#host;
    // Before a client has heard of bounds it knows none, and a byte can stand for a field of 4 KB: that is not read.
    let bytes = 0;
    for (const text of raw) bytes += text.length;
    if (bytes > 2 * limits.headBytesMax)
      return this.#refuse(stream, raw, 431, `the head is longer than ${limits.headBytesMax} bytes`);
    const isWhole = stream.endAfterHeaders;
    const request = requestText(raw, this.#client, isWhole);
    if ("malformed" in request) return this.#refuse(stream, raw, 400, request.malformed);
    const { method } = request;
    if (answerNow !== null && request.framing.kind === "none" && (method === "GET" || method === "HEAD")) {
      const head = requestHead(request.text, limits);
      // What the whole way would refuse is no hit either.
      const isShort = request.text.length <= limits.headBytesMax;
      const isFit = isShort && !isRefusal(head) && (head.plain || head.conditional);
      const answer = isFit ? answerNow(head, this.#client) : null;
      if (answer !== null) return this.#give(stream, answer);
    }
    return this.#pass(stream, request);
  }

  #give(stream: ServerHttp2Stream, { status, fields, content }: ReadyAnswer): { leave(): void } | null {
    // Its client has left as it came.
    if (stream.destroyed) return null;
    respond(stream, sayable(status), fields, { endStream: content.length === 0 });
    if (content.length > 0) stream.end(content);
    return this.#follow(stream);
  }

  /** Whoever does not take what it has been given is not waited for. */
  #follow(stream: ServerHttp2Stream): { leave(): void } {
    return this.#given.open({ stream, sinceMs: this.#nowMs });
  }

  #pass(stream: ServerHttp2Stream, request: RequestText): { leave(): void } {
    const lane = this.#lanes.pop() ?? this.#host.open(this.#client);
    const one = new GatewayStream(stream, request, lane, this);
    const place = this.#streams.open(one);
    if (request.framing.kind === "none") return place;
    stream.on("data", (bytes: Buffer) => this.#overhead.content(bytes.length));
    // Content within its window that nobody reads, or that is dropped when it has been answered, is no overhead.
    this.#overhead.unread(windowBytes);
    stream.once("close", () => this.#overhead.unread(windowBytes));
    return place;
  }

  /** RFC 9113 §8.1.1: with a status first, for whoever wants to know why. */
  #refuse(stream: ServerHttp2Stream, raw: readonly string[], status: 400 | 431, why: string): { leave(): void } {
    const text = Buffer.from(`${status} ${reasonPhrase(status)}: ${why}\n`, "latin1");
    this.#host.refused({ status, reason: why, line: lineOfFields(raw), bytes: text.length }, this.#client);
    stream.respond({ ":status": status, "content-type": "text/plain", "content-length": text.length });
    stream.end(text);
    stream.once("finish", () => stream.close(constants.NGHTTP2_PROTOCOL_ERROR));
    return this.#follow(stream);
  }

  #counted(what: "ping" | "settings"): void {
    if (this.#overhead.counted(what)) this.#calm();
  }

  /** Whoever makes work and no requests is told so, and left. RFC 9113 §7: ENHANCE_YOUR_CALM. */
  #calm(): void {
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#socket.destroy();
  }
}
