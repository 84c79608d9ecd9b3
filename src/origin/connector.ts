/**
 * Connections to origins. Names are resolved here, every address is judged before it is connected to, and the address
 * of the finished connection is judged once more: a name that changes its mind between two look-ups gains nothing.
 */
import type { Reading } from "./reading.ts";
import type { LookupAddress } from "node:dns";
import { connect as netConnect, isIP, type NetConnectOpts, type Socket } from "node:net";
import {
  checkServerIdentity,
  connect as tlsConnect,
  createSecureContext,
  rootCertificates,
  type ConnectionOptions as TlsOptions,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { destinationClass, type Networks } from "./destinations.ts";
import { OriginError, refusedDestination } from "./origin-error.ts";
import type { Place } from "./place.ts";
import { namesBy } from "./names.ts";
import { inTurn, race } from "./race.ts";

export interface ConnectPolicy {
  /** May reach loopback and private addresses. */
  readonly inner: boolean;
  /** Networks that may be reached in any case, the forbidden ones excepted. */
  readonly allowed: Networks | null;
  /** The operator named this origin: nothing is denied. */
  readonly configured: boolean;
  /**
   * Whether an address is one of this machine's own: what listens on it may count on strangers not coming from here.
   */
  readonly own?: ((address: string) => boolean) | undefined;
}

export interface ConnectOptions {
  readonly connectMs: number;
  /** Extra trusted certificates, PEM; beside the usual authorities. */
  readonly ca?: string | undefined;
  readonly verifyTls: boolean;
  /** The name for SNI and the certificate check, where it is not the origin's own. */
  readonly tlsName?: string | undefined;
  /** For origins that ask for one, PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
  /** A DNS server, `address:port`, instead of the system's resolver. */
  readonly resolver?: string | undefined;
}

/** Why an address may not be connected to under a policy, or null where it may. */
export function refusal(address: string, policy: ConnectPolicy): string | null {
  if (policy.configured) return null;
  const kind = kindOf(address, policy);
  if (kind === "forbidden") return "link-local, metadata and unroutable addresses are always denied";
  if (kind === "public" || policy.inner || policy.allowed?.has(address) === true) return null;
  return "loopback and private addresses are open only to clients on this machine (--allow-destination opens them)";
}

function kindOf(address: string, { own }: ConnectPolicy): ReturnType<typeof destinationClass> {
  const kind = destinationClass(address);
  return kind === "public" && own?.(address) === true ? "inner" : kind;
}

/** A connection that is being made. */
export interface Dialling {
  /** Nobody waits for it any more. */
  cancel(): void;
}

/** What becomes of a dialling: a socket, and whether its address lies inside, or an error. */
export type Dialled = (error: Error | null, socket: Socket | null, inside: boolean) => void;

/** What is the same for all connections under one policy. */
export interface DialContext {
  readonly policy: ConnectPolicy;
  readonly options: ConnectOptions;
  /** Made once, when it is needed: reading a hundred certificates is dear. */
  readonly secureContext: () => SecureContext;
  /** TLS sessions to resume, by origin. */
  readonly sessions: Map<string, Buffer>;
}

const sessionsMax = 1000;

/** A context for connections under a policy. */
export function dialContext(policy: ConnectPolicy, options: ConnectOptions): DialContext {
  const make = (): SecureContext =>
    createSecureContext({
      ...(options.ca === undefined ? {} : { ca: [...rootCertificates, options.ca] }),
      ...(options.certificate === undefined ? {} : options.certificate),
    });
  let made: SecureContext | null = null;
  return { policy, options, secureContext: () => (made ??= make()), sessions: new Map() };
}

/**
 * Connects to an origin, TLS included. All addresses of a name are tried (RFC 8305). `done` is called once, never
 * within this call: with a socket, and whether its address lies inside, or with an error, whatever it is. `reading` is
 * given what comes; null for a socket that is read as a stream.
 */
export function dial(place: Place, context: DialContext, reading: Reading | null, done: Dialled): Dialling {
  const { policy, options } = context;
  const name = bare(place.host);
  const { path, port, secure } = place;
  let isOver = false;
  let socket: Socket | null = null;
  let racing: Dialling | null = null;
  /** While the name is being looked up. */
  let stopFinding: (() => void) | null = null;
  const end = (): void => {
    isOver = true;
    clearTimeout(timer);
    stopFinding?.();
    racing?.cancel();
  };
  const settle = (error: Error | null): void => {
    if (isOver) return;
    end();
    socket?.off("error", settle);
    if (error === null)
      return done(null, socket, path === undefined && kindOf(socket!.remoteAddress ?? "", policy) !== "public");
    if (socket !== null) drop(socket);
    return done(error, null, false);
  };
  const tooLate = (): OriginError =>
    stopFinding === null
      ? new OriginError("connect", "ETIMEDOUT", `${name}:${port} did not accept a connection in time`, 504, true)
      : new OriginError("resolve", "ETIMEDOUT", `the name of ${name}:${port} could not be resolved in time`, 504, true);
  const timer = setTimeout(() => settle(tooLate()), options.connectMs);
  const ready = (): void => settle(path === undefined ? deniedPeer(socket!, policy) : null);
  const connected = (error: Error | null, first: Socket | null): void => {
    if (first === null) return settle(error);
    socket = first;
    socket.once("error", settle);
    if (!secure) return ready();
    socket.once("secureConnect", ready);
    return undefined;
  };
  const onread = reading === null ? { allowHalfOpen: true } : { onread: reading.onread };
  const connect = (to: object): Socket => {
    const how: object = { ...to, ...onread };
    return (secure ? secured(place, context, how) : netConnect(how as NetConnectOpts)).setNoDelay(true);
  };
  const start = (targets: readonly object[]): void => void (racing = race(targets, connect, connected));
  const refused = refusedPlace(place, policy);
  if (refused !== null) process.nextTick(settle, refused);
  else if (path !== undefined) start([{ path }]);
  else if (!isName(name))
    process.nextTick(settle, Object.assign(new Error(`${name} is no name`), { code: "EBADNAME" }));
  else if (isIP(name) !== 0) start([{ host: name, port }]);
  else
    stopFinding = namesBy(options.resolver).find(name, (error, found) => {
      stopFinding = null;
      if (error !== null) return settle(error);
      try {
        return start(inTurn(admitted(name, policy, found)).map(({ address }) => ({ host: address, port })));
      } catch (refusal) {
        return settle(refusal as Error);
      }
    });
  return {
    cancel: () => {
      if (isOver) return;
      end();
      if (socket !== null) drop(socket);
    },
  };
}

/** Its last word must not be an event without a listener. */
function drop(socket: Socket): void {
  socket.on("error", () => {});
  socket.destroy();
}

/**
 * TLS with an origin, over a connection that is to be made, or one that there is. @throws Error where OpenSSL does not
 * take the certificates that are given for it.
 */
export function secured(place: Place, { options, secureContext, sessions }: DialContext, over: object): TLSSocket {
  const name = bare(place.host);
  const key = `${name}:${place.port}`;
  const session = sessions.get(key);
  const socket = tlsConnect({
    ...over,
    // An address has no name to be asked by: the client's Host is none of the origin's.
    servername: options.tlsName ?? (isIP(name) === 0 ? name : ""),
    secureContext: secureContext(),
    rejectUnauthorized: options.verifyTls,
    ALPNProtocols: ["http/1.1"],
    ...(session === undefined ? {} : { session }),
    checkServerIdentity: (_: string, certificate: PeerCertificate) =>
      checkServerIdentity(options.tlsName ?? name, certificate),
  } as TlsOptions);
  socket.on("session", (ticket: Buffer) => {
    if (sessions.size >= sessionsMax) sessions.delete(sessions.keys().next().value!);
    sessions.set(key, ticket);
  });
  return socket;
}

/** Resolvers are asked for names only; what a URL could not hold is none. */
function isName(name: string): boolean {
  return URL.canParse(`http://${isIP(name) === 6 ? `[${name}]` : name}/`);
}

/** The refusal of a place that is given by a literal address, or null. */
export function refusedPlace(place: Place, policy: ConnectPolicy): OriginError | null {
  const name = bare(place.host);
  const why = isIP(name) === 0 || place.path !== undefined ? null : refusal(name, policy);
  return why === null ? null : refusedDestination(name, name, why);
}

function deniedPeer(socket: Socket, policy: ConnectPolicy): OriginError | null {
  const address = socket.remoteAddress ?? "";
  const why = refusal(address, policy);
  return why === null ? null : refusedDestination(address, address, why);
}

/** Those of a name's addresses that the policy admits. @throws OriginError where there are none. */
function admitted(name: string, policy: ConnectPolicy, found: readonly LookupAddress[]): readonly LookupAddress[] {
  const left = found.filter(({ address }) => refusal(address, policy) === null);
  if (left.length > 0) return left;
  const address = found[0]?.address ?? "no address";
  throw refusedDestination(name, address, refusal(address, policy) ?? "it has no address");
}

function bare(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}
