/**
 * The peer port: accepts links, proves them, gives their requests to the data plane and their calls to whoever answers
 * calls. Until a link has proved itself nothing of it is believed, and it may send two small frames.
 */
import { PassingMap } from "../base/passing.ts";
import { jsonOf } from "../base/json.ts";
import { randomBytes } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { asError, background } from "../base/background.ts";
import type { HostPort } from "../base/host-port.ts";
import { listening } from "../base/listen.ts";
import { Waiters } from "../base/waiters.ts";
import {
  flagFailed,
  handshakeBytesMax,
  payloadBytesMax,
  FrameType,
  PayloadReader,
  protocolVersion,
  type Frame,
} from "./frames.ts";
import { bindingOf, ChannelAcceptor, type ChannelOptions } from "./channel.ts";
import { uncertified } from "./identity.ts";
import { nonceBytes, proof, sameProof, type Handshake, type Purpose } from "./handshake.ts";
import { FrameSocket } from "./frame-socket.ts";
import { PeerExchange, type AnswerLink } from "./peer-exchange.ts";
import type { FrameWriter } from "./frames.ts";

export interface AcceptorOptions extends ChannelOptions {
  readonly listen: HostPort;
  readonly self: string;
  /** Answers a forwarded request. What it throws is a bug: it is reported, and ends that request alone. */
  readonly handle: (exchange: PeerExchange) => void;
  readonly bug: (error: Error) => void;
  /** Answers a call, or rejects with a message for the caller. */
  readonly answer: (link: AcceptedLink, method: string, value: unknown) => Promise<unknown>;
  readonly refused?: (address: string, reason: string) => void;
  /** A link has proved itself. */
  readonly linked?: () => void;
  /** Requests that this member handles now: told with every answer, so that others spare a busy member. */
  readonly load: () => number;
  /** Whether links for this purpose are taken. */
  readonly serves: (purpose: Purpose) => boolean;
  /** What tools may call where members have certificates, and tools have none. */
  readonly toolMethods: ReadonlySet<string>;
}

/** Links waiting for their proof. Beyond it the oldest goes: strangers who only wait must not keep a member out. */
const unprovenMax = 256;
const proofMs = 3000;
/** How long a refused link may take to close. */
const farewellMs = 1000;
/** Requests of one link under way at once. */
const streamsMax = 20_000;

/** Whoever has not shown yet that it knows the secret. */
interface Unproven {
  goodbye(reason: string): void;
}

/** The listening side of the peer link. */
export class PeerAcceptor {
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #channels: ChannelAcceptor;
  readonly #links = new Set<AcceptedLink>();
  readonly #unproven = new Set<Unproven>();
  readonly #sockets = new Set<Socket>();
  readonly #quiet = new Waiters();

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#channels = new ChannelAcceptor(options);
    this.#server = createServer({ noDelay: true }, (socket) => this.#accepted(socket));
  }

  listen(): Promise<HostPort> {
    return listening(this.#server, this.#options.listen);
  }

  /** Whether a member has a link to this one. */
  hasLinkFrom(name: string): boolean {
    for (const link of this.#links) if (link.name === name && link.isMember) return true;
    return false;
  }

  /** Proven links, those of members and of tools. */
  get links(): ReadonlySet<AcceptedLink> {
    return this.#links;
  }

  /** Resolves when no request of another member is under way here, or after `limitMs`. @returns how many still are. */
  async idle(limitMs: number): Promise<number> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const left = deadline - performance.now();
      const open = this.#streams();
      if (open === 0 || left <= 0) return open;
      await this.#quiet.wait(left);
    }
  }

  #streams(): number {
    let count = 0;
    for (const link of this.#links) count += link.streams;
    return count;
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
    socket.on("error", () => socket.destroy());
    const stranger: Unproven = { goodbye: () => void socket.destroy() };
    const timer = setTimeout(() => socket.destroy(), proofMs);
    const known = (): void => {
      clearTimeout(timer);
      this.#unproven.delete(stranger);
    };
    socket.once("close", known);
    this.#waits(stranger);
    const refused = (reason: string): void => {
      known();
      if (!socket.destroyed) this.#options.refused?.(socket.remoteAddress ?? "?", reason);
      socket.destroySoon();
    };
    const ready = (channel: Socket): void => {
      known();
      this.#begin(channel);
    };
    this.#channels.accept(socket, ready, refused);
  }

  #waits(link: Unproven): void {
    this.#unproven.add(link);
    if (this.#unproven.size > unprovenMax)
      this.#unproven.values().next().value!.goodbye("too many links wait for their proof");
  }

  #begin(socket: Socket): void {
    const settled = (proven: boolean): void => {
      this.#unproven.delete(link);
      if (!proven) return;
      this.#links.add(link);
      this.#options.linked?.();
    };
    const link = new AcceptedLink(socket, this.#options, settled, () => this.#quiet.wake());
    this.#waits(link);
    link.whenGone(() => {
      this.#links.delete(link);
      this.#quiet.wake();
    });
  }
}

