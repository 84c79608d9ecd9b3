/**
 * One fetch with its retries. A connection that was used before may have been closed by the origin at the moment when
 * the request went out: what may be sent twice is then sent again on a new one. What may not (RFC 9110 §9.2.2) is sent
 * again only where no connection was made at all.
 */
import { isIdempotent } from "../http/messages.ts";
import type { OriginHandler, OriginRequest, OriginSettings } from "./fetch.ts";
import type { ConnectionFailure } from "./connection-failure.ts";
import type { OriginConnection } from "./origin-connection.ts";
import { failedConnection, originError, OriginError } from "./origin-error.ts";
import { nameOfOrigin } from "./place.ts";
import type { Pool } from "./pool.ts";

/** One fetch with its retries. */
export class Attempts {
  readonly #request: OriginRequest;
  readonly #handler: OriginHandler;
  readonly #retries: number;
  readonly #pool: Pool;
  /** What is streamed cannot be sent twice. */
  readonly #repeatable: boolean;
  #connection: OriginConnection | null = null;
  #dialling: { cancel(): void } | null = null;
  #tries = 0;
  #over = false;
  #paused = false;

  constructor(request: OriginRequest, handler: OriginHandler, settings: OriginSettings, pool: Pool) {
    this.#request = request;
    this.#handler = handler;
    this.#pool = pool;
    this.#retries = request.retries ?? settings.retries;
    this.#repeatable = (request.body === null || Buffer.isBuffer(request.body)) && isIdempotent(request.method);
    // What may become another protocol needs a connection that can.
    const connection =
      request.upgrade === undefined ? pool.idle(request.origin, this.#repeatable ? "any" : "recent") : null;
    if (connection === null) this.#dial();
    else this.#send(connection);
  }

  pause(): void {
    this.#paused = true;
    this.#connection?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#connection?.resume();
  }

  keep(): (() => void) | null {
    return this.#connection?.keep() ?? null;
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#dialling?.cancel();
    this.#connection?.cancel();
    this.#dropBody();
  }

  #dial(): void {
    const { origin, upgrade } = this.#request;
    const wanting = {
      connected: (connection: OriginConnection) => {
        this.#dialling = null;
        this.#send(connection);
      },
      failed: (cause: Error) => {
        this.#dialling = null;
        const error = originError(cause, this.#place);
        // Nothing has been sent: it may be tried again whatever it is, as long as its content is still there.
        if (error.retriable && this.#tries < this.#retries) this.#again();
        else this.#fail(error);
      },
    };
    this.#dialling = this.#pool.dial(origin, wanting, upgrade === undefined ? "answers" : "stream");
  }

  #send(connection: OriginConnection): void {
    const { origin, method, path, body, expectsContinue = false, upgrade } = this.#request;
    const { via } = connection;
    const target = via === null ? path : `${origin}${path}`;
    // A TRACE gives back to the client what the parent was sent.
    const authorization = method === "TRACE" ? null : (via?.authorization ?? null);
    const credentials = authorization === null ? [] : ["proxy-authorization", authorization];
    const fields = [...this.#request.fields, ...credentials];
    this.#connection = connection;
    const wasUsed = connection.uses > 0;
    connection.send(
      { method, target, fields, body, expectsContinue, upgrade },
      {
        interim: (status, received) => this.#handler.interim(status, received),
        head: ({ status, fields: received, keepAlive }) => {
          if (via !== null && status === 407) return this.#refusedByParent(connection);
          // It was said of the silence before: the origin gave the connection up as the request went out.
          if (status === 408 && !keepAlive && wasUsed && this.#repeatable) {
            connection.cancel();
            this.#connection = null;
            return this.#dial();
          }
          this.#handler.head(status, received, connection.inside);
          if (this.#paused) connection.pause();
        },
        data: (content) => this.#handler.data(content),
        end: (trailers) => {
          this.#over = true;
          this.#connection = null;
          this.#handler.end(trailers);
        },
        switched: (received, socket) => {
          this.#over = true;
          this.#connection = null;
          if (this.#handler.switched === undefined) socket.destroy();
          else this.#handler.switched(received, socket);
        },
        failed: (failure) => this.#failed(failure, wasUsed),
      },
    );
  }

  #failed(failure: ConnectionFailure, wasUsed: boolean): void {
    this.#connection = null;
    const lost = failure.kind === "closed" && !failure.begun && this.#repeatable;
    // That an idle connection has ended is nobody's fault, and costs no try; content that nobody has read is still
    // there.
    const unread =
      failure.kind === "closed" && !failure.begun && !failure.consumed && isIdempotent(this.#request.method);
    if ((lost || unread) && wasUsed) return this.#dial();
    if (lost && this.#tries < this.#retries) return this.#again();
    return this.#fail(failedConnection(failure, this.#place));
  }

  /** That the parent does not know us is not the client's to mend. */
  #refusedByParent(connection: OriginConnection): void {
    connection.cancel();
    this.#connection = null;
    this.#fail(new OriginError("connect", "PARENT", "the parent proxy asks for other credentials (407)", 502, false));
  }

  #again(): void {
    this.#tries++;
    this.#dial();
  }

  #fail(error: OriginError): void {
    if (this.#over) return;
    this.#over = true;
    this.#handler.failed(error);
  }

  #dropBody(): void {
    const { body } = this.#request;
    if (body !== null && !Buffer.isBuffer(body)) body.destroy();
  }

  get #place(): string {
    return nameOfOrigin(this.#request.origin);
  }
}
