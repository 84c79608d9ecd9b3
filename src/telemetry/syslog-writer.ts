/**
 * Lines to a syslog server, RFC 5424: one datagram each (RFC 5426), or over a stream on a Unix socket with lengths
 * before them (RFC 6587 §3.4.1). Nobody waits for it: what cannot go at once beyond a bound is dropped and counted.
 */
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { connect, type Socket } from "node:net";

/** Where syslog listens. */
export type SyslogPlace = { readonly host: string; readonly port: number } | { readonly path: string };

export interface SyslogOptions {
  readonly place: SyslogPlace;
  readonly hostName: string;
  readonly processId: number;
  /** ISO 8601, of now. */
  readonly now: () => string;
  /** Told when lines can be sent again after some have been lost, and why they were. */
  readonly lost: (lines: number, reason: string) => void;
}

/** Facility local0, severity informational. */
const priority = 16 * 8 + 6;
/** Datagrams on their way, and bytes that a stream may owe. */
const datagramsMax = 1000;
const streamBytesMax = 4 * 1024 * 1024;
/** What fits into one datagram on every path. */
const datagramBytesMax = 8 * 1024;
const againMs = 1000;

/** See above. */
export class SyslogWriter {
  /** Lines that nobody will see. */
  dropped = 0;
  readonly #options: SyslogOptions;
  readonly #datagrams: Datagrams | null;
  #stream: Socket | null = null;
  #again: NodeJS.Timeout | null = null;
  #underWay = 0;
  #untold = 0;
  #reason = "";
  #ended = false;
  #idle: () => void = () => {};

  constructor(options: SyslogOptions) {
    this.#options = options;
    const { place } = options;
    this.#datagrams = "host" in place ? createSocket(place.host.includes(":") ? "udp6" : "udp4") : null;
    this.#datagrams?.on("error", (error) => (this.#reason = error.message));
    this.#datagrams?.unref();
    if (this.#datagrams === null) this.#connect();
  }

  /** Takes a line, without its end. */
  write(line: string): void {
    const { hostName, processId, now, place } = this.#options;
    const message = Buffer.from(`<${priority}>1 ${now()} ${hostName} gyre ${processId} access - ${line}`);
    if ("host" in place) this.#send(message.subarray(0, datagramBytesMax), place);
    else this.#put(message);
  }

  /** Takes several, each with its end. */
  writeAll(text: string): void {
    for (const line of text.split("\n")) if (line !== "") this.write(line);
  }

  /** There is no file to open. */
  reopen(): void {}

  /** Resolves when all has gone, or after `limitMs`. */
  async end(limitMs: number): Promise<void> {
    this.#ended = true;
    if (this.#again !== null) clearTimeout(this.#again);
    const stream = this.#stream;
    if (stream !== null && !stream.destroyed) {
      await new Promise<void>((done) => {
        const timer = setTimeout(done, limitMs);
        stream.end(() => {
          clearTimeout(timer);
          done();
        });
      });
      stream.destroy();
    }
    if (this.#underWay > 0)
      await new Promise<void>((done) => {
        this.#idle = done;
        setTimeout(done, limitMs).unref();
      });
    this.#datagrams?.close();
  }

  #send(message: Buffer, { host, port }: { host: string; port: number }): void {
    if (this.#ended || this.#underWay >= datagramsMax) return this.#lose("too many are on their way");
    this.#underWay++;
    this.#datagrams!.send(message, port, host, (error) => {
      if (--this.#underWay === 0) this.#idle();
      if (error !== null) return this.#lose(error.message);
      return this.#tell();
    });
  }

  #put(message: Buffer): void {
    const stream = this.#stream;
    if (this.#ended || stream === null) return this.#lose(this.#reason === "" ? "nobody is there" : this.#reason);
    if (stream.writableLength > streamBytesMax) return this.#lose("nobody takes them");
    stream.write(`${message.length} `);
    stream.write(message);
    return this.#tell();
  }

  #connect(): void {
    const { place } = this.#options;
    if (!("path" in place) || this.#ended) return;
    const stream = connect(place.path);
    stream.unref();
    stream.on("connect", () => (this.#reason = ""));
    stream.on("error", (error) => (this.#reason = error.message));
    // What syslog says is nobody's to read.
    stream.resume();
    stream.on("close", () => {
      this.#stream = null;
      this.#again = setTimeout(() => this.#connect(), againMs).unref();
    });
    this.#stream = stream;
  }

  #lose(reason: string): void {
    this.#reason = reason;
    this.dropped++;
    this.#untold++;
  }

  #tell(): void {
    if (this.#untold === 0) return;
    const lines = this.#untold;
    this.#untold = 0;
    this.#options.lost(lines, this.#reason);
  }
}
