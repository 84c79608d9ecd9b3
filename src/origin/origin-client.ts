/**
 * Requests to origins, through undici: heads re-serialised from parsed requests, responses checked where the library
 * does not, errors as data, a retry of what may be retried on a connection nobody used before.
 */
import { isIP } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { Agent, type Dispatcher } from "undici";
import { fieldLines, type FieldList } from "../http/fields.ts";
import { listElements, trimmed } from "../http/grammar.ts";
import { isIdempotent } from "../http/messages.ts";
import { guardedConnector, type ConnectOptions, type ConnectPolicy } from "./connector.ts";
import { busyOrigin, originError, OriginError } from "./origin-error.ts";
import { Slots, type Slot, type SlotRules } from "./slots.ts";

/** Time-outs and retries of one origin, or of all that a forward proxy reaches. */
export interface OriginSettings extends ConnectOptions, SlotRules {
  /** Until the response head has come. */
  readonly headMs: number;
  /** The longest silence inside a response's content. */
  readonly bodyMs: number;
  readonly retries: number;
  /** The name for SNI and the certificate check, where it is not the origin's own. */
  readonly tlsName?: string | undefined;
}

/** What an operator should hear of. */
export interface OriginNotes {
  /** Requests wait for one origin. */
  waited(origin: string): void;
  /** One waited in vain, or could not even wait. */
  refused(origin: string, why: string): void;
  /** This process has no descriptors left. */
  exhausted(): void;
}

/** For those who have nobody to tell. */
export const unheard: OriginNotes = { waited: () => {}, refused: () => {}, exhausted: () => {} };

export const originSettings: OriginSettings = {
  connectMs: 5_000,
  headMs: 60_000,
  bodyMs: 60_000,
  retries: 1,
  connectionsMax: 256,
  queueMax: 1024,
  queueMs: 10_000,
  verifyTls: true,
};

export interface OriginRequest {
  /** Scheme, host and port to connect to. */
  readonly origin: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** With Host, without framing and connection fields. */
  readonly fields: FieldList;
  readonly body: Readable | Buffer | null;
  /** Ask for a protocol switch, by name. */
  readonly upgrade?: string;
}

/** The fetch's listener. After `failed` or `end` nothing follows. */
export interface OriginHandler {
  interim(status: number, fields: FieldList): void;
  /** `inner`: the address was a loopback or private one. */
  head(status: number, fields: FieldList, inner: boolean): void;
  data(chunk: Buffer): void;
  end(trailers: FieldList): void;
  failed(error: OriginError): void;
  switched?(fields: FieldList, socket: Duplex): void;
}

/** A fetch under way. */
export interface Fetch {
  pause(): void;
  resume(): void;
  cancel(): void;
}

/** Largest head of a response, in bytes. */
const headBytesMax = 64 * 1024;

/** A way to origins under one connect policy. */
export class OriginClient {
  readonly #settings: OriginSettings;
  readonly #agent: Agent;
  readonly #fresh: Agent;
  /**
   * Origins once found at a loopback or private address. undici does not show a response's socket; once inside, always
   * inside errs on the safe side.
   */
  readonly #insideOrigins = new Set<string>();

  readonly #notes: OriginNotes;
  /** By origin; those of origins that nobody asks go. */
  readonly #slots = new Map<string, Slots>();

