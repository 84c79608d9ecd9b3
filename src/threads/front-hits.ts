/**
 * Hits, answered from the store's memory by a thread that only reads it. As the shortcut (proxy/shortcut.ts) it decides
 * nothing: home has answered the same form of request for the same key before, under the same settings. What is
 * anything but that is home's.
 */
import { fieldBlock, fieldsOfBlock } from "../http/fields.ts";
import { currentAge } from "../http/freshness.ts";
import { mayBeShown } from "../proxy/answer/inside.ts";
import { notModifiedFor } from "../proxy/answer/not-modified.ts";
import type { HitLines } from "../proxy/request/hit-lines.ts";
import type { AccessRecord } from "../proxy/request/recorder.ts";
import { isOfForms, routeOfForms } from "../proxy/request/kept-forms.ts";
import { formOf, keyOf } from "../proxy/shortcut.ts";
import type { PageGlance } from "../store/pages/page-glance.ts";
import type { PageReader } from "../store/pages/page-reader.ts";
import type { AnswerHead } from "../wire/answer-head.ts";
import type { ClientSocket } from "../wire/client-socket.ts";
import { protocolOf, type Client } from "../wire/exchange.ts";
import type { ReadyAnswer } from "../wire/http2/session.ts";
import type { ParsedHead } from "../wire/request-head.ts";
import { writeTogether } from "../wire/together.ts";
import type { Board } from "./board.ts";

/** Answers whose bytes are gathered before they are written, for pipelined requests. */
const gatherBytes = 64 * 1024;
/** What is not longer is copied, and leaves with the others of its turn: half of the buffer pool. */
const copiedBytesMax = 4096;

/** How long a thread has to go by the system's monotonic clock; ms. */
export type MonotonicMs = () => number;

export interface FrontHitsOptions {
  readonly front: number;
  readonly board: Board;
  readonly reader: PageReader;
  readonly lines: HitLines;
  readonly self: string;
  readonly monotonicMs: MonotonicMs;
  /** Whether home wants to see a request: it is part of a trace that is followed. */
  readonly isTraced: (head: ParsedHead, client: Client) => boolean;
  /** Where a line is wanted of the next request. */
  readonly log: {
    readonly wants: () => boolean;
    readonly wantsTags: () => boolean;
    readonly write: (record: AccessRecord) => void;
  };
}

/** What a connection asks. */
export interface Answerer {
  /** Answers a plain request of a connection that is kept. @returns false where this is not for this thread. */
  answer(head: ParsedHead, client: Client, socket: ClientSocket): boolean;
  /** Writes what has been gathered. */
  flush(socket: ClientSocket): void;
}

/** See above. */
export class FrontHits implements Answerer {
  readonly #options: FrontHitsOptions;
  #gathered: Buffer = Buffer.allocUnsafeSlow(gatherBytes);
  #at = 0;
  /** The number of the route of the last hit, and its tags where somebody wants to know them. */
  #route = 0;
  /** The status that was answered last. */
  #status = 0;
  #tags: readonly string[] = [];

  constructor(options: FrontHitsOptions) {
    this.#options = options;
  }

