/**
 * The peer port: accepts links, proves them, gives their requests to the data plane and their calls to whoever answers
 * calls. Until a link has proved itself nothing of it is believed, and it may send two small frames.
 */
import { randomBytes } from "node:crypto";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { HostPort } from "../base/host-port.ts";
import type { Exchange } from "../wire/exchange.ts";
import {
  flagFailed,
  handshakeBytesMax,
  payloadBytesMax,
  FrameReader,
  FrameType,
  FrameWriter,
  PayloadReader,
  protocolVersion,
  type Frame,
} from "./frames.ts";
import { nonceBytes, proof, sameProof, type Handshake, type Purpose } from "./handshake.ts";
import { jsonOf, writeAll } from "./link.ts";
import { PeerExchange } from "./peer-exchange.ts";

export interface AcceptorOptions {
  readonly listen: HostPort;
  readonly cluster: string;
  readonly secret: string;
  readonly self: string;
  readonly handle: (exchange: Exchange) => void;
  /** Answers a call, or rejects with a message for the caller. */
  readonly answer: (link: AcceptedLink, method: string, value: unknown) => Promise<unknown>;
  readonly refused?: (address: string, reason: string) => void;
  /** Requests that this member handles now: told with every answer, so that others spare a busy member. */
  readonly load: () => number;
  /** Whether links for this purpose are taken. */
  readonly serves: (purpose: Purpose) => boolean;
}

/** Links waiting for their proof. Beyond it the oldest goes: strangers who only wait must not keep a member out. */
const unprovenMax = 256;
const proofMs = 3000;
/** How long a refused link may take to close. */
const farewellMs = 1000;
/** Requests of one link under way at once. */
const streamsMax = 20_000;

/** The listening side of the peer link. */
export class PeerAcceptor {
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #links = new Set<AcceptedLink>();
  readonly #unproven = new Set<AcceptedLink>();
  readonly #sockets = new Set<Socket>();

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accepted(socket));
  }

  async listen(): Promise<HostPort> {
    const { host, port } = this.#options.listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const address = this.#server.address() as AddressInfo;
    return { host: address.address, port: address.port };
  }

  /** Proven links, those of members and of tools. */
  get links(): ReadonlySet<AcceptedLink> {
    return this.#links;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const link of this.#links) link.goodbye("the member is leaving");
    for (const link of this.#unproven) link.goodbye("the member is leaving");
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, farewellMs);
    await closed;
    clearTimeout(timer);
  }

  #accepted(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const link = new AcceptedLink(socket, this.#options, (proven) => {
      this.#unproven.delete(link);
      if (proven) this.#links.add(link);
    });
    this.#unproven.add(link);
    if (this.#unproven.size > unprovenMax)
      this.#unproven.values().next().value!.goodbye("too many links wait for their proof");
    link.whenGone(() => this.#links.delete(link));
  }
}

/** One link from the side that accepted it. */
export class AcceptedLink {
  /** The name that the other side gave and proved with the secret; `?` for a tool. */
  name = "";
  readonly #socket: Socket;
  readonly #options: AcceptorOptions;
  readonly #out = new FrameWriter();
  readonly #in = new FrameReader(handshakeBytesMax);
  readonly #exchanges = new Map<number, PeerExchange>();
  readonly #nonce = randomBytes(nonceBytes);
  readonly #gone: (() => void)[] = [];
  #state: "hello" | "proof" | "up" | "gone" = "hello";
  #handshake: Handshake | null = null;
  #flushing = false;
  #settled: ((proven: boolean) => void) | null;
  readonly #timer: NodeJS.Timeout;

