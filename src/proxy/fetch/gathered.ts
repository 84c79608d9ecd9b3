/**
 * Small content of a request that may be repeated, read whole before the origin is asked: then it can be sent again,
 * on another connection or to another origin.
 */
import type { Readable } from "node:stream";
import { fieldValue, hasField } from "../../http/fields.ts";
import { isIdempotent } from "../../http/messages.ts";
import type { Fetch } from "../../origin/fetch.ts";
import { OriginError } from "../../origin/origin-error.ts";
import type { Exchange } from "../../wire/exchange.ts";

/** Content up to so many bytes is held. */
const gatheredBytesMax = 64 * 1024;

/** Whether an exchange's content is such. Who waits for a word before sending it must get the origin's own. */
export function isGathered({ head, body }: Pick<Exchange, "head" | "body">): boolean {
  const length = fieldValue(head.fields, "content-length");
  return (
    body !== null &&
    length !== undefined &&
    Number(length) <= gatheredBytesMax &&
    isIdempotent(head.method) &&
    !hasField(head.fields, "expect")
  );
}

/** Reads the content, then begins the fetch with it. */
export function gathered(
  body: Readable,
  begin: (content: Buffer) => Fetch | null,
  failed: (error: OriginError) => void,
): Fetch {
  const chunks: Buffer[] = [];
  let fetch: Fetch | null = null;
  let isPaused = false;
  let isOver = false;
  const broken = (): void => {
    if (isOver) return;
    isOver = true;
    failed(new OriginError("content", "REQUEST_CONTENT", "the client's content broke off", 502, false));
  };
  body.on("data", (chunk: Buffer) => void chunks.push(chunk));
  body.on("error", broken);
  body.on("close", broken);
  body.on("end", () => {
    if (isOver) return;
    isOver = true;
    fetch = begin(Buffer.concat(chunks));
    if (isPaused) fetch?.pause();
  });
  return {
    pause: () => {
      isPaused = true;
      fetch?.pause();
    },
    resume: () => {
      isPaused = false;
      fetch?.resume();
    },
    cancel: () => {
      isOver = true;
      if (fetch === null) body.destroy();
      else fetch.cancel();
    },
  };
}
