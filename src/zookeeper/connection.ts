/**
 * One socket to one server: the hello, then frames both ways, until either side ends it. It knows nothing of sessions:
 * when it is gone, the session above decides what that means.
 */
import { errorText } from "../base/background.ts";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls, rootCertificates, type ConnectionOptions } from "node:tls";
import { asError } from "../base/background.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import { helloOf, type Hello } from "./protocol.ts";

export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  /** Null for a plain connection. */
  readonly tls: ConnectionOptions | null;
  /** For connecting and the server's hello together. */
  readonly openMs: number;
  readonly frameBytesMax: number;
}

export interface ConnectionEvents {
  open(hello: Hello): void;
  /** A frame after the hello. What it throws ends the connection. */
  frame(bytes: Buffer): void;
  /** Once, whoever ended it. */
  gone(reason: string): void;
}

/** One connection, from its dialing to its end. */
export class Connection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #openTimer: NodeJS.Timeout;
  readonly #splitter: FrameSplitter;
  /** Resolves when the socket's handle is gone. */
  readonly closed: Promise<void>;
  #opened = false;
  #gone = false;

  constructor(target: ConnectionTarget, hello: Buffer, events: ConnectionEvents) {
    this.#events = events;
    this.#splitter = new FrameSplitter(target.frameBytesMax);
    const { host, port, tls, openMs } = target;
    this.#openTimer = setTimeout(() => this.destroy(`no hello from ${host}:${port} within ${openMs} ms`), openMs);
    this.#socket =
      tls === null
        ? connectPlain({ host, port })
        : connectTls({ servername: isIP(host) === 0 ? host : "", ...tls, host, port });
    this.closed = new Promise((done) => this.#socket.once("close", () => done()));
    this.#socket.setNoDelay(true);
    this.#socket.once(tls === null ? "connect" : "secureConnect", () => this.send(hello));
    this.#socket.on("data", (chunk: Buffer) => this.#received(chunk));
    this.#socket.on("error", (error) => this.destroy(`${host}:${port}: ${errorText(error)}`));
    this.#socket.on("close", () => this.destroy(`${host}:${port} closed the connection`));
  }

  send(frame: Buffer): void {
    if (!this.#gone) this.#socket.write(frame);
  }

  destroy(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#openTimer);
    this.#socket.destroy();
    this.#events.gone(reason);
  }

  /** Several frames written as one packet. */
  batch(write: () => void): void {
    this.#socket.cork();
    write();
    this.#socket.uncork();
  }

  #received(chunk: Buffer): void {
    try {
      for (const frame of this.#splitter.push(chunk)) {
        if (this.#gone) return;
        if (this.#opened) this.#events.frame(frame);
        else {
          const hello = helloOf(frame);
          this.#opened = true;
          clearTimeout(this.#openTimer);
          this.#events.open(hello);
        }
      }
    } catch (error) {
      this.destroy(`not ZooKeeper's protocol: ${asError(error).message}`);
    }
  }
}

/** TLS options that trust these PEM certificates beside those that Node knows. */
export function trusting(ca: string | undefined): ConnectionOptions {
  return ca === undefined ? {} : { ca: [...rootCertificates, ca] };
}
