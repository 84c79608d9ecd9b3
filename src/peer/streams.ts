/** Requests between members as data: what the data plane hands to the link, and how it hears the answer. */
import type { FieldList } from "../http/fields.ts";

export interface PeerRequest {
  readonly epoch: number;
  readonly method: string;
  /** In normal form. */
  readonly uri: string;
  /** The client's address. */
  readonly client: string;
  readonly local: boolean;
  readonly secure: boolean;
  readonly plain: boolean;
  /** The client used a forward proxy, not a route. */
  readonly forward: boolean;
  readonly fields: FieldList;
  /** Small content that belongs to the cache key (QUERY), or null. */
  readonly content: Buffer | null;
}

export interface PeerResponseHandler {
  interim(status: number, fields: FieldList): void;
  /** `fields` are lines with CRLF, without framing. `whole` is all of the content where it came with the head; else data follows. */
  head(status: number, fields: Buffer, contentBytes: number | null, whole: Buffer | null): void;
  data(content: Buffer): void;
  end(trailers: FieldList): void;
  failed(reason: string): void;
}

/** A request under way. */
export interface PeerStream {
  /** Stops granting room: what is already on its way still comes. */
  pause(): void;
  resume(): void;
  cancel(): void;
}

/** Fields as the link carries them: names and values by turns, a line each. Neither can hold a line end. */
export function fieldsOfText(text: string): string[] {
  if (text === "") return [];
  const fields = text.split("\n");
  return fields.length % 2 === 0 ? fields : [];
}
