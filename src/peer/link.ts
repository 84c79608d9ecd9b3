/**
 * One connection to another member, from the side that dialled it: requests and calls go out, answers come back in any
 * order. States: dialling → proving → up → gone (docs/peer-protocol.md has the table). A link that is gone fails what
 * it carried at once and is not used again; whoever owns it dials a new one.
 */
import { PassingMap } from "../base/passing.ts";
import { jsonOf } from "../base/json.ts";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { errorText } from "../base/background.ts";
import { hostPortText, type HostPort } from "../base/host-port.ts";
import { FrameSocket } from "./frame-socket.ts";
import type { PeerRequest, PeerResponseHandler, PeerStream } from "./streams.ts";
import { OutgoingStream } from "./outgoing-stream.ts";
import { bindingOf, dialChannel, mustBeEncrypted, type PeerTls } from "./channel.ts";
import { uncertified, type PeerIdentity } from "./identity.ts";
import { Stillness } from "./stillness.ts";
import { cameToNothing, wantsTls } from "./wanted-tls.ts";
import {
  keeping,
  flagEnd,
  flagByKey,
  flagFailed,
  flagForward,
  flagLocal,
  flagPeek,
  flagPlain,
  flagSecure,
  flagStandIn,
  FrameType,
  handshakeBytesMax,
  PayloadReader,
  payloadBytesMax,
  protocolVersion,
  tracing,
  type Frame,
} from "./frames.ts";
import { nonceBytes, proof, sameProof, type Handshake, type Purpose } from "./handshake.ts";

export interface LinkOptions {
  readonly cluster: string;
  readonly secret: string;
  /** This side's name; a client that is no member calls itself `?`. */
  readonly self: string;
  readonly purpose: Purpose;
  /** The member expected at the address, or null where any of the cluster will do. */
  readonly expected: string | null;
  readonly address: HostPort;
  /** Whether it is encrypted; by default to other machines. */
  readonly tls?: PeerTls;
  /** By which members know each other beside the secret, or null. */
  readonly identity?: PeerIdentity | null;
  readonly connectMs?: number;
  /** Silence after which a ping goes out, and after which the link is given up. */
  readonly pingMs?: number;
  readonly silenceMs?: number;
  /** Silence after which whoever owes an answer is taken to stand still, at least. */
  readonly stillMs?: number | undefined;
}

export interface LinkEvents {
  up(member: string): void;
  /** Once, with the reason; everything carried has been failed before. */
  gone(reason: string): void;
  note(topic: string, value: unknown): void;
}

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

const askingFlags = { answer: 0, "stand-in": flagStandIn, peek: flagPeek, "by-key": flagByKey } as const;

/** How often a member that owes an answer is looked after, and after how many looks in vain no more. */
const lookMs = 20;
const idleLooksMax = 50;