  answer(head: ParsedHead, client: Client, socket: ClientSocket): boolean {
    const { board, reader, front } = this.#options;
    if (!board.isJoined || this.#options.isTraced(head, client)) return false;
    const startedMs = this.#options.monotonicMs();
    const glance = reader.enter(keyOf(head, client), head.fields);
    if (glance === null) return false;
    let bytes = -1;
    try {
      bytes = this.#copied(glance, head, client, socket, startedMs);
    } finally {
      reader.leave();
    }
    if (bytes === -1) return false;
    const { isCopy } = glance;
    const status = this.#status;
    const durationMs = this.#options.monotonicMs() - startedMs;
    board.hit(front, status, bytes, durationMs, isCopy, this.#route);
    if (this.#options.log.wants())
      this.#options.log.write(this.#recordOf(head, client, { status, isCopy, bytes, durationMs }));
    return true;
  }

  /** The same as fields and content, for another version of HTTP; null where it is not for this thread. */
  ready(head: ParsedHead, client: Client): ReadyAnswer | null {
    const { board, reader, front, log } = this.#options;
    if (!board.isJoined || this.#options.isTraced(head, client)) return null;
    const startedMs = this.#options.monotonicMs();
    const glance = reader.enter(keyOf(head, client), head.fields);
    if (glance === null) return null;
    let answer: ReadyAnswer | null = null;
    try {
      const tail = this.#tailOf(glance, head, client, startedMs);
      if (tail !== null) {
        const { memory, status, headAt, fieldsAt, headEnd, contentAt, contentEnd } = glance;
        if (contentEnd - headAt > gatherBytes) return null;
        const kept = this.#notModified(glance, head, startedMs);
        const content = Buffer.allocUnsafe(kept !== null || head.method === "HEAD" ? 0 : contentEnd - contentAt);
        memory.copy(content, 0, contentAt, contentAt + content.length);
        const lines = kept === null ? memory.toString("latin1", fieldsAt, headEnd) : fieldBlock(kept.fields);
        answer = { status: kept === null ? status : 304, fields: fieldsOfBlock(lines + tail), content };
        glance.used();
      }
    } finally {
      reader.leave();
    }
    if (answer === null) return null;
    const { isCopy } = glance;
    const { status } = answer;
    const bytes = answer.content.length;
    const durationMs = this.#options.monotonicMs() - startedMs;
    board.hit(front, status, bytes, durationMs, isCopy, this.#route);
    if (log.wants()) log.write(this.#recordOf(head, client, { status, isCopy, bytes, durationMs }));
    return answer;
  }

  flush(socket: ClientSocket): void {
    if (this.#at === 0) return;
    const bytes = this.#gathered.subarray(0, this.#at);
    this.#at = 0;
    // Small copies cost next to nothing.
    if (bytes.length <= copiedBytesMax) return writeTogether(socket, Buffer.from(bytes));
    // TLS never takes it at once.
    if ("encrypted" in socket) return void socket.write(Buffer.from(bytes));
    socket.write(bytes);
    // What the system has not taken at once is read later: the memory is its own until then.
    if (socket.writableLength > 0) this.#gathered = Buffer.allocUnsafeSlow(gatherBytes);
  }

  /** Puts the answer together. @returns bytes of its content, or -1 where it may not be given here. */
  #copied(glance: PageGlance, head: ParsedHead, client: Client, socket: ClientSocket, nowMs: number): number {
    const tail = this.#tailOf(glance, head, client, nowMs);
    if (tail === null) return -1;
    const { memory, headAt, headEnd, contentAt } = glance;
    const kept = this.#notModified(glance, head, nowMs);
    const contentEnd = kept !== null || head.method === "HEAD" ? contentAt : glance.contentEnd;
    const begin = kept === null ? null : kept.http1;
    const bytes = (begin?.length ?? headEnd - headAt) + tail.length + 2 + contentEnd - contentAt;
    if (bytes > gatherBytes) return -1;
    if (this.#at + bytes > gatherBytes) this.flush(socket);
    const into = this.#gathered;
    let at = this.#at;
    at += begin === null ? memory.copy(into, at, headAt, headEnd) : begin.copy(into, at);
    at += into.write(tail, at, "latin1");
    into[at++] = 0x0d;
    into[at++] = 0x0a;
    at += memory.copy(into, at, contentAt, contentEnd);
    this.#at = at;
    this.#status = kept === null ? glance.status : 304;
    glance.used();
    return contentEnd - contentAt;
  }

  /** The head of a 304, where that is asked for and what is stored is what the client has; else null. */
  #notModified(glance: PageGlance, { conditional, fields }: ParsedHead, nowMs: number): AnswerHead | null {
    return conditional ? notModifiedFor(fields, glance, this.#options.board.baseSeconds + nowMs / 1000) : null;
  }

  /** The lines that change with an answer; null where it may not be given here. */
  #tailOf(glance: PageGlance, head: ParsedHead, client: Client, nowMs: number): string | null {
    const { board, lines, log } = this.#options;
    const kept = glance.formsNow(board.settings, board.epoch);
    if (!isOfForms(kept, formOf(head, client), head.fields)) return null;
    this.#route = routeOfForms(kept);
    const now = board.baseSeconds + nowMs / 1000;
    if (now >= glance.freshUntil || now > board.trustedUntil || !mayBeShown(glance.inner, { client })) return null;
    this.#tags = log.wantsTags() ? glance.tags : [];
    return lines.of(Math.floor(currentAge(glance, now)), glance.lifetimeSeconds, glance.isCopy);
  }

  /** A hit as the access log tells it. */
  #recordOf(
    head: ParsedHead,
    client: Client,
    { status, isCopy, bytes, durationMs }: Pick<AccessRecord, "status" | "bytes" | "durationMs"> & { isCopy: boolean },
  ): AccessRecord {
    const { method, target, fields } = head;
    return {
      client: client.address,
      serverName: client.serverName ?? null,
      protocol: protocolOf(head, client),
      method,
      uri: keyOf(head, client),
      status,
      tier: isCopy ? "copy" : "memory",
      tags: this.#tags,
      outcome: "hit",
      reason: "fresh",
      owner: this.#options.self,
      owned: null,
      origin: null,
      requestId: null,
      trace: null,
      route: undefined,
      firstByteMs: durationMs,
      target,
      fields,
      hop: 0,
      bytes,
      durationMs,
      complete: true,
    };
  }
}
