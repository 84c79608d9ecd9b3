/**
 * One fetch through undici, with its retries: heads re-serialised from parsed requests, responses checked where the
 * library does not, errors as data, a retry of what may be retried on a connection nobody used before.
 */
import { isIP } from "node:net";
import { Agent, type Dispatcher } from "undici";
import { fieldLines, type FieldList } from "../http/fields.ts";
import { listElements, trimmed } from "../http/grammar.ts";
import { isIdempotent } from "../http/messages.ts";
import type { OriginHandler, OriginRequest, OriginSettings } from "./fetch.ts";
import { originError, OriginError } from "./origin-error.ts";

/** One fetch with its retries. */
export class Attempts {
  readonly #request: OriginRequest;
  readonly #handler: OriginHandler;
  readonly #retries: number;
  readonly #fresh: Agent;
  readonly #insideOrigins: ReadonlySet<string>;
  readonly #tlsName: string | undefined;
  #controller: Dispatcher.DispatchController | null = null;
  #tries = 0;
  #cancelled = false;
  #gone: (() => void) | null = null;
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
    this.#tlsName = settings.tlsName;
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

  /** `gone` is called when nothing of it is left. */
  cancel(gone: () => void): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#gone = gone;
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
      if (ended) return;
      ended = true;
      if (this.#cancelled) return this.#gone?.();
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
        if (this.#cancelled) {
          socket.destroy();
          this.#gone?.();
        } else this.#handler.switched?.(rawFields(controller, headers), socket);
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
        if (ended) return;
        ended = true;
        if (this.#cancelled) return this.#gone?.();
        this.#handler.end(rawFields(controller, trailers, "rawTrailers"));
      },
      onResponseError: (_controller, error) => failed(error),
    };
    try {
      const servername = serverName(origin, this.#tlsName);
      agent.dispatch(
        {
          origin,
          method: method as Dispatcher.HttpMethod,
          path,
          headers: [...fields],
          body,
          ...(servername === undefined ? {} : { servername }),
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