/** A dialled connection to one member. */
export class Link {
  state: "dialling" | "proving" | "up" | "gone" = "dialling";
  /** The member at the other end, once it has proved itself. */
  member = "";
  /** Requests that it was handling when it last said so. */
  load = 0;
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #socket: Socket;
  readonly #frames: FrameSocket;
  readonly #streams = new PassingMap<number, OutgoingStream>();
  readonly #calls = new PassingMap<number, Call>();
  readonly #nonce = randomBytes(nonceBytes);
  readonly #hasShown: boolean;
  /** Links are not encrypted here; this one is in clear text, or the other side wants it encrypted. Null: they are. */
  readonly #free: "clear" | "encrypted" | null;
  /** The other side has ended it at the first word, or has said that it takes none in clear text. */
  #isUnheard = false;
  #handshake: Handshake | null = null;
  #nextStream = 1;
  /** Of the time that has been looked at: while this process was held up, nothing can have been heard. */
  #silentMs = 0;
  readonly #stillness: Stillness;
  #watch: NodeJS.Timeout | null = null;
  #idleLooks = 0;
  readonly #pinger: NodeJS.Timeout;
  readonly #proving: NodeJS.Timeout;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    const { address, tls = "auto", cluster, secret, identity = null } = options;
    const shown = identity?.showsTo(hostPortText(address)) === true ? identity.now : null;
    this.#hasShown = shown !== null;
    this.#stillness = new Stillness(lookMs, options.stillMs);
    this.#free = tls !== "off" ? null : wantsTls(address) ? "encrypted" : "clear";
    const how = { tls: this.#free === "encrypted" ? "on" : tls, cluster, secret, shown } as const;
    this.#socket = dialChannel(address, how, () => this.#hello());
    this.#frames = new FrameSocket(this.#socket, handshakeBytesMax, {
      take: (frame) => this.#take(frame),
      broken: (reason) => this.#go(reason),
    });
    this.#socket.on("error", (error) => this.#ended(errorText(error)));
    this.#socket.on("close", () => this.#ended("the connection was closed"));
    // In all, however it trickles: until it has proved itself the other side is a stranger.
    this.#proving = setTimeout(() => this.#go("no answer in time"), options.connectMs ?? 2000);
    const pingMs = options.pingMs ?? 400;
    const silenceMs = options.silenceMs ?? 1600;
    let lookedAt = performance.now();
    this.#pinger = setInterval(() => {
      const now = performance.now();
      this.#silentMs += Math.min(now - lookedAt, pingMs * 1.5);
      lookedAt = now;
      if (this.#silentMs > silenceMs && this.state === "up") this.#go(`silent for ${Math.round(this.#silentMs)} ms`);
      else if (this.#silentMs > pingMs / 2 && this.state === "up") this.#frames.bare(FrameType.ping, 0, 0);
    }, pingMs);
    this.#pinger.unref();
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Up, and not found to stand still. */
  get answers(): boolean {
    return this.state === "up" && !this.#stillness.isStill;
  }

  /** Sends a request; the handler hears its answer. The link must be up. */
  request(request: PeerRequest, handler: PeerResponseHandler): PeerStream {
    const stream = this.#nextStream++;
    const out = this.#frames.writer;
    let flags = flagEnd;
    if (request.local) flags |= flagLocal;
    if (request.secure) flags |= flagSecure;
    if (request.plain) flags |= flagPlain;
    if (request.forward) flags |= flagForward;
    flags |= askingFlags[request.asking];
    out.begin(FrameType.request, flags, stream);
    out.f64(request.epoch);
    out.u8(request.hops);
    out.u32(request.settings);
    out.text(request.method);
    out.text(request.uri);
    out.text(request.client);
    out.text(`${request.traced === true ? tracing : ""}${request.keeps ? keeping : ""}${request.heard}`);
    out.u32(request.content?.length ?? 0);
    if (request.content !== null) out.bytes(request.content);
    out.tail(request.fields.join("\n"));
    out.end();
    const outgoing = new OutgoingStream(stream, request.asking, handler, this);
    if (this.#streams.size === 0) this.#stillness.begins();
    this.#streams.set(stream, outgoing);
    this.#beginWatch();
    this.#frames.schedule();
    return outgoing;
  }

  /**
   * A question with one answer, both JSON. Rejects with the other side's message, when the link goes, or after
   * `limitMs`.
   */
  call(method: string, value: unknown, limitMs = 3000): Promise<unknown> {
    if (this.state !== "up") return Promise.reject(new Error("the link is not up"));
    const stream = this.#nextStream++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(stream);
        reject(new Error(`no answer to ${method} in ${limitMs} ms`));
      }, limitMs);
      this.#calls.set(stream, { resolve, reject, timer });
      const out = this.#frames.writer;
      out.begin(FrameType.call, 0, stream);
      out.text(method);
      out.end(Buffer.from(JSON.stringify(value ?? null)));
      this.#frames.schedule();
    });
  }

  close(): void {
    this.#go("closed here");
  }

  credit(stream: number, bytes: number): void {
    const out = this.#frames.writer;
    out.begin(FrameType.window, 0, stream);
    out.u32(bytes);
    out.end();
    this.#frames.schedule();
  }

  cancel(stream: number): void {
    if (this.#streams.delete(stream) && this.state === "up") this.#frames.bare(FrameType.reset, 0, stream);
  }

  #hello(): void {
    const out = this.#frames.writer;
    out.begin(FrameType.hello, 0, 0);
    out.u8(protocolVersion);
    out.text(this.#options.cluster);
    out.text(this.#options.self);
    out.text(this.#options.purpose);
    out.bytes(this.#nonce);
    out.end();
    this.state = "proving";
    this.#frames.schedule();
  }

  #take(frame: Frame): void {
    this.#silentMs = 0;
    if (this.state === "gone") return;
    this.#stillness.heard();
    if (this.state !== "up") this.#prove(frame);
    else if (frame.type === FrameType.reply) this.#replied(frame);
    else if (frame.type === FrameType.note) this.#noted(frame);
    else if (frame.type === FrameType.ping) this.#frames.bare(FrameType.pong, 0, 0);
    else if (frame.type === FrameType.pong) {
      this.#stillness.pong(performance.now());
      this.load = new PayloadReader(frame.payload).u32();
    } else if (frame.type === FrameType.goodbye) this.#go("the member is leaving");
    else this.#streams.get(frame.stream)?.take(frame);
    // Frames of types not known here are passed over: a newer member may send them.
  }

  #prove(frame: Frame): void {
    const reader = new PayloadReader(frame.payload);
    const farewell = frame.type === FrameType.goodbye ? reader.text() || "refused" : null;
    this.#isUnheard = farewell === mustBeEncrypted;
    if (frame.type === FrameType.challenge) {
      const acceptor = reader.text();
      const acceptorNonce = Buffer.from(reader.bytes(nonceBytes));
      const { cluster, self, secret, expected, purpose, identity } = this.#options;
      if (reader.broken) return this.#go("a broken challenge");
      if (expected !== null && acceptor !== expected) return this.#go(`expected member ${expected}, found ${acceptor}`);
      const lack = identity?.isRequired === true ? uncertified(this.#socket, acceptor) : null;
      if (lack !== null) return this.#go(`${acceptor}: ${lack}`);
      const binding = bindingOf(this.#socket);
      this.#handshake = { purpose, cluster, dialer: self, acceptor, dialerNonce: this.#nonce, acceptorNonce, binding };
      const out = this.#frames.writer;
      out.begin(FrameType.proof, 0, 0);
      out.bytes(proof(secret, "dialer", this.#handshake));
      out.end();
      this.#frames.schedule();
    } else if (frame.type === FrameType.welcome && this.#handshake !== null) {
      if (!sameProof(reader.rest(), proof(this.#options.secret, "acceptor", this.#handshake)))
        return this.#go("the member does not know the secret");
      this.member = this.#handshake.acceptor;
      this.state = "up";
      this.#frames.admit(payloadBytesMax);
      clearTimeout(this.#proving);
      this.#events.up(this.member);
    } else if (farewell !== null) this.#go(farewell);
    else this.#go("an unexpected frame before the handshake's end");
  }

  #replied(frame: Frame): void {
    const call = this.#calls.get(frame.stream);
    if (call === undefined) return;
    this.#calls.delete(frame.stream);
    clearTimeout(call.timer);
    const value = jsonOf(frame.payload.toString());
    if ((frame.flags & flagFailed) !== 0) call.reject(new Error(String(value)));
    else call.resolve(value);
  }

  #noted(frame: Frame): void {
    const reader = new PayloadReader(frame.payload);
    const topic = reader.text();
    if (!reader.broken) this.#events.note(topic, jsonOf(reader.rest().toString()));
  }

  /** While answers are owed: does the other side give any sign of life? */
  #beginWatch(): void {
    this.#idleLooks = 0;
    if (this.#watch !== null) return;
    this.#watch = setInterval(() => {
      if (this.#streams.size > 0) this.#idleLooks = 0;
      else if (++this.#idleLooks > idleLooksMax) return this.#endWatch();
      if (this.#streams.size === 0) return undefined;
      // Where this process itself was held up, what has come meanwhile is read before anybody is judged.
      setImmediate(() => this.#look());
      return undefined;
    }, lookMs);
    this.#watch.unref();
  }

  #endWatch(): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
  }

  #look(): void {
    if (this.state !== "up" || this.#streams.size === 0) return;
    const what = this.#stillness.look(performance.now());
    if (what === "ping") {
      this.#frames.bare(FrameType.ping, 0, 0);
      this.#frames.flush();
    }
    if (what !== "still") return;
    // Who has no answer yet goes elsewhere; one that a client has begun to get, or that nobody else has, is worth
    // waiting for, as long as the link is. It stays, and is used again as soon as it gives a sign.
    for (const [number, stream] of this.#streams.entries()) {
      if (!stream.isImpatient) continue;
      this.cancel(number);
      stream.failed("it stands still");
    }
  }

  /** Frees a stream whose answer has ended. */
  forget(stream: number): void {
    this.#streams.delete(stream);
  }

  #go(reason: string): void {
    if (this.state === "gone") return;
    if (this.state !== "up") this.#failed();
    this.state = "gone";
    clearInterval(this.#pinger);
    clearTimeout(this.#proving);
    this.#endWatch();
    this.#socket.destroy();
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(new Error(`the link to ${this.#options.expected ?? "the member"} went: ${reason}`));
    }
    this.#calls.clear();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.failed(reason);
    this.#events.gone(reason);
  }

  #ended(reason: string): void {
    this.#isUnheard ||= this.state === "proving" && this.#handshake === null;
    this.#go(reason);
  }

  /** No link has come of it: the next one may be dialled otherwise. */
  #failed(): void {
    const { identity, address } = this.#options;
    identity?.failed(hostPortText(address), this.#hasShown);
    if (this.#free === "encrypted" || (this.#free === "clear" && this.#isUnheard)) cameToNothing(address, this.#free);
  }
}
