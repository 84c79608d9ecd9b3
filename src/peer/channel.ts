/**
 * The channel that a link runs in: TLS 1.3 with a key that both ends have from the cluster's secret (RFC 8446 §4.2.11),
 * no certificates to hand around; in clear between processes of one machine. Who listens tells the two apart by the
 * first byte.
 */
import { createHmac, scryptSync, timingSafeEqual } from "node:crypto";
import { connect as connectPlain, type Socket } from "node:net";
import {
  connect as connectTls,
  createServer as createTlsServer,
  TLSSocket,
  type SecureContextOptions,
  type Server as TlsServer,
} from "node:tls";
import { isLoopbackHost, type HostPort } from "../base/host-port.ts";
import { FrameType, FrameWriter } from "./frames.ts";
import type { PeerCertificates, PeerIdentity } from "./identity.ts";

/** Where links are encrypted: to other machines, everywhere, nowhere. */
export type PeerTls = "auto" | "on" | "off";

/** A secret is guessed no faster than so: 2 ** 15 · 8 · 128 bytes are filled for each try. */
const stretch = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 2 ** 20 } as const;
const keyBytes = 32;
/** Of the suites of TLS 1.3, keys given by callback work with this one alone (tried). */
const common: SecureContextOptions & { readonly ciphers: string } = {
  ciphers: "TLS_AES_128_GCM_SHA256",
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
};
/** The first byte of a TLS record that begins a handshake; that of a frame is the upper one of a small length. */
const handshakeByte = 0x16;
/** Said to who speaks in clear text where that is not taken. */
export const mustBeEncrypted = "links from other machines are encrypted (peer-tls)";
const bindingBytes = 32;
const bindingLabel = "EXPORTER-gyre-peer-link";

interface Key {
  /** Which key it is, for whoever has several; tells nothing of it. */
  readonly identity: string;
  readonly psk: Buffer;
}

const keys = new Map<string, Key>();

/** The key of a cluster's secret. Takes some 50 ms the first time. */
export function keyOf(cluster: string, secret: string): Key {
  const name = `${cluster.length}:${cluster}${secret}`;
  const known = keys.get(name);
  if (known !== undefined) return known;
  const psk = scryptSync(secret, `gyre peer link tls 1 ${cluster}`, keyBytes, stretch);
  const identity = `gyre-${createHmac("sha256", psk).update("identity").digest("hex").slice(0, 16)}`;
  const key = { identity, psk };
  keys.set(name, key);
  return key;
}

/** What a proof over a channel is bound to: nothing in clear. RFC 9266 has the idea. */
export function bindingOf(socket: Socket): Buffer {
  if (!(socket instanceof TLSSocket)) return Buffer.alloc(0);
  return socket.exportKeyingMaterial(bindingBytes, bindingLabel, Buffer.alloc(0));
}

/** Whether a link to an address is encrypted. */
export function isEncrypted(tls: PeerTls, { host }: HostPort): boolean {
  return tls === "on" || (tls === "auto" && !isLoopbackHost(host));
}

/** What a dialling side needs. */
export interface DialOptions {
  readonly tls: PeerTls;
  readonly cluster: string;
  readonly secret: string;
  /** Certificates to show, and to judge the other side's by; null: the secret alone. */
  readonly shown?: PeerCertificates | null;
}

/** Dials; `ready` is called when bytes can go. */
export function dialChannel(
  address: HostPort,
  { tls, cluster, secret, shown = null }: DialOptions,
  ready: () => void,
): Socket {
  const { host, port } = address;
  if (shown === null && !isEncrypted(tls, address)) return connectPlain({ host, port, noDelay: true }, ready);
  // Whose name it must have is known when the other side has said it.
  const how =
    shown === null
      ? { pskCallback: () => keyOf(cluster, secret), rejectUnauthorized: false }
      : { ...shown, rejectUnauthorized: true };
  const socket = connectTls({ ...common, ...how, host, port, checkServerIdentity: () => undefined }, () => {
    // Who answers with a certificate, whoever has signed it, does not know the secret.
    if (shown === null && Object.keys(socket.getPeerCertificate()).length > 0)
      socket.destroy(new Error("it does not know the secret"));
    else ready();
  });
  if (shown === null) socket.prependListener("error", namedForOperators);
  socket.setNoDelay(true);
  return socket;
}

/** Who does not know a key has no other to offer: OpenSSL calls that a handshake failure. */
function namedForOperators(error: Error & { readonly code?: string }): void {
  if (!(error.code ?? "").includes("ALERT_HANDSHAKE_FAILURE")) return;
  error.message = "it does not know the secret, or belongs to another cluster";
}

/** What a listening side needs. */
export interface ChannelOptions {
  readonly tls: PeerTls;
  readonly cluster: string;
  /** All that are taken, the newest first. */
  readonly secrets: readonly string[];
  /** Null: by the secret alone. */
  readonly identity?: PeerIdentity | null;
}

/** Finds out how accepted connections speak. */
export class ChannelAcceptor {
  readonly #options: ChannelOptions;
  readonly #tls: TlsServer;
  readonly #shaking = new WeakMap<Socket, { ready(secured: TLSSocket): void; refused(reason: string): void }>();

  constructor(options: ChannelOptions) {
    this.#options = options;
    const { cluster, secrets, identity = null } = options;
    const shown = (): SecureContextOptions => ({ ...common, ...identity?.now });
    this.#tls = createTlsServer({
      ...shown(),
      requestCert: identity !== null,
      rejectUnauthorized: false,
      pskCallback: (_, given) => keyNamed(given, cluster, secrets),
    });
    if (identity !== null) identity.changed = () => this.#tls.setSecureContext(shown());
    this.#tls.on("secureConnection", (secured: TLSSocket) => this.#shaking.get(under(secured))?.ready(secured));
    this.#tls.on("tlsClientError", (error: Error, secured: TLSSocket) =>
      this.#shaking.get(under(secured))?.refused(`TLS failed: ${error.message}`),
    );
  }

  /**
   * One more. `ready` gets what to speak on; `refused` why it is not to be spoken with. The connection is the caller's
   * to end.
   */
  accept(socket: Socket, ready: (socket: Socket) => void, refused: (reason: string) => void): void {
    socket.once("data", (bytes: Buffer) => {
      socket.pause();
      socket.unshift(bytes);
      if (bytes[0] !== handshakeByte) {
        const isHere = isLoopbackHost((socket.remoteAddress ?? "").replace(/^::ffff:/, ""));
        if (this.#options.tls !== "off" && !isHere) {
          socket.write(goodbyeFrame(mustBeEncrypted));
          return refused(mustBeEncrypted);
        }
        ready(socket);
        return void socket.resume();
      }
      this.#shaking.set(socket, { ready, refused });
      this.#tls.emit("connection", socket);
      return undefined;
    });
  }
}

function goodbyeFrame(reason: string): Buffer {
  const out = new FrameWriter();
  out.begin(FrameType.goodbye, 0, 0);
  out.text(reason);
  out.end();
  return Buffer.concat(out.take());
}

/** The connection that a TLS socket lies on. */
function under(secured: TLSSocket): Socket {
  return (secured as unknown as { readonly _parent: Socket })._parent;
}

/** The key of an identity, or null: the handshake then fails. */
function keyNamed(identity: string, cluster: string, secrets: readonly string[]): Buffer | null {
  const given = Buffer.from(identity);
  for (const secret of secrets) {
    const key = keyOf(cluster, secret);
    const known = Buffer.from(key.identity);
    if (known.length === given.length && timingSafeEqual(known, given)) return key.psk;
  }
  return null;
}
