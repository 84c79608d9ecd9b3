/**
 * A session with an ensemble, over whichever server can be reached.
 *
 * ```
 * connecting → connected ⇄ suspended → lost → connecting (the next generation);  closed from anywhere
 * ```
 * Suspended: the connection is gone, nothing is known, the session may live. Lost: the server says that it has expired,
 * or it has been out of reach for so long that it must have. Each session is one generation: what was asked or watched
 * in an older one never reaches a newer one.
 *
 * Invariants: answers come in the order of the requests, or the connection ends; a request whose answer was lost fails
 * as `maybeApplied`; nothing is ever sent twice.
 */
import type { ConnectionOptions } from "node:tls";
import { Connection } from "./connection.ts";
import { codeName, ZooKeeperError } from "./error.ts";
import { JuteError } from "./jute.ts";
import {
  authBody,
  helloFrame,
  notificationOf,
  op,
  replyOf,
  requestFrame,
  setWatchesBody,
  xid,
  type Hello,
} from "./protocol.ts";
import { Requests, type Question, type Request, type RequestOptions } from "./requests.ts";
import { Watches } from "./watches.ts";

export type SessionState = "connecting" | "connected" | "suspended" | "lost" | "closed";

export interface SessionOptions {
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  /** Null for plain connections. */
  readonly tls?: ConnectionOptions | null;
  /** The session time-out to ask for, in ms; the ensemble's answer counts. */
  readonly sessionMs: number;
  readonly auth?: readonly { readonly scheme: string; readonly credentials: string }[];
  /** Requests that may wait for a connection or an answer. */
  readonly requestsMax?: number;
  /** How long an operation may take when its caller does not say, in ms. */
  readonly operationMs?: number;
  readonly frameBytesMax?: number;
  readonly changed?: (state: SessionState, reason: string) => void;
  /** Each try that found no server, and why. */
  readonly unreachable?: (reason: string) => void;
}

/**
 * The part of the time-out for which an answer proves that the session lives: the rest is for clocks and scheduling.
 */
const leaseShare = 0.8;
const noPassword = Buffer.alloc(16);

/** A session and its successors, until `close`. */
export class Session {
  readonly watches: Watches = new Watches();
  readonly #options: SessionOptions;
  readonly #servers: { readonly host: string; readonly port: number }[];
  #state: SessionState = "connecting";
  #generation = 1;
  #id = 0n;
  #password: Buffer = noPassword;
  #lastZxid = 0n;
  #timeoutMs: number;
  #leaseUntilMs = 0;
  #heardMs = -Infinity;
  /** Servers that have refused a connection, one after the other. */
  #refusals = 0;
  #connection: Connection | null = null;
  /** Whether requests may go out on it. */
  #ready = false;
  #server = 0;
  #tries = 0;
  #nextXid = 1;
  readonly #requests: Requests;
  #helloSentMs = 0;
  #pingSentMs: number | null = null;
  #lastSendMs = 0;
  #lastReceiveMs = 0;
  #suspendedMs: number | null = null;
  #lossReason = "";
  #timer: NodeJS.Timeout | null = null;
  #timerDueMs = 0;
  #redial: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#timeoutMs = options.sessionMs;
    this.#requests = new Requests(options.requestsMax ?? 10_000);
    this.#servers = shuffled(options.servers);
    this.#dial();
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Counts sessions from 1: a result of an older generation means nothing in a newer one. */
  get generation(): number {
    return this.#generation;
  }

  get id(): bigint {
    return this.#id;
  }

  /** For a second connection to the same session, as tests make. */
  get password(): Buffer {
    return this.#password;
  }

  /** The negotiated session time-out, in ms. */
  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /**
   * Until when the session certainly has not expired, by the monotonic clock, in ms. In the past where nothing is
   * known.
   */
  get leaseUntilMs(): number {
    return this.#state === "connected" ? this.#leaseUntilMs : 0;
  }

  /**
   * As of when, by the monotonic clock, all that the ensemble had to say is known: what it has answered was asked then.
   * Also when every server has refused a connection: nobody is there to say anything.
   */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Which server it is connected to, for people. */
  get server(): string | null {
    const { host, port } = this.#servers[this.#server]!;
    return this.#ready ? `${host}:${port}` : null;
  }

  /** By the shorter of the two session times: the ensemble may give a longer one than others count on. */
  get #pingMs(): number {
    return Math.min(this.#timeoutMs, this.#options.sessionMs) / 3;
  }

  /** Ends the connection as a fault would; the session goes on. */
  dropConnection(reason: string): void {
    this.#connection?.destroy(reason);
  }

