/**
 * One connection to an origin: one request at a time goes out, its answer comes in, with backpressure both ways. Where
 * both have ended in order it can be used again.
 *
 *   idle → sending, answering (side by side) → idle | gone
 *
 * An answer may come before the request's content has been sent: it is passed on at once, and the connection ends with
 * it.
 */
import { ownCopy } from "../base/own-copy.ts";
import type { Reading } from "./reading.ts";
import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { speaksForConnection } from "../http/authentication.ts";
import { fieldBlock, fieldValue, hasField, type FieldList } from "../http/fields.ts";
import type { ResponseHead } from "../wire/response-head.ts";
import { hadEnded, outlivesWrites, readsOn } from "./broken-socket.ts";
import type { ConnectionFailure } from "./connection-failure.ts";
import type { Parent } from "./parent.ts";
import { sendContent } from "./outgoing-content.ts";
import { ResponseReader } from "../wire/response-reader.ts";

/** What goes out. */
export interface Outgoing {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** With Host, and Content-Length where it is known; without the rest of framing, and without connection fields. */
  readonly fields: FieldList;
  readonly body: Readable | Buffer | null;
  /** The client waits with its content for a word of the origin. RFC 9110 §10.1.1. */
  readonly expectsContinue: boolean;
  readonly upgrade: string | undefined;
}

/** Who waits for the answer. After `end`, `failed` or `switched` nothing follows. */
export interface Incoming {
  interim(status: number, fields: FieldList): void;
  head(head: ResponseHead): void;
  data(content: Buffer): void;
  end(trailers: FieldList): void;
  switched(fields: FieldList, socket: Duplex): void;
  failed(failure: ConnectionFailure): void;
}

/** Milliseconds. */
export interface ConnectionTimes {
  readonly headMs: number;
  readonly bodyMs: number;
}

/** Methods whose requests say that they have no content. RFC 9110 §8.6. */
const expectsContent: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
/** An origin that gives no word for so long is taken to wait for the content. RFC 9110 §10.1.1. */
const continueMs = 1000;
/** The longest silence after a write has failed: what had come by then is there, and nothing follows. */
const brokenMs = 1000;

/** Content of less than this is copied where it is to be kept. */
const longBytes = 32 * 1024;

/** What a connection tells whoever keeps it. */
export interface ConnectionOwner {
  /** It can be used again. */
  idle(connection: OriginConnection): void;
  gone(connection: OriginConnection): void;
}

/** One connection. */
export class OriginConnection {
  /** Its address is a loopback or private one. */
  readonly inside: boolean;
  /**
   * The parent proxy at its other end, which wants to know whole URIs; null for the origin itself, or a tunnel to it.
   */
  via: Parent | null = null;
  /** Milliseconds, monotonic: from then on no further request goes out on it. */
  usedUntil = Infinity;
  /** Requests that it has carried. */
  uses = 0;
  /** Milliseconds, monotonic: until when it may be kept idle. */
  keepUntil = 0;
  /** Since when it is idle. */
  idleSince = 0;
  /** Seconds for which the origin says that it keeps it idle (Keep-Alive: timeout=N), or null. */
  keptSeconds: number | null = null;
  /** The field that says so. */
  #keptSaid: string | undefined = undefined;
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #times: ConnectionTimes;
  readonly #reading: Reading | null;
  readonly #reader = new ResponseReader();
  #outgoing: Outgoing | null = null;
  #incoming: Incoming | null = null;
  /** All of the request has been written. */
  #sent = true;
  #consumed = false;
  /** The origin may take whatever comes next for one client's: it is nobody else's, and ends with this answer. */
  #isOneClients = false;
  #paused = false;
  #headSeen = false;
  #continue: NodeJS.Timeout | null = null;
  #deadlineMs = Infinity;
  #stopSending: (() => void) | null = null;
  #cause: (Error & { code?: string }) | null = null;
  #over = false;

