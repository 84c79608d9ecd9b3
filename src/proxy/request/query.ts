/**
 * The content of a QUERY, read whole: it is part of the cache key, so nothing can be looked up before. RFC 10008 §2.7.
 */
import { fieldValue } from "../../http/fields.ts";
import type { Exchange } from "../../wire/exchange.ts";

/** Larger contents are refused: keys are made from them, and members hand them to each other in one frame. */
const contentBytesMax = 256 * 1024;

/**
 * Reads the content and hands it on, or null as soon as it is known to be too large. An asker who leaves meanwhile ends
 * it silently.
 */
export function withContent(exchange: Exchange, take: (content: Buffer | null) => void): void {
  const declared = fieldValue(exchange.head.fields, "content-length");
  if (declared !== undefined && Number(declared) > contentBytesMax) return take(null);
  const chunks: Buffer[] = [];
  let bytes = 0;
  const body = exchange.body!;
  const received = (chunk: Buffer): void => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes <= contentBytesMax) return;
    body.off("data", received);
    body.off("end", ended);
    take(null);
  };
  const ended = (): void => take(Buffer.concat(chunks));
  body.on("data", received);
  body.once("end", ended);
  return undefined;
}
