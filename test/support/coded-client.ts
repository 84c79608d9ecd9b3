/** A client that says which codings it takes, and undoes them itself. */
import { request, type IncomingHttpHeaders } from "node:http";
import * as zlib from "node:zlib";
import type { TestMember } from "./member.ts";

export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** As it came. */
  readonly bytes: Buffer;
  readonly text: string;
}

/** Asks a member; `accepts` null for no Accept-Encoding. */
export function get(
  { port }: TestMember,
  path: string,
  accepts: string | null,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<Got> {
  return new Promise((done, fail) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        headers: { host: "site.test", ...(accepts === null ? {} : { "accept-encoding": accepts }), ...headers },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", fail);
        response.on("end", () => {
          const bytes = Buffer.concat(chunks);
          const text =
            method === "HEAD" || bytes.length === 0 ? "" : decoded(bytes, response.headers["content-encoding"]);
          done({ status: response.statusCode!, headers: response.headers, bytes, text });
        });
      },
    );
    asked.on("error", fail);
    asked.end();
  });
}

function decoded(bytes: Buffer, coding: string | undefined): string {
  if (coding === undefined) return bytes.toString();
  if (coding === "gzip") return zlib.gunzipSync(bytes).toString();
  if (coding === "br") return zlib.brotliDecompressSync(bytes).toString();
  return (zlib as unknown as { zstdDecompressSync: (bytes: Buffer) => Buffer }).zstdDecompressSync(bytes).toString();
}