  /** `reading`: its own, where it is not read as a stream. */
  constructor(
    socket: Socket,
    inside: boolean,
    times: ConnectionTimes,
    owner: ConnectionOwner,
    reading: Reading | null,
  ) {
    this.#reading = reading;
    this.#socket = socket;
    this.inside = inside;
    this.#times = times;
    this.#owner = owner;
    // Only where nobody else reads (connector.ts).
    socket.on("data", (bytes: Buffer) => this.received(bytes));
    socket.on("end", () => this.#ended("in-order"));
    socket.on("error", (error) => this.#broken(error));
    // Read to its end also where nothing can be written any more: what the origin had to say may be on its way already.
    if (reading !== null) outlivesWrites(socket);
    socket.on("close", () => this.#ended("reset"));
    // What a parent has opened a tunnel on waits for its new owner.
    if (socket.isPaused()) socket.resume();
  }

  /** Sends a request; the connection is idle. */
  send(outgoing: Outgoing, incoming: Incoming): void {
    this.uses++;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    this.#headSeen = false;
    this.#consumed = false;
    this.#isOneClients = speaksForConnection(outgoing.fields);
    this.#paused = false;
    this.#reader.expect(outgoing.method, {
      interim: (status, fields) => this.#interim(status, fields),
      head: (head) => this.#head(head),
      data: (content) => this.#incoming?.data(content),
      end: (trailers) => this.#end(trailers),
      bad: (what, how) => this.#fail(how === "not-http" ? "not-http" : "closed", what, "BAD_RESPONSE"),
    });
    this.#write(outgoing);
  }

  pause(): void {
    if (this.#incoming === null || this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#incoming === null || !this.#paused) return;
    this.#paused = false;
    this.#touch();
    this.#socket.resume();
  }

  /** Within `Incoming.data`: see `Fetch.keep`. */
  keep(): (() => void) | null {
    return this.#reading?.keep() ?? null;
  }

  /** Nobody waits for the answer any more: nothing more is heard of it. */
  cancel(): void {
    this.#incoming = null;
    this.destroy();
  }

  destroy(): void {
    this.#letGo();
    this.#reader.stop();
    this.#socket.destroy();
    this.#gone();
  }

  /** Looks whether the origin, while it is waited for, has been silent for too long. */
  sweep(nowMs: number): void {
    if (this.#incoming === null || this.#paused || nowMs < this.#deadlineMs) return;
    if (this.#cause !== null) return this.#fail("closed", this.#cause.message, "BAD_RESPONSE");
    const what = this.#headSeen ? "it fell silent" : "it did not answer in time";
    this.#fail("too-late", what, this.#headSeen ? "BODY_TIMEOUT" : "HEAD_TIMEOUT");
  }

  /** This process stood still for so long: that is not the origin's time. */
  heldUp(lostMs: number): void {
    this.#deadlineMs += lostMs;
  }

  // ---- the request ------------------------------------------------------------------------------------------------

  #write({ method, target, fields, body, expectsContinue, upgrade }: Outgoing): void {
    const isStream = body !== null && !Buffer.isBuffer(body);
    const length = hasField(fields, "content-length") ? "" : framingLine(method, body, upgrade);
    const waits = isStream && expectsContinue;
    const more = upgrade === undefined ? "" : `connection: upgrade\r\nupgrade: ${upgrade}\r\n`;
    const expect = waits ? "expect: 100-continue\r\n" : "";
    const head = `${method} ${target} HTTP/1.1\r\n${fieldBlock(fields)}${length}${expect}${more}\r\n`;
    this.#sent = !isStream;
    this.#touch();
    if (Buffer.isBuffer(body)) {
      this.#socket.cork();
      this.#socket.write(head, "latin1");
      this.#socket.write(body);
      this.#socket.uncork();
    } else this.#socket.write(head, "latin1");
    if (!isStream) return;
    if (waits) this.#continue = setTimeout(() => this.#pump(), continueMs);
    else this.#pump();
  }

  /** Content goes out as the client sends it and the origin takes it. */
  #pump(): void {
    if (this.#continue !== null) clearTimeout(this.#continue);
    this.#continue = null;
    const { body, fields } = this.#outgoing!;
    this.#stopSending = sendContent(body as Readable, this.#socket, fieldValue(fields, "content-length"), {
      moved: () => this.#touch(),
      read: () => (this.#consumed = true),
      sent: () => {
        this.#letGo();
        this.#sent = true;
        this.#touch();
      },
      failed: (what) => this.#fail("content", what, "REQUEST_CONTENT"),
    });
  }

  #letGo(): void {
    if (this.#continue !== null) clearTimeout(this.#continue);
    this.#continue = null;
    this.#stopSending?.();
    this.#stopSending = null;
  }

  // ---- the answer -------------------------------------------------------------------------------------------------

  /** Takes what has come; it is used up, or copied, when this returns. */
  received(bytes: Buffer): void {
    // What nobody has asked for makes no sense, and would be taken for the next answer.
    if (this.#incoming === null) return this.destroy();
    // The time limit of the head is of all of it, however it trickles.
    if (this.#headSeen) this.#touch();
    return this.#reader.feed(bytes);
  }

  #interim(status: number, fields: FieldList): void {
    if (status !== 100) this.#incoming?.interim(status, fields);
    else if (this.#continue !== null) this.#pump();
  }

  #head(head: ResponseHead): void {
    const incoming = this.#incoming!;
    if (head.status === 101) {
      const { upgrade } = this.#outgoing!;
      if (upgrade === undefined || !this.#sent)
        return this.#fail("not-http", "a switch of protocols that nobody asked for, or too early", "BAD_RESPONSE");
      this.#incoming = null;
      this.#over = true;
      const rest = this.#reader.takeRest();
      for (const event of ["data", "end", "error", "close"]) this.#socket.removeAllListeners(event);
      this.#socket.pause();
      if (rest.length > 0) this.#socket.unshift(rest);
      this.#owner.gone(this);
      return incoming.switched(head.fields, this.#socket);
    }
    this.#headSeen = true;
    this.#touch();
    // The word that the content was waiting for is that it is not wanted; or the origin will not read on (RFC 9112
    // §9.5). Another may read to the end before it ends its answer.
    if (this.#continue !== null) this.#letGo();
    else if (!this.#sent && !head.keepAlive) {
      this.#letGo();
      // Nobody else will: the client must not be held up with what it is still sending.
      (this.#outgoing!.body as Readable).resume();
    }
    const said = fieldValue(head.fields, "keep-alive");
    if (said !== this.#keptSaid) {
      this.#keptSaid = said === undefined ? undefined : ownCopy(said);
      const kept = /(?:^|[,;\s])timeout=(\d+)/i.exec(said ?? "");
      this.keptSeconds = kept === null ? null : Number(kept[1]);
    }
    const { framing } = head;
    this.#reading?.begins(framing.kind === "length" ? framing.bytes > longBytes : framing.kind !== "none");
    return incoming.head(head);
  }

  #end(trailers: FieldList): void {
    const incoming = this.#incoming;
    this.#incoming = null;
    this.#reading?.ends();
    this.#deadlineMs = Infinity;
    const isWhole = this.#sent && this.#reader.reusable && !this.#socket.destroyed && this.#socket.writable;
    const isFree = isWhole && !this.#isOneClients;
    if (isFree) {
      if (this.#paused) this.#socket.resume();
      this.#paused = false;
      this.#outgoing = null;
      this.#owner.idle(this);
    } else this.destroy();
    incoming?.end(trailers);
  }

  #ended(how: "in-order" | "reset"): void {
    // That a write had failed takes nothing from an end in order before it, where it is not TLS that says so.
    const isCertain = this.#cause === null || (hadEnded(this.#cause) && !("encrypted" in this.#socket));
    if (this.#incoming !== null) this.#reader.ended(how === "in-order" && isCertain ? "in-order" : "reset");
    this.destroy();
  }

  #fail(kind: ConnectionFailure["kind"], what: string, code: string): void {
    const incoming = this.#incoming;
    this.#incoming = null;
    const failure = {
      kind,
      what: this.#cause === null ? what : this.#cause.message,
      code: this.#cause?.code ?? code,
      begun: this.#reader.begun,
      headSeen: this.#headSeen,
      consumed: this.#consumed,
    };
    this.destroy();
    incoming?.failed(failure);
  }

  /**
   * Nothing can be sent any more. An origin that has answered an upload before its end, and closed, resets the
   * connection when more of it comes: its answer has come before that, and is read yet.
   */
  #broken(error: Error): void {
    this.#cause = error;
    if (this.#socket.destroyed) return;
    // Nobody waits for it.
    if (this.#incoming === null) return this.destroy();
    this.#letGo();
    readsOn(this.#socket);
    this.#touch();
  }

  #touch(): void {
    const { headMs, bodyMs } = this.#times;
    // While a client sends its content slowly it is not the origin that is waited for.
    const isBroken = this.#cause !== null;
    const waitsForClient = !isBroken && !this.#sent && !this.#socket.writableNeedDrain && !this.#headSeen;
    const ms = isBroken ? brokenMs : this.#headSeen || !this.#sent ? bodyMs : headMs;
    this.#deadlineMs = waitsForClient ? Infinity : performance.now() + ms;
  }

  #gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#reading?.over();
    this.#owner.gone(this);
  }
}

/** How the content of a request is delimited whose fields do not say so. RFC 9112 §6, RFC 9110 §8.6. */
function framingLine(method: string, body: Outgoing["body"], upgrade: string | undefined): string {
  if (Buffer.isBuffer(body)) return `content-length: ${body.length}\r\n`;
  if (body !== null) return "transfer-encoding: chunked\r\n";
  return expectsContent.has(method) && upgrade === undefined ? "content-length: 0\r\n" : "";
}
