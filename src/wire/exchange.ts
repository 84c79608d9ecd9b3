/**
 * One request and its answer, as the data plane sees it, whether it came from a client's socket or over the peer link.
 * The asker may leave at any moment: writing to a closed exchange does nothing, and everybody who holds it is told once
 * (holds.ts).
 */
import type { Duplex, Readable } from "node:stream";
import type { FieldList } from "../http/fields.ts";
import type { RequestHead } from "../http/messages.ts";
import type { AnswerBytes, AnswerHead } from "./answer-head.ts";
import type { Hold, Holder } from "./holds.ts";
import type { Told } from "./unread.ts";

/** Who asked. */
export interface Client {
  readonly address: string;
  /** On this machine: may reach loopback and private origins. */
  readonly local: boolean;
  readonly scheme: "http" | "https";
  /** Where it asked, only this proxy is; undefined: both, as configured. */
  readonly role?: "forward" | "reverse";
  /** Where it asked, everything is sent on to https at this port. */
  readonly redirect?: number;
  /** The name that it asked for in its TLS handshake, as it said it; RFC 6066 §3. */
  readonly serverName?: string;
  /** Its connection speaks HTTP/2; heads of requests are those of HTTP/1.1 all the same. */
  readonly http2?: true;
}

/** What a client has spoken, as the access logs of others name it: HTTP/1.0, HTTP/1.1, HTTP/2.0. */
export function protocolOf({ minor }: RequestHead, { http2 }: Client): string {
  return http2 === true ? "HTTP/2.0" : minor === 0 ? "HTTP/1.0" : "HTTP/1.1";
}

export interface Exchange {
  readonly head: RequestHead & { readonly host: string; readonly plain: boolean; readonly conditional: boolean };
  readonly client: Client;
  /** 0 from a client, 1 from another member: such a request is never forwarded again. */
  readonly hop: 0 | 1;
  /** Of a request from another member: whether that follows the trace which the fields name. */
  readonly traced?: boolean;
  /** The request's content, or null where it has none. */
  readonly body: Readable | null;
  /** Whether a final response has been begun. */
  readonly answered: boolean;
  readonly closed: boolean;
  /**
   * Set before the answer where its content came from a loopback or private address: members that keep a copy must
   * know.
   */
  inner: boolean;
  /** Bytes of content sent so far. */
  readonly sentBytes: number;
  /** Why its content could not be read, where the client was told so by its connection instead of being answered. */
  readonly refusal?: Told | null;

  /** Hears when the asker leaves or has room again, until the hold is released. */
  hold(holder: Holder): Hold;
  /** Sends an interim response (1xx). */
  inform(status: number, fields: FieldList): void;
  /**
   * A whole answer in one: head, field lines that change (each with its CRLF), content (null for HEAD and 304). `taken`
   * as with `write`.
   */
  answer(head: AnswerHead, changing: string, content: Buffer | null, taken?: () => void): void;
  /** The same of what lies in a store as bytes. */
  answerBytes(answer: AnswerBytes, changing: string): void;
  /** Begins an answer whose content follows by `write`, then `end`; a length not known is framed as the asker needs. */
  begin(head: AnswerHead, changing: string): void;
  /**
   * @returns false where the asker is slower than the source: wait until it has drained. The bytes are not copied: they
   * must not change until `taken` is called, once, perhaps before this returns; without it, never.
   */
  write(content: Buffer, taken?: () => void): boolean;
  end(trailers?: FieldList): void;
  /** Cuts the answer short so that the asker notices: never mistaken for a complete one. */
  abort(): void;
  /**
   * Sends the request back to the member that forwarded it, which answers it itself. @returns false where nobody else
   * can answer: a client asks.
   */
  decline(reason: string): boolean;
  /** Hands the bare connection over for a tunnel; null where it cannot (a peer). `early` are bytes already received. */
  takeOver(): { readonly socket: Duplex; readonly early: Buffer } | null;
}