/** One link from the side that accepted it. */
export class AcceptedLink implements AnswerLink {
  /** The name that the other side gave and proved with the secret; `?` for a tool. */
  name = "";
  readonly #socket: Socket;
  readonly #options: AcceptorOptions;
  readonly #frames: FrameSocket;
  /** The last request under way on this link has ended. */
  readonly #quiet: () => void;
  readonly #exchanges = new PassingMap<number, PeerExchange>();
  readonly #nonce = randomBytes(nonceBytes);
  readonly #gone: (() => void)[] = [];
  #state: "hello" | "proof" | "up" | "gone" = "hello";
  #handshake: Handshake | null = null;
  #settled: ((proven: boolean) => void) | null;
  readonly #timer: NodeJS.Timeout;

  constructor(socket: Socket, options: AcceptorOptions, settled: (proven: boolean) => void, quiet: () => void) {
    this.#quiet = quiet;
    this.#socket = socket;
    this.#options = options;
    this.#settled = settled;
    this.#timer = setTimeout(() => this.#refuse("no proof in time"), proofMs);
    this.#frames = new FrameSocket(socket, handshakeBytesMax, {
      take: (frame) => this.#take(frame),
      broken: (reason) => this.#refuse(reason),
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
    this.#frames.writer.begin(FrameType.note, 0, 0);
    this.#frames.writer.text(topic);
    this.#frames.writer.end(Buffer.from(JSON.stringify(value)));
    this.schedule();
  }

  goodbye(reason: string): void {
    if (this.#state === "gone") return;
    this.#frames.writer.begin(FrameType.goodbye, 0, 0);
    this.#frames.writer.text(reason);
    this.#frames.writer.end();
    this.#frames.flush();
    this.#socket.end();
    this.#go();
  }

  get writer(): FrameWriter {
    return this.#frames.writer;
  }

  get load(): number {
    return this.#options.load();
  }

  get congested(): boolean {
    return this.#frames.congested;
  }

  schedule(): void {
    this.#frames.schedule();
  }

  /** Requests of the other member that are being answered. */
  get streams(): number {
    return this.#exchanges.size;
  }

  finished(stream: number): void {
    if (this.#exchanges.delete(stream) && this.#exchanges.size === 0) this.#quiet();
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
    const lack = this.#isBare(purpose) ? null : this.#lack(dialer);
    if (lack !== null) return this.#refuse(`${dialer}: ${lack}`);
    this.#handshake = {
      purpose,
      cluster,
      dialer,
      acceptor: self,
      dialerNonce,
      acceptorNonce: this.#nonce,
      binding: bindingOf(this.#socket),
    };
    this.#state = "proof";
    this.#frames.writer.begin(FrameType.challenge, 0, 0);
    this.#frames.writer.text(self);
    this.#frames.writer.bytes(this.#nonce);
    this.#frames.writer.end();
    this.schedule();
  }

  get isMember(): boolean {
    return this.#handshake?.purpose === "member";
  }

  /** A tool's, where only members have certificates. */
  #isBare(purpose: Purpose | undefined = this.#handshake?.purpose): boolean {
    return purpose === "tool" && this.#options.identity?.isRequired === true;
  }

  #lack(dialer: string): string | null {
    return this.#options.identity?.isRequired === true ? uncertified(this.#socket, dialer) : null;
  }

  #verify(frame: Frame): void {
    const handshake = this.#handshake!;
    const secret = this.#options.secrets.find((one) => sameProof(frame.payload, proof(one, "dialer", handshake)));
    if (frame.type !== FrameType.proof || secret === undefined) return this.#refuse("it does not know the secret");
    clearTimeout(this.#timer);
    this.name = handshake.dialer;
    this.#state = "up";
    this.#frames.admit(payloadBytesMax);
    this.#settled?.(true);
    this.#settled = null;
    this.#frames.writer.begin(FrameType.welcome, 0, 0);
    this.#frames.writer.bytes(proof(secret, "acceptor", handshake));
    this.#frames.writer.end();
    this.schedule();
  }

  #serve(frame: Frame): void {
    switch (frame.type) {
      case FrameType.request: {
        if (this.#isBare()) return this.#refuse("a request of a tool without a certificate");
        const exchange = PeerExchange.of(frame, this);
        if (exchange === null || this.#exchanges.size >= streamsMax) return this.#refuse("a broken request frame");
        this.#exchanges.set(frame.stream, exchange);
        try {
          this.#options.handle(exchange);
        } catch (error) {
          this.#options.bug(asError(error));
          exchange.abort();
        }
        break;
      }
      case FrameType.window:
        this.#exchanges.get(frame.stream)?.grant(new PayloadReader(frame.payload).u32());
        break;
      case FrameType.reset:
        this.#exchanges.get(frame.stream)?.askerLeft();
        this.finished(frame.stream);
        break;
      case FrameType.ping:
        this.#frames.writer.begin(FrameType.pong, 0, 0);
        this.#frames.writer.u32(this.load);
        this.#frames.writer.end();
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
    const value = jsonOf(reader.rest().toString());
    const reply = (flags: number, result: unknown): void => {
      if (this.#state !== "up") return;
      this.#frames.writer.begin(FrameType.reply, flags, frame.stream);
      this.#frames.writer.end(Buffer.from(JSON.stringify(result ?? null)));
      this.schedule();
    };
    if (reader.broken) return this.#refuse("a broken call frame");
    if (this.#isBare() && !this.#options.toolMethods.has(method))
      return reply(flagFailed, `${method} is for members, which have certificates here`);
    background(
      this.#options.answer(this, method, value).then(
        (result) => reply(0, result),
        (error: unknown) => reply(flagFailed, asError(error).message),
      ),
      this.#options.bug,
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