  constructor(socket: Socket, options: AcceptorOptions, settled: (proven: boolean) => void) {
    this.#socket = socket;
    this.#options = options;
    this.#settled = settled;
    this.#timer = setTimeout(() => this.#refuse("no proof in time"), proofMs);
    socket.on("data", (bytes: Buffer) => {
      if (this.#state !== "gone" && !this.#in.feed(bytes, (frame) => this.#take(frame)))
        this.#refuse("a frame was too large");
    });
    socket.on("drain", () => {
      for (const exchange of this.#exchanges.values()) exchange.room();
    });
    socket.on("error", () => this.#go());
    socket.on("close", () => this.#go());
  }

  whenGone(listener: () => void): void {
    this.#gone.push(listener);
  }

  /** Tells something without being asked. */
  note(topic: string, value: unknown): void {
    if (this.#state !== "up") return;
    this.#out.begin(FrameType.note, 0, 0);
    this.#out.text(topic);
    this.#out.end(Buffer.from(JSON.stringify(value)));
    this.schedule();
  }

  goodbye(reason: string): void {
    if (this.#state === "gone") return;
    this.#out.begin(FrameType.goodbye, 0, 0);
    this.#out.text(reason);
    this.#out.end();
    writeAll(this.#socket, this.#out.take());
    this.#socket.end();
    this.#go();
  }

  get writer(): FrameWriter {
    return this.#out;
  }

  get load(): number {
    return this.#options.load();
  }

  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  schedule(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      if (this.#state !== "gone" && !this.#socket.destroyed) writeAll(this.#socket, this.#out.take());
    });
  }

  finished(stream: number): void {
    this.#exchanges.delete(stream);
  }

  #take(frame: Frame): void {
    switch (this.#state) {
      case "hello":
        return this.#greet(frame);
      case "proof":
        return this.#verify(frame);
      case "up":
        return this.#serve(frame);
      case "gone":
        return undefined;
    }
  }

  #greet(frame: Frame): void {
    const reader = new PayloadReader(frame.payload);
    const version = reader.u8();
    const cluster = reader.text();
    const dialer = reader.text();
    const purpose = reader.text() as Purpose;
    const dialerNonce = Buffer.from(reader.bytes(nonceBytes));
    if (frame.type !== FrameType.hello || reader.broken || dialer.length > 64) return this.#refuse("not a hello");
    if (version !== protocolVersion)
      return this.#refuse(`protocol version ${version}; this member speaks ${protocolVersion}`);
    if (cluster !== this.#options.cluster) return this.#refuse("it belongs to another cluster");
    const { self, serves } = this.#options;
    if (!serves(purpose))
      return this.#refuse(
        purpose === "coordinator" ? `${self} does not host the coordinator` : "a link for an unknown purpose",
      );
    this.#handshake = { purpose, cluster, dialer, acceptor: self, dialerNonce, acceptorNonce: this.#nonce };
    this.#state = "proof";
    this.#out.begin(FrameType.challenge, 0, 0);
    this.#out.text(self);
    this.#out.bytes(this.#nonce);
    this.#out.end();
    this.schedule();
  }

  #verify(frame: Frame): void {
    const { secret } = this.#options;
    if (frame.type !== FrameType.proof || !sameProof(frame.payload, proof(secret, "dialer", this.#handshake!))) {
      return this.#refuse("it does not know the secret");
    }
    clearTimeout(this.#timer);
    this.name = this.#handshake!.dialer;
    this.#state = "up";
    this.#in.payloadBytesMax = payloadBytesMax;
    this.#settled?.(true);
    this.#settled = null;
    this.#out.begin(FrameType.welcome, 0, 0);
    this.#out.bytes(proof(secret, "acceptor", this.#handshake!));
    this.#out.end();
    this.schedule();
  }

  #serve(frame: Frame): void {
    switch (frame.type) {
      case FrameType.request: {
        const exchange = PeerExchange.of(frame, this);
        if (exchange === null || this.#exchanges.size >= streamsMax) return this.#refuse("a broken request frame");
        this.#exchanges.set(frame.stream, exchange);
        this.#options.handle(exchange);
        break;
      }
      case FrameType.window:
        this.#exchanges.get(frame.stream)?.grant(new PayloadReader(frame.payload).u32());
        break;
      case FrameType.reset:
        this.#exchanges.get(frame.stream)?.askerLeft();
        this.#exchanges.delete(frame.stream);
        break;
      case FrameType.ping:
        this.#out.begin(FrameType.pong, 0, 0);
        this.#out.u32(this.load);
        this.#out.end();
        this.schedule();
        break;
      case FrameType.call:
        this.#answer(frame);
        break;
      default: // A type that only a newer member knows is passed over.
    }
  }

  #answer(frame: Frame): void {
    const reader = new PayloadReader(frame.payload);
    const method = reader.text();
    const value = jsonOf(reader.rest());
    const reply = (flags: number, result: unknown): void => {
      if (this.#state !== "up") return;
      this.#out.begin(FrameType.reply, flags, frame.stream);
      this.#out.end(Buffer.from(JSON.stringify(result ?? null)));
      this.schedule();
    };
    if (reader.broken) return this.#refuse("a broken call frame");
    this.#options.answer(this, method, value).then(
      (result) => reply(0, result),
      (error: Error) => reply(flagFailed, error.message),
    );
  }

  #refuse(reason: string): void {
    if (this.#state === "gone") return;
    this.#options.refused?.(this.#socket.remoteAddress ?? "?", reason);
    this.goodbye(reason);
  }

  #go(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    clearTimeout(this.#timer);
    this.#settled?.(false);
    this.#settled = null;
    if (!this.#socket.writableEnded) this.#socket.destroy();
    else setTimeout(() => this.#socket.destroy(), farewellMs).unref();
    for (const exchange of this.#exchanges.values()) exchange.askerLeft();
    this.#exchanges.clear();
    for (const listener of this.#gone) listener();
  }
}
