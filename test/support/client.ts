/** Clients for tests: one over node:http, one that writes raw bytes and reads raw bytes. */
import { Agent, request, type IncomingHttpHeaders } from "node:http";
import { connect, type Socket } from "node:net";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
  readonly cacheStatus: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
}

/** One request through a forward proxy, always in absolute form. */
export function through(port: number, url: string, options: Asking = {}): Promise<Answer> {
  return ask(port, url, { ...options, headers: { host: new URL(url).host, ...options.headers } });
}

/** One request to a port of this machine; rejects where the answer is broken off. */
export function ask(
  port: number,
  path: string,
  { method = "GET", headers = {}, body, agent, signal }: Asking = {},
): Promise<Answer> {
  return new Promise((done, fail) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        headers,
        agent: agent ?? new Agent({ keepAlive: false }),
        ...(signal === undefined ? {} : { signal }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", fail);
        response.on("end", () => {
          if (!response.complete) return fail(new Error("the answer was broken off"));
          const whole = Buffer.concat(chunks);
          return done({
            status: response.statusCode!,
            headers: response.headers,
            rawHeaders: response.rawHeaders,
            body: whole,
            text: whole.toString(),
            cacheStatus: String(response.headers["cache-status"] ?? ""),
          });
        });
      },
    );
    asked.on("error", fail);
    asked.end(body);
  });
}

/** A socket that collects what it receives. */
export class RawClient {
  received = "";
  ended = false;
  readonly socket: Socket;
  readonly #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => {
      for (const waiter of this.#waiting.splice(0)) waiter();
    };
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.toString("latin1");
      wake();
    });
    for (const event of ["end", "close", "error"]) {
      socket.on(event, () => {
        this.ended = true;
        wake();
      });
    }
  }

  static open(port: number): Promise<RawClient> {
    return new Promise((done, fail) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true }, () =>
        done(new RawClient(socket)),
      );
      socket.once("error", fail);
    });
  }

  send(bytes: string | Buffer): this {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    return this;
  }

  /** Resolves when what has been received satisfies the condition; rejects when the other side ends before. */
  async until(condition: (received: string) => boolean, meaning: string): Promise<string> {
    while (!condition(this.received)) {
      if (this.ended) throw new Error(`the connection ended before ${meaning}; received:\n${this.received}`);
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
    return this.received;
  }

  /** Resolves with all that was received when the other side has ended. */
  async end(): Promise<string> {
    while (!this.ended) await new Promise<void>((wake) => this.#waiting.push(wake));
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Sends bytes on a fresh connection and returns everything up to the end of the connection. */
export async function rawExchange(port: number, bytes: string): Promise<string> {
  const client = await RawClient.open(port);
  client.send(bytes);
  const received = await client.end();
  client.close();
  return received;
}

/** The status codes of all responses in a stream of bytes, in order. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((match) => Number(match[1]));
}
