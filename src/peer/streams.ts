/** Requests between members as data: what the data plane hands to the link, and how it hears the answer. */
import type { FieldList } from "../http/fields.ts";

/**
 * What a request asks of the member that receives it: to answer as the owner does; to stand in for an owner that is
 * busy; to show what it has stored without fetching anything; or to hand over what it has stored under a key.
 */
export type Asking = "answer" | "stand-in" | "peek" | "by-key";

/** Whether nobody else could be asked: what a member that leaves hands over is worth waiting for. */
export function asksAlone(asking: Asking): boolean {
  return asking === "by-key";
}

export interface PeerRequest {
  readonly asking: Asking;
  /** 1 from the member that the client spoke to, 2 from one that stands in for the owner. */
  readonly hops: 1 | 2;
  readonly epoch: number;
  readonly method: string;
  /** In normal form. */
  readonly uri: string;
  /** The client's address. */
  readonly client: string;
  /** The client is where the asked member is, so that loopback means the same to both. */
  readonly local: boolean;
  readonly secure: boolean;
  readonly plain: boolean;
  /** The client used a forward proxy, not a route. */
  readonly forward: boolean;
  /**
   * Of the settings that decide this request's key and way; 0 where they do not matter. A member with others declines.
   */
  readonly settings: number;
  /**
   * How far the asking member has heard of invalidations, as JSON, or of those told lately; empty where that is none.
   * Who has heard less does not answer.
   */
  readonly heard: string;
  /** The answer is to be kept: whoever answers says how the response is tagged. */
  readonly keeps: boolean;
  /** The asking member follows the trace that the fields name. */
  readonly traced?: boolean;
  readonly fields: FieldList;
  /** Small content that belongs to the cache key (QUERY), or null. */
  readonly content: Buffer | null;
}

export interface PeerResponseHead {
  readonly status: number;
  /** Lines with CRLF, without framing. */
  readonly fields: Buffer;
  readonly contentBytes: number | null;
  /** The content came from a loopback or private address. */
  readonly inner: boolean;
}

export interface PeerResponseHandler {
  interim(status: number, fields: FieldList): void;
  /** `whole` is all of the content where it came with the head; else data follows. */
  head(head: PeerResponseHead, whole: Buffer | null): void;
  data(content: Buffer): void;
  end(trailers: FieldList): void;
  /** `declined`: the member is there, but another must answer this request. */
  failed(reason: string, how: "gone" | "declined"): void;
  /** Whether an answer that has begun is nobody's yet: where the member stands still, another may be asked for it. */
  isUnheard?(): boolean;
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
