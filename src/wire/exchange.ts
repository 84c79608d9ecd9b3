/**
 * One request and its answer, as the data plane sees it, whether it came from a client's socket or over the peer link.
 * The asker may leave at any moment: writing to a closed exchange does nothing, and `onClose` says so once.
 */
import type { Duplex, Readable } from "node:stream";
import type { FieldList } from "../http/fields.ts";
import { reasonPhrase, type RequestHead } from "../http/messages.ts";

/** Who asked. */
export interface Client {
  readonly address: string;
  /** On this machine: may reach loopback and private origins. */
  readonly local: boolean;
  readonly scheme: "http" | "https";
}

/** A response's status line and fields, written once and sent many times. */
export interface PreparedHead {
  readonly status: number;
  /** Status line, field lines, and Content-Length where the length is known; without the empty line. */
  readonly bytes: Buffer;
  /** Where the field lines begin, and where Content-Length does. */
  readonly fieldsAt: number;
  readonly lengthAt: number;
  /** Bytes of content, or null where only its end will tell. */
  readonly contentBytes: number | null;
}

/** Writes a head once: `fields` are lines with their CRLF, without framing and connection fields. */
export function preparedHead(status: number, fields: string | Buffer, contentBytes: number | null): PreparedHead {
  const line = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
  const length = contentBytes === null || status === 204 || status < 200 ? "" : `content-length: ${contentBytes}\r\n`;
  const bytes = Buffer.allocUnsafeSlow(line.length + fields.length + length.length);
  bytes.write(line, 0, "latin1");
  if (typeof fields === "string") bytes.write(fields, line.length, "latin1");
  else bytes.set(fields, line.length);
  bytes.write(length, line.length + fields.length, "latin1");
  return { status, bytes, fieldsAt: line.length, lengthAt: line.length + fields.length, contentBytes };
}

export interface Exchange {
  readonly head: RequestHead & { readonly host: string; readonly plain: boolean };
  readonly client: Client;
  /** 0 from a client, 1 from another member: such a request is never forwarded again. */
  readonly hop: 0 | 1;
  /** The request's content, or null where it has none. */
  readonly body: Readable | null;
  /** Whether a final response has been begun. */
  readonly answered: boolean;
  readonly closed: boolean;
  /** Set before the answer where its content came from a loopback or private address: members that keep a copy must know. */
  inner: boolean;
  /** Bytes of content sent so far. */
  readonly sentBytes: number;
  onDrain: (() => void) | null;
  onClose: (() => void) | null;

  /** Sends an interim response (1xx). */
  inform(status: number, fields: FieldList): void;
  /** Begins the final response; `contentBytes` null means that the length is not known yet. Content follows by `write`, then `end`. */
  answer(status: number, fields: FieldList, contentBytes: number | null): void;
  /** A whole answer in one: prepared head, field lines that change (each with its CRLF), content (null for HEAD and 304). */
  answerPrepared(head: PreparedHead, changing: string, content: Buffer | null): void;
  /** Begins an answer with a prepared head whose content follows by `write`; a length not known is framed as the asker needs. */
  beginPrepared(head: PreparedHead, changing: string): void;
  /** @returns false where the asker is slower than the source: wait for `onDrain`. The bytes are not copied: they must not change. */
  write(content: Buffer): boolean;
  end(trailers?: FieldList): void;
  /** Cuts the answer short so that the asker notices: never mistaken for a complete one. */
  abort(): void;
  /** Hands the bare connection over for a tunnel; null where it cannot (a peer). `early` are bytes already received. */
  takeOver(): { readonly socket: Duplex; readonly early: Buffer } | null;
}
