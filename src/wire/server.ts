/**
 * Listens for clients: plain or TLS, with or without a PROXY header before. Counts connections, sweeps deadlines once
 * in a while, drains. What a request means is the handler's affair.
 */
import { PassingSet } from "../base/passing.ts";
import { createServer, isIPv4, Socket, type Server } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { createServer as createTlsServer, TLSSocket, type Server as TlsServer } from "node:tls";
import type { HostPort } from "../base/host-port.ts";
import { listening, type Place } from "../base/listen.ts";
import { lookEvery } from "../base/look-every.ts";
import { whenClientHello } from "./client-hello.ts";
import type { ClientSocket } from "./client-socket.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { clientOf, OwnCount, type ConnectionCount } from "./connection-count.ts";
import type { Client, Exchange } from "./exchange.ts";
import { openLocalLane } from "./http2/local-lane.ts";
import type { OpenLane } from "./http2/lane.ts";
import { whenPreface } from "./http2/preface.ts";
import { Http2Connection, type AnswerNow, type SessionHost } from "./http2/session.ts";
import { wireLimits, type WireLimits } from "./limits.ts";
import { readProxyHeader } from "./proxy-protocol.ts";
import type { TlsIdentities } from "./tls-identities.ts";
import type { TurnedAwayFor } from "./turned-away.ts";
import type { Unread } from "./unread.ts";

/** A connection, as the server knows it. */
export interface Served {
  /** Ends it now if it waits for a request, else after the answer in progress. */
  drain(): void;
  /** Compares deadlines and rates. Milliseconds, monotonic. */
  sweep(now: number): void;
  /** Before it sweeps again: this process stood still for so long, which counts for no deadline and no rate. */
  heldUp(lostMs: number, now: number): void;
}

/** What becomes of an accepted connection; `closed` is to be called when it is over. */
export type Connect = (socket: ClientSocket, client: Client, closed: () => void) => Served;

export interface WireOptions {
  readonly limits?: Partial<WireLimits>;
  readonly tls?: TlsIdentities | null;
  /** Expect a PROXY protocol header (v1 or v2) on every connection: only behind a balancer that sends it. */
  readonly proxyProtocol?: boolean;
  /** What is said of all clients here. */
  readonly client?: Pick<Client, "role" | "redirect">;
  /** Whether this address may use the proxy at all. */
  readonly admits: (address: string) => boolean;
  /** Whether a client at this address is on this machine. */
  readonly isLocal: (address: string) => boolean;
  /** Whether HTTP/2 is spoken: over TLS by ALPN, else with prior knowledge. */
  readonly http2?: boolean;
  /** Where its requests are carried to; by default they are served here. */
  readonly openLane?: OpenLane;
  readonly answerNow?: AnswerNow | null;
  /** Told of the requests of connections that are served here. */
  readonly handle?: (exchange: Exchange) => void;
  /** In the place of serving them here. */
  readonly connect?: Connect;
  /** Counts connections; by default those of this server alone. */
  readonly count?: ConnectionCount;
  /** A request, or its content, cannot be read. */
  readonly refused?: (unread: Unread, client: Client) => void;
  /** A connection is closed before anything is read of a request. */
  readonly turnedAway?: (reason: TurnedAwayFor, address: string) => void;
  readonly bug?: (error: Error) => void;
}