  /**
   * Sends a request, or keeps it until there is a connection. `read` turns the answer's body into the value; it runs in
   * the order of answers. @throws ZooKeeperError
   */
  async request<T>(question: Question<T>, { signal, limitMs }: RequestOptions = {}): Promise<T> {
    if (this.#state === "closed") throw new ZooKeeperError("CLOSED", "the client is closed", { path: question.path });
    const options = { signal, limitMs: limitMs ?? this.#options.operationMs ?? 10_000 };
    return this.#requests.ask(question, options, (request) => {
      if (this.#ready) this.#send(request);
      else this.#requests.waiting.push(request);
      if (this.#timer === null || request.deadlineMs < this.#timerDueMs) this.#schedule();
    });
  }

  /**
   * Ends the session at once: its ephemeral nodes go, its watchers elsewhere are told. Resolves when nothing is left
   * open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#state === "closed") return;
    if (this.#ready)
      await this.request(
        { type: op.closeSession, body: Buffer.alloc(0), path: null, read: () => null },
        { limitMs: 1000 },
      ).catch(() => null);
    const connection = this.#connection;
    this.#end("CLOSED", "the client was closed", "closed");
    await connection?.closed;
  }

  #end(code: string, why: string, state: "lost" | "closed"): void {
    this.#ready = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#redial !== null) clearTimeout(this.#redial);
    this.#timer = null;
    this.#redial = null;
    this.watches.clear();
    this.#leaseUntilMs = 0;
    this.#suspendedMs = null;
    const unanswered = [...this.#requests.sent.splice(0), ...this.#requests.waiting.splice(0)];
    const connection = this.#connection;
    this.#connection = null;
    connection?.destroy(why);
    this.#set(state, why);
    this.#requests.failAll(unanswered, code, why);
  }

  #lose(why: string): void {
    this.#end("SESSION_EXPIRED", why, "lost");
    // Whoever was told may have closed the client.
    if (this.#closing !== null) {
      this.#set("closed", why);
      return;
    }
    this.#generation++;
    this.#id = 0n;
    this.#password = noPassword;
    this.#lastZxid = 0n;
    this.#timeoutMs = this.#options.sessionMs;
    this.#tries = 0;
    this.#set("connecting", "");
    this.#dial();
  }

  #dial(): void {
    this.#redial = null;
    const { host, port } = this.#servers[this.#server]!;
    const hello = helloFrame(this.#lastZxid, this.#options.sessionMs, this.#id, this.#password);
    const connection = new Connection(
      {
        host,
        port,
        tls: this.#options.tls ?? null,
        openMs: Math.min(3000, Math.max(250, this.#options.sessionMs / this.#servers.length)),
        frameBytesMax: this.#options.frameBytesMax ?? 16 * 1024 * 1024,
      },
      hello,
      {
        open: (answer) => connection === this.#connection && this.#opened(answer),
        frame: (bytes) => {
          if (connection === this.#connection) this.#frame(bytes);
        },
        gone: (reason) => connection === this.#connection && this.#gone(reason),
      },
    );
    this.#helloSentMs = performance.now();
    this.#connection = connection;
    this.#schedule();
  }

  #opened(hello: Hello): void {
    if (hello.timeoutMs <= 0) {
      this.#lose("the ensemble has expired the session");
      return;
    }
    this.#id = hello.sessionId;
    this.#password = hello.password;
    this.#timeoutMs = hello.timeoutMs;
    // The hello counts from when it was dialed: it can only have reached the server later.
    this.#leaseUntilMs = this.#helloSentMs + leaseShare * this.#timeoutMs;
    this.#heardMs = Math.max(this.#heardMs, this.#helloSentMs);
    this.#suspendedMs = null;
    this.#tries = 0;
    this.#pingSentMs = null;
    this.#lastSendMs = this.#lastReceiveMs = performance.now();
    const connection = this.#connection!;
    connection.batch(() => {
      for (const { scheme, credentials } of this.#options.auth ?? [])
        connection.send(requestFrame(xid.auth, op.auth, authBody(scheme, credentials)));
      for (const piece of this.watches.rearmed()) {
        const { type, body } = setWatchesBody(this.#lastZxid, piece);
        connection.send(requestFrame(xid.setWatches, type, body));
      }
      this.#ready = true;
      for (const request of this.#requests.waiting.splice(0)) if (!request.done) this.#send(request);
    });
    this.#set("connected", "");
    this.#schedule();
  }

  #send(request: Request): void {
    request.xid = this.#nextXid;
    this.#nextXid = this.#nextXid === 0x7fff_ffff ? 1 : this.#nextXid + 1;
    request.sentMs = this.#lastSendMs = performance.now();
    this.#requests.sent.push(request);
    this.#connection!.send(requestFrame(request.xid, request.type, request.body));
  }

  #frame(bytes: Buffer): void {
    this.#lastReceiveMs = performance.now();
    const reply = replyOf(bytes);
    switch (reply.xid) {
      case xid.notification: {
        const event = notificationOf(reply.body);
        if (event !== null) for (const listener of this.watches.fire(event)) listener(event);
        return;
      }
      case xid.ping:
        if (this.#pingSentMs !== null) this.#lease(this.#pingSentMs);
        this.#pingSentMs = null;
        return;
      case xid.auth:
        if (reply.error !== 0) this.#end("AUTH_FAILED", "the ensemble refuses the credentials", "closed");
        return;
      case xid.setWatches:
        if (reply.error !== 0) throw new JuteError(`watches could not be armed again: ${codeName(reply.error)}`);
        return;
      default:
    }
    const request = this.#requests.sent[0];
    if (request === undefined || request.xid !== reply.xid)
      throw new JuteError(`an answer to ${reply.xid} where ${request?.xid ?? "none"} was due`);
    this.#requests.sent.shift();
    if (reply.zxid > 0n) this.#lastZxid = reply.zxid;
    this.#lease(request.sentMs);
    if (request.done) return;
    request.done = true;
    try {
      request.settle.resolve(request.read(reply.body, reply.error));
    } catch (error) {
      request.settle.reject(error as Error);
      if (error instanceof JuteError) throw error;
    }
  }

  #lease(sentMs: number): void {
    this.#leaseUntilMs = Math.max(this.#leaseUntilMs, sentMs + leaseShare * this.#timeoutMs);
    this.#heardMs = Math.max(this.#heardMs, sentMs);
  }

  #gone(reason: string): void {
    this.#connection = null;
    this.#ready = false;
    this.#lossReason = reason;
    this.#refusals = reason.includes("ECONNREFUSED") ? this.#refusals + 1 : 0;
    if (this.#refusals >= this.#servers.length) this.#heardMs = performance.now();
    // First the state, then the failures: whoever is told of one must not still act as before.
    if (this.#state === "connected") {
      this.#suspendedMs = performance.now();
      this.#set("suspended", reason);
    } else this.#options.unreachable?.(reason);
    this.#requests.failAll(this.#requests.sent.splice(0), "CONNECTION_LOSS", reason);
    if (this.#state === "closed" || this.#connection !== null) return;
    this.#server = (this.#server + 1) % this.#servers.length;
    const round = Math.floor(this.#tries++ / this.#servers.length);
    const wait = round === 0 ? 0 : Math.random() * Math.min(1000, 50 * 2 ** Math.min(round, 10));
    this.#redial = setTimeout(() => this.#dial(), wait);
    this.#schedule();
  }

  /** One timer for everything that time decides: ping, silence, deadlines, the local end of a suspension. */
  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#state === "closed") return;
    const due = [this.#requests.dueMs];
    if (this.#ready) {
      due.push(this.#lastReceiveMs + (2 * this.#timeoutMs) / 3);
      if (this.#pingSentMs === null) due.push(this.#lastSendMs + this.#pingMs);
    }
    if (this.#suspendedMs !== null) due.push(this.#suspendedMs + (4 * this.#timeoutMs) / 3 + 500);
    this.#timerDueMs = Math.min(...due);
    if (this.#timerDueMs === Infinity) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, Math.ceil(this.#timerDueMs - performance.now())));
  }

  #tick(): void {
    const now = performance.now();
    this.#requests.expire(now, `no answer in time${this.#ready ? "" : `: ${this.#lossReason}`}`);
    if (this.#suspendedMs !== null && now >= this.#suspendedMs + (4 * this.#timeoutMs) / 3 + 500) {
      this.#lose(`out of reach for longer than a session lives: ${this.#lossReason}`);
      return;
    }
    if (this.#ready && now >= this.#lastReceiveMs + (2 * this.#timeoutMs) / 3) {
      this.#connection!.destroy(`nothing heard for ${Math.round(now - this.#lastReceiveMs)} ms`);
      return;
    }
    if (this.#ready && this.#pingSentMs === null && now >= this.#lastSendMs + this.#pingMs) {
      this.#pingSentMs = this.#lastSendMs = now;
      this.#connection!.send(requestFrame(xid.ping, op.ping, Buffer.alloc(0)));
    }
    this.#schedule();
  }

  #set(state: SessionState, reason: string): void {
    this.#state = state;
    this.#options.changed?.(state, reason);
  }
}

/** In any order, so that the clients of an ensemble spread over its servers. */
function shuffled<T>(list: readonly T[]): T[] {
  const left = [...list];
  return Array.from({ length: left.length }, () => left.splice(Math.floor(Math.random() * left.length), 1)[0]!);
}