  constructor(policy: ConnectPolicy, settings: OriginSettings, notes: OriginNotes = unheard) {
    this.#settings = settings;
    this.#notes = notes;
    const connect = guardedConnector(policy, settings, (origin) => this.#insideOrigins.add(new URL(origin).origin));
    const options = {
      connect,
      headersTimeout: settings.headMs,
      bodyTimeout: settings.bodyMs,
      maxHeaderSize: headBytesMax,
    };
    // How many connections there are is bounded by the slots: a bound of the library's would queue without end or word.
    this.#agent = new Agent({ ...options, pipelining: 1, keepAliveTimeout: 10_000 });
    // Retries go out on connections that nobody has used: pipelining 0 means no keep-alive.
    this.#fresh = new Agent({ ...options, pipelining: 0 });
  }

  fetch(request: OriginRequest, handler: OriginHandler): Fetch {
    const { origin } = request;
    const slots = this.#slots.get(origin) ?? new Slots(this.#settings);
    this.#slots.set(origin, slots);
    const place = origin.slice(origin.indexOf("//") + 2);
    let attempts: Attempts | null = null;
    let paused = false;
    let over = false;
    const end = (): void => {
      over = true;
      slot?.release();
      if (slots.idle) this.#slots.delete(origin);
    };
    // Called perhaps before `take` has returned: the slot is released behind it then.
    let slot: Slot | null = null;
    slot = slots.take({
      taken: () => {
        attempts = new Attempts(
          request,
          {
            ...handler,
            head: (status, fields, inner) => {
              if (isEventStream(fields)) slot?.lasts();
              handler.head(status, fields, inner);
            },
            end: (trailers) => {
              end();
              handler.end(trailers);
            },
            failed: (error) => {
              end();
              if (error.code === "EMFILE" || error.code === "ENFILE") this.#notes.exhausted();
              handler.failed(error);
            },
            switched: (fields, socket) => {
              end();
              handler.switched?.(fields, socket);
            },
          },
          this.#settings,
          this.#agent,
          this.#fresh,
          this.#insideOrigins,
        );
        if (paused) attempts.pause();
      },
      refused: (why) => {
        end();
        this.#notes.refused(origin, why);
        handler.failed(busyOrigin(place, why));
      },
    });
    if (over) slot.release();
    else if (attempts === null) this.#notes.waited(origin);
    return {
      pause: () => {
        paused = true;
        attempts?.pause();
      },
      resume: () => {
        paused = false;
        attempts?.resume();
      },
      cancel: () => {
        if (over) return;
        end();
        attempts?.cancel();
        const { body } = request;
        if (attempts === null && body !== null && !Buffer.isBuffer(body)) body.destroy();
      },
    };
  }

  /** Requests that wait for a slot. */
  get waiting(): number {
    let waiting = 0;
    for (const slots of this.#slots.values()) waiting += slots.waiting;
    return waiting;
  }

  /** Ends when the answers under way have: nothing is cut. */
  async retire(): Promise<void> {
    await Promise.all([this.#agent.close(), this.#fresh.close()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#fresh.destroy()]);
  }
}

function isEventStream(fields: FieldList): boolean {
  return fieldLines(fields, "content-type").some((type) => type.toLowerCase().startsWith("text/event-stream"));
}

/** One fetch with its retries. */
class Attempts implements Fetch {
  readonly #request: OriginRequest;
  readonly #handler: OriginHandler;
  readonly #retries: number;
  readonly #fresh: Agent;
  readonly #insideOrigins: ReadonlySet<string>;
  readonly #servername: string | undefined;
  #controller: Dispatcher.DispatchController | null = null;
  #tries = 0;
  #cancelled = false;
  #paused = false;

  constructor(
    request: OriginRequest,
    handler: OriginHandler,
    settings: OriginSettings,
    agent: Agent,
    fresh: Agent,
    insideOrigins: ReadonlySet<string>,
  ) {
    this.#request = request;
    this.#handler = handler;
    this.#fresh = fresh;
    this.#insideOrigins = insideOrigins;
    this.#servername = serverName(request.origin, settings.tlsName);
    // What is streamed cannot be sent twice.
    this.#retries =
      (request.body === null || Buffer.isBuffer(request.body)) && isIdempotent(request.method) ? settings.retries : 0;
    this.#send(agent);
  }

  pause(): void {
    this.#paused = true;
    this.#controller?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#controller?.resume();
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#controller?.abort(new Error("nobody waits for it any more"));
    const { body } = this.#request;
    if (body !== null && !Buffer.isBuffer(body)) body.destroy();
  }

  #send(agent: Agent): void {
    const { origin, method, path, fields, body, upgrade } = this.#request;
    const place = origin.slice(origin.indexOf("//") + 2);
    let answering = false;
    let ended = false;
    const failed = (cause: unknown): void => {
      if (ended || this.#cancelled) return;
      ended = true;
      const error = originError(cause, place, answering);
      if (error.retriable && this.#tries++ < this.#retries) this.#send(this.#fresh);
      else this.#handler.failed(error);
    };
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        this.#controller = controller;
        if (this.#cancelled) controller.abort(new Error("nobody waits for it any more"));
      },
      onRequestUpgrade: (controller, _status, headers, socket) => {
        ended = true;
        if (this.#cancelled) socket.destroy();
        else this.#handler.switched?.(rawFields(controller, headers), socket);
      },
      onResponseStart: (controller, status, headers) => {
        const received = rawFields(controller, headers);
        if (status < 200) {
          if (!this.#cancelled) this.#handler.interim(status, received);
          return;
        }
        const odd = oddResponse(status, received);
        if (odd !== null) {
          controller.abort(new OriginError("head", "BAD_RESPONSE", `${place} sent ${odd}`, 502, false));
          return;
        }
        answering = true;
        if (!this.#cancelled) this.#handler.head(status, received, this.#insideOrigins.has(new URL(origin).origin));
        if (this.#paused) controller.pause();
      },
      onResponseData: (_controller, chunk) => {
        if (!this.#cancelled && !ended) this.#handler.data(chunk);
      },
      onResponseEnd: (controller, trailers) => {
        if (ended || this.#cancelled) return;
        ended = true;
        this.#handler.end(rawFields(controller, trailers, "rawTrailers"));
      },
      onResponseError: (_controller, error) => failed(error),
    };
    try {
      agent.dispatch(
        {
          origin,
          method: method as Dispatcher.HttpMethod,
          path,
          headers: [...fields],
          body,
          ...(this.#servername === undefined ? {} : { servername: this.#servername }),
          ...(upgrade === undefined ? {} : { upgrade }),
        } as Dispatcher.DispatchOptions,
        handler,
      );
    } catch (error) {
      failed(error);
    }
  }
}

/**
 * The origin's own name, whatever Host it gets: the certificate is its, not the site's. Undefined where there is no
 * TLS, or no name.
 */
function serverName(origin: string, given: string | undefined): string | undefined {
  if (!origin.startsWith("https:")) return undefined;
  const { hostname } = new URL(origin);
  return given ?? (isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? hostname : undefined);
}

/**
 * Registered codings. A word that names none cannot have been applied: it says nothing, and is left out like every
 * hop-by-hop field.
 */
const codingsThatChangeContent: ReadonlySet<string> = new Set([
  "gzip",
  "x-gzip",
  "deflate",
  "compress",
  "x-compress",
  "br",
  "zstd",
  "dcb",
  "dcz",
  "exi",
  "pack200-gzip",
  "aes128gcm",
]);

/**
 * Head faults that undici lets pass: a status that is none, a field value with control characters, a transfer coding
 * that it does not decode and whose label does not go on, so that nothing would say how to read the content. RFC 9112
 * §6.1.
 */
function oddResponse(status: number, fields: FieldList): string | null {
  if (status > 999) return `the status ${status}`;
  const codings = listElements(fieldLines(fields, "transfer-encoding").join(",").toLowerCase());
  if (codings.some((coding) => codingsThatChangeContent.has(coding)))
    return `content in a transfer coding that is not understood (${codings.join(", ")})`;
  for (let i = 0; i < fields.length; i += 2) {
    if (/[\0-\x08\x0a-\x1f\x7f]/.test(fields[i + 1]!)) return `a control character in the field ${fields[i]}`;
  }
  return null;
}

/** Fields in the order received and each line by itself, which the parsed object does not keep. */
function rawFields(
  controller: Dispatcher.DispatchController,
  parsed: object,
  raw: "rawHeaders" | "rawTrailers" = "rawHeaders",
): string[] {
  const lines = (controller as unknown as Record<string, readonly (Buffer | string)[] | null>)[raw];
  if (lines != null) return lines.map((line, index) => (index % 2 === 0 ? String(line).toLowerCase() : text(line)));
  return Object.entries(parsed).flatMap(([name, value]: [string, string | string[]]) =>
    [value].flat().flatMap((line) => [name.toLowerCase(), line]),
  );
}

function text(line: Buffer | string): string {
  return trimmed(typeof line === "string" ? line : line.toString("latin1"));
}
