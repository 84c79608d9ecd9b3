/** A fetch in HTTP/2, as much of one as the public cache tests ask for: no cache, no redirects followed. */
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";

export interface Fetched {
  readonly status: number;
  readonly headers: Headers;
  text(): Promise<string>;
}

interface Init {
  readonly method?: string;
  readonly headers?: readonly (readonly [string, string])[] | Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Everything goes over one connection, with prior knowledge. */
export class Http2Fetch {
  readonly #session: ClientHttp2Session;

  constructor(base: string) {
    this.#session = connect(base);
  }

  /** Rejects where the stream is reset. */
  fetch(url: string, { method = "GET", headers = [], body }: Init = {}): Promise<Fetched> {
    const { pathname, search } = new URL(url);
    const fields: OutgoingHttpHeaders = { ":method": method, ":path": pathname + search, accept: "*/*" };
    for (const [name, padded] of Array.isArray(headers) ? headers : Object.entries(headers)) {
      const known = fields[name.toLowerCase()];
      // As in Fetch: values are trimmed, and fields of one name are one list. RFC 9113 §8.2.1 allows no other.
      const value = String(padded).trim();
      fields[name.toLowerCase()] = known === undefined ? value : `${String(known)}, ${value}`;
    }
    const stream = this.#session.request(fields, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    return new Promise((resolve, reject) => {
      stream.on("error", reject);
      stream.on("response", (head) => {
        const answered = new Headers();
        for (const [name, value] of Object.entries(head))
          if (!name.startsWith(":") && value !== undefined)
            for (const one of [value].flat()) answered.append(name, one);
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        const text = new Promise<string>((done, fail) => {
          stream.on("end", () => done(Buffer.concat(chunks).toString()));
          stream.on("error", fail);
        });
        text.catch(() => {}); // Who never asks for it does not hear of its failure.
        resolve({ status: Number(head[":status"]), headers: answered, text: () => text });
      });
    });
  }

  close(): void {
    this.#session.close();
  }
}
