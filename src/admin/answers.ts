/** Answers of the admin port. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** An answer in JSON. */
export interface ApiAnswer {
  readonly status: number;
  readonly value: unknown;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Sends one. */
export function give(response: ServerResponse, { status, value, fields }: ApiAnswer): void {
  response.writeHead(status, {
    ...fields,
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(`${JSON.stringify(value)}\n`);
}

/** An answer that says what is wrong. */
export function wrong(status: number, error: string, fields: Readonly<Record<string, string>> = {}): ApiAnswer {
  return { status, value: { error }, fields };
}

/** The content of a request as text, or null where it has more bytes than that. */
export async function contentOf(request: IncomingMessage, bytesMax: number): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) return null;
      chunks.push(chunk);
    }
  } catch (error) {
    // Who goes away in the middle is no event.
    if (request.destroyed) return null;
    throw error;
  }
  return Buffer.concat(chunks).toString("utf8");
}