const sweepMs = 500;
/** What a certificate authority speaks to see the proof of a name; RFC 8737 §4. */
const acmeProtocol = "acme-tls/1";
/** A client's address at a Unix socket: whoever may open it is on this machine. */
const unixAddress = "127.0.0.1";
/** How OpenSSL says that it has seen a request in clear text; of CONNECT it says so in words of its own. */
const clearTextCodes: ReadonlySet<string> = new Set(["ERR_SSL_HTTP_REQUEST", "ERR_SSL_HTTPS_PROXY_REQUEST"]);
/** What somebody is told who speaks HTTP where TLS is spoken. */
const clearText = "This port speaks TLS: write https:// in the place of http://.\n";
const clearTextAnswer = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${clearText.length}\r\nConnection: close\r\n\r\n${clearText}`;

/** A listening port for clients. */
export class WireServer {
  readonly #options: WireOptions;
  readonly #server: Server;
  #tlsServer: TlsServer | null = null;
  #isUnix = false;
  /** Who comes now has come too late. */
  #showsOut = false;
  readonly #host: ConnectionHost;
  readonly #connect: Connect;
  readonly #http2: SessionHost | null;
  readonly #count: ConnectionCount;
  readonly #connections = new PassingSet<Served>();
  readonly #raw = new PassingSet<ClientSocket>();
  #emptied: () => void = () => {};
  #sweeper: NodeJS.Timeout | null = null;

  constructor(options: WireOptions) {
    this.#options = options;
    this.#host = {
      limits: { ...wireLimits, ...options.limits },
      handle: options.handle ?? (() => {}),
      refused: options.refused ?? (() => {}),
      bug: options.bug ?? (() => {}),
      coarseNow: performance.now(),
      draining: false,
    };
    this.#count = options.count ?? new OwnCount();
    this.#connect = options.connect ?? ((socket, client, closed) => new Connection(socket, client, this.#host, closed));
    const openHere: OpenLane = (client) => openLocalLane(client, (socket, asker) => this.#serveClient(socket, asker));
    this.#http2 =
      options.http2 === true
        ? {
            limits: this.#host.limits,
            open: options.openLane ?? openHere,
            answerNow: options.answerNow ?? null,
            refused: this.#host.refused,
            bug: this.#host.bug,
          }
        : null;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accepted(socket));
    if (options.tls != null) this.#secure(options.tls);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Starts listening; `shared`: beside other threads. @returns the address taken. Rejects with the system's error where
   * the port is in use.
   */
  async listen(place: Place, how: "alone" | "shared" = "alone"): Promise<HostPort> {
    const address = await listening(this.#server, place, { backlog: 1024, reusePort: how === "shared" });
    // An inherited Unix socket has no address that Node would tell.
    this.#isUnix = typeof (this.#server.address() ?? "") === "string";
    this.#server.on("error", (error) => this.#host.bug(error));
    this.begin();
    return address;
  }

  /** Minds deadlines from now on. */
  begin(): void {
    this.#sweeper ??= lookEvery(
      sweepMs,
      () => this.#sweep(),
      (lostMs) => this.#heldUp(lostMs),
    );
  }

  /** Serves a connection whose client another thread has accepted, and counted. */
  take(socket: ClientSocket, client: Client): void {
    this.#keep(socket);
    this.#serveClient(socket, client);
  }

  /** Takes up changed certificates without dropping a connection. */
  updateTls(identities: TlsIdentities): void {
    this.#tlsServer?.setSecureContext(identities.defaultOptions);
  }

  /**
   * Stops accepting and lets answers in progress end, up to `limitMs`; then cuts what is left. @returns connections
   * cut.
   */
  async close(limitMs: number): Promise<number> {
    this.#host.draining = true;
    // Who has connected, or asked, and has not been looked at, would be told by a reset: it is answered yet.
    await lookedAt();
    this.#server.close();
    await lookedAt();
    this.#showsOut = true;
    for (const connection of this.#connections) connection.drain();
    // Who has not said a word is not waited for either, be it that of TLS, or of a balancer.
    for (const socket of this.#raw) if (socket instanceof Socket && socket.bytesRead === 0) socket.destroy();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<"limit">((resolve) => {
      timer = setTimeout(() => resolve("limit"), limitMs);
    });
    const closed = this.#raw.size === 0 ? Promise.resolve() : new Promise<void>((resolve) => (this.#emptied = resolve));
    const result = await Promise.race([closed, limit]);
    clearTimeout(timer);
    const cut = result === "limit" ? this.#raw.size : 0;
    for (const socket of this.#raw) socket.destroy();
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    await closed;
    return cut;
  }

  #secure(identities: TlsIdentities): void {
    const server = createTlsServer({
      ...identities.defaultOptions,
      SNICallback: (name, done) => done(null, identities.contextFor(name)),
      ALPNProtocols: this.#http2 === null ? ["http/1.1"] : ["h2", "http/1.1"],
      allowHalfOpen: true,
      handshakeTimeout: this.#host.limits.headMs,
    });
    server.on("secureConnection", (socket: TLSSocket) => {
      socket.allowHalfOpen = true;
      this.#serve(socket, addressOf(socket));
    });
    server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => this.#notAgreed(error, socket));
    this.#tlsServer = server;
  }

  /** A handshake has failed. Whoever only looks whether somebody listens is nobody to tell of. */
  #notAgreed({ code = "" }: NodeJS.ErrnoException, socket: TLSSocket): void {
    const inner = (socket as { _parent?: Socket })._parent;
    const address = (inner === undefined ? undefined : this.#addresses.get(inner)) ?? addressOf(socket);
    const isClearText = clearTextCodes.has(code);
    if (code.startsWith("ERR_")) this.#away(isClearText ? "clear-text" : "no-handshake", address);
    if (!isClearText || inner === undefined || inner.destroyed) return void socket.destroy();
    inner.write(clearTextAnswer, () => socket.destroy());
  }

  #away(reason: TurnedAwayFor, address: string): void {
    this.#options.turnedAway?.(reason, address);
  }

  #accepted(socket: Socket): void {
    const address = this.#isUnix ? unixAddress : addressOf(socket);
    // Reset before anybody has looked at it: nobody can say any more whose it was, and nobody is there to be told.
    if (address === "") return void socket.destroy();
    const { limits } = this.#host;
    const isAdmitted = this.#options.admits(address);
    const counted = clientOf(address);
    if (!isAdmitted || !this.#count.entered(counted, limits)) {
      this.#away(isAdmitted ? "too-many" : "not-allowed", address);
      socket.destroy();
      return;
    }
    this.#keep(socket);
    socket.once("close", () => this.#count.left(counted));
    if (this.#options.proxyProtocol !== true) this.#dispatch(socket, address);
    else
      readProxyHeader(socket, limits.headMs, (source) => {
        // "" is the balancer speaking for itself; a client that it names must be admitted like any other.
        const isAdmitted = source === "" || (source !== null && this.#options.admits(source));
        if (isAdmitted) return this.#dispatch(socket, source === "" ? address : source);
        if (source !== null) this.#away("not-allowed", source);
        else if (!socket.destroyed && !socket.readableEnded) this.#away("no-proxy-header", address);
        return void socket.destroy();
      });
  }

  #dispatch(socket: Socket, address: string): void {
    if (this.#tlsServer === null) this.#serve(socket, address);
    else {
      socket.on("error", () => socket.destroy());
      // Whoever ends before all is agreed wants nothing more; TLS takes this over from here (see secureConnection).
      socket.allowHalfOpen = false;
      this.#addresses.set(socket, address);
      if (this.#options.tls!.isProving) this.#dispatchProving(socket);
      else this.#tlsServer.emit("connection", socket);
    }
  }

  /** While an authority may ask: who it is shows in the first message alone, before a certificate is chosen. */
  #dispatchProving(socket: Socket): void {
    whenClientHello(socket, this.#host.limits.headMs, (hello) => {
      if (hello.kind === "late") {
        this.#away("no-handshake", this.#addresses.get(socket)!);
        return void socket.destroy();
      }
      const asksForProof =
        hello.kind === "hello" && hello.protocols.length === 1 && hello.protocols[0] === acmeProtocol;
      if (!asksForProof) return void this.#tlsServer!.emit("connection", socket);
      const secureContext = this.#options.tls!.proofOf(hello.serverName);
      if (secureContext === null) return void socket.destroy();
      const proving = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: [acmeProtocol] });
      // Nothing is said here but the certificate: whoever stays longer is shown out.
      const limit = setTimeout(() => socket.destroy(), this.#host.limits.headMs);
      socket.once("close", () => clearTimeout(limit));
      proving.on("secure", () => proving.end());
      proving.on("end", () => socket.destroy());
      proving.on("error", () => socket.destroy());
      proving.resume();
    });
  }

  /** The address that a PROXY header gave to a socket whose TLS handshake is under way. */
  readonly #addresses = new WeakMap<Socket, string>();

  #serve(socket: Socket | TLSSocket, address: string): void {
    const inner = (socket as { _parent?: Socket })._parent;
    const source = (inner === undefined ? undefined : this.#addresses.get(inner)) ?? address;
    // Behind a balancer on this machine, only what it says of a client counts: its own address tells nothing.
    const local =
      this.#options.isLocal(source) &&
      (this.#options.proxyProtocol !== true || source !== (this.#isUnix ? unixAddress : addressOf(socket)));
    const scheme = this.#tlsServer === null ? "http" : "https";
    const asked = (socket as { readonly servername?: unknown }).servername;
    const named = typeof asked === "string" && asked !== "" ? { serverName: asked } : {};
    const client: Client = { address: source, local, scheme, ...this.#options.client, ...named };
    if (this.#http2 === null) return this.#serveSocket(socket, client);
    if ("alpnProtocol" in socket)
      return socket.alpnProtocol === "h2" ? this.#serveHttp2(socket, client) : this.#serveSocket(socket, client);
    const undecided = this.#connections.open();
    undecided.value = whenPreface(socket, performance.now() + this.#host.limits.idleMs, (isHttp2) => {
      undecided.leave();
      if (isHttp2 === true) this.#serveHttp2(socket, client);
      else if (isHttp2 === false) this.#serveSocket(socket, client);
    });
    return undefined;
  }

  #serveHttp2(socket: Socket, client: Client): void {
    if (this.#showsOut) return void socket.destroy();
    const place = this.#connections.open();
    const http2 = { ...client, http2: true } as const;
    place.value = new Http2Connection(socket, http2, this.#http2!, performance.now(), () => place.leave());
  }

  #serveSocket(socket: Socket, client: Client): void {
    const served = this.#serveClient(socket, client);
    // Agreed on while others are served their last: what has been said with it is answered.
    if (this.#showsOut) setImmediate(() => served.drain());
  }

  #serveClient(socket: ClientSocket, client: Client): Served {
    const place = this.#connections.open();
    const served = this.#connect(socket, client, () => place.leave());
    place.value = served;
    return served;
  }

  #keep(socket: ClientSocket): void {
    const place = this.#raw.open(socket);
    socket.once("close", () => {
      place.leave();
      if (this.#raw.size === 0) this.#emptied();
    });
  }

  #sweep(): void {
    const now = performance.now();
    this.#host.coarseNow = now;
    for (const connection of this.#connections) connection.sweep(now);
  }

  /** What is set from now on begins now, and not when it was looked last. */
  #heldUp(lostMs: number): void {
    const now = performance.now();
    this.#host.coarseNow = now;
    for (const connection of this.#connections) connection.heldUp(lostMs, now);
  }
}

/** Resolves when the sockets have been looked at for what has come. */
async function lookedAt(): Promise<void> {
  // The first turn may be this one's.
  await turn();
  await turn();
}

/** The remote address, an IPv4 one mapped into IPv6 given as IPv4; "" where the other side has gone. */
function addressOf(socket: Socket): string {
  const address = socket.remoteAddress ?? "";
  const mapped = address.startsWith("::ffff:") ? address.slice(7) : "";
  return isIPv4(mapped) ? mapped : address;
}

/** What to say of a port that could not be taken. */
export function listenFailure(error: NodeJS.ErrnoException, what: string, place: string): string {
  if (error.code === "EADDRINUSE" && place.startsWith("unix:"))
    return `${what} cannot listen on ${place}: somebody listens there already.`;
  if (error.code === "EADDRINUSE")
    return `${what} cannot listen on ${place}: the port is in use. Choose another, or 0 for a free one.`;
  if (error.code === "EACCES")
    return `${what} cannot listen on ${place}: the port needs privileges that this user does not have.`;
  if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
    return `${what} cannot listen on ${place}: this machine has no such address.`;
  return `${what} cannot listen on ${place}: ${error.message}`;
}
