/** The content of a QUERY, read whole: it is part of the cache key, so nothing can be looked up before. RFC 10008 §2.7. */
import type { Exchange } from "../wire/exchange.ts";

/** Larger contents are refused: keys are made from them, and members hand them to each other in one frame. */
const contentBytesMax = 256 * 1024;

/** Reads the content and hands it on, or null where it is too large. An asker who leaves meanwhile ends it silently. */
export function withContent(exchange: Exchange, take: (content: Buffer | null) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const body = exchange.body!;
  body.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= contentBytesMax) chunks.push(chunk);
  });
  body.once("end", () => take(bytes <= contentBytesMax ? Buffer.concat(chunks) : null));
}
