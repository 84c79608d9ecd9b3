/**
 * What a flight brings for those who take a coding: the uncoded response, asked for like any other, coded on its way.
 * So an origin is asked once for all codings, and each is made once, when somebody asks for it first.
 *
 * What is not worth it is for nobody to be coded: where the uncoded response is stored, all who wait start over and are
 * answered with that; where it is not, it passes as it is.
 */
import { codedFields, codedUpdate, isWorthCoding, plainRequest, type Coding } from "../../http/codings.ts";
import { withoutFields } from "../../http/fields.ts";
import type { Fetch, OriginHandler } from "../../origin/fetch.ts";
import { OriginError } from "../../origin/origin-error.ts";
import type { AnswerHead } from "../../wire/answer-head.ts";
import { Ticket, type Refusal } from "../request/ticket.ts";
import { Coder } from "./coder.ts";
import { IdentityExchange } from "./identity-exchange.ts";
import type { FetchNeeds } from "./needs.ts";
import { isHit } from "./sharing.ts";

/** A flight that ends so has found that its response is not to be coded: who waits for it starts over. */
export const uncoded = "UNCODED";

/** Silence after which what has been written goes out, where nobody knows how much will come. */
const flushMs = 20;

/** What is asked: as of an origin. */
export interface CodedAsking {
  readonly hash: number;
  readonly method: string;
  /** The client's conditions go along, or are replaced by those of a validation. */
  readonly conditional: "kept" | readonly string[];
  /** Told what the response is tagged with: its fields may not say it. */
  readonly tagged: (tags: readonly string[]) => void;
}

/** Starts it. The handler hears of it like of a fetch from an origin. */
export function fetchCoded(
  needs: FetchNeeds,
  first: Ticket,
  coding: Coding,
  asking: CodedAsking,
  handler: OriginHandler,
): Fetch {
  const { exchange, target, desk, trusted } = first;
  let coder: Coder | null = null;
  let over = false;
  let isStream = false;
  let paused = false;
  const ended = (): boolean => {
    const before = over;
    over = true;
    return before;
  };
  const broken = (): void => {
    coder?.destroy();
    if (!ended())
      handler.failed(
        new OriginError("content", "CODING_FAILED", "the response broke off while it was compressed", 502, false),
      );
  };
  const { method, conditional, hash, tagged } = asking;
  const fields =
    conditional === "kept"
      ? plainRequest(exchange.head.fields, coding)
      : plainRequest([...withoutFields(exchange.head.fields, conditions), ...conditional], coding);
  const identity = new IdentityExchange(
    exchange,
    { method, fields },
    {
      interim: (status, informed) => (over ? undefined : handler.interim(status, informed)),
      head: (head, ageSeconds) => (over ? undefined : begun(head, ageSeconds)),
      data: (content, taken) => {
        if (over || coder === null) {
          if (!over) handler.data(content);
          taken();
          return over || !paused;
        }
        const goesOn = coder.write(content, taken);
        if (isStream) coder.flushWithin(flushMs);
        return goesOn;
      },
      end: (trailers) => {
        if (coder !== null) return coder.end();
        return ended() ? undefined : handler.end(trailers);
      },
      aborted: broken,
    },
  );
  const ticket = new Ticket(desk, {
    exchange: identity,
    target: { ...target, coding: null },
    content: null,
    trusted,
    shortcut: 0,
    isForKeeping: false,
    madeFor: { ticket: first, refused },
  });
  // Never within this call, as from an origin.
  queueMicrotask(() => (over ? undefined : needs.answerIdentity(ticket, hash)));
  return {
    pause: () => {
      paused = true;
      coder?.pause();
    },
    resume: () => {
      paused = false;
      if (coder === null) identity.drained();
      else coder.resume();
    },
    cancel: () => {
      if (ended()) return;
      coder?.destroy();
      identity.leave();
    },
  };

  function begun(head: AnswerHead, ageSeconds: number | null): void {
    const { status, contentBytes } = head;
    const age = ageSeconds === null ? [] : ["age", String(ageSeconds)];
    const length = contentBytes === null ? [] : ["content-length", String(contentBytes)];
    const { outcome, shown, staleBy } = ticket;
    const { hit, stored, forwardStatus } = outcome;
    first.origin = ticket.origin;
    // What failed for the uncoded response has failed for this one: what is stored coded may serve, or may not.
    if (staleBy !== null && conditional !== "kept" && conditional.length > 0) {
      over = true;
      identity.leave();
      return handler.failed(new OriginError("head", "STALE", "the origin cannot be asked", 502, false));
    }
    first.codedFrom = { outcome, shown, isStale: staleBy !== null };
    tagged(ticket.tags);
    if (status === 304) {
      const asked = conditional === "kept" ? exchange.head.fields : null;
      return handler.head(status, [...codedUpdate(head.fields, coding, asked), ...age], false);
    }
    const isKept = hit || stored === true || forwardStatus === 304;
    const isWorth = isWorthCoding(status, head.fields, contentBytes, target.route!.compression!);
    if (isWorth && method !== "HEAD")
      coder = Coder.coding(coding, isKept ? "stored" : "passing", contentBytes, {
        data: (chunk) => (over ? undefined : handler.data(chunk)),
        end: () => (ended() ? undefined : handler.end([])),
        failed: () => {
          identity.leave();
          broken();
        },
        drained: () => identity.drained(),
      });
    isStream = contentBytes === null;
    if (isWorth && (coder !== null || method === "HEAD"))
      return handler.head(status, [...codedFields(head.fields, coding), ...age], false);
    // Those who start over must find it there, and fresh: else it is asked for again.
    if (!isKept || shown === null || !isHit(shown, desk.nowSeconds()))
      return handler.head(status, [...head.fields, ...length, ...age], false);
    over = true;
    handler.failed(new OriginError("content", uncoded, "the response is not to be compressed", 502, false));
    return identity.leave();
  }

  /** The uncoded response cannot be had: nor can this one. */
  function refused({ status, reason, fields: more }: Refusal): void {
    first.origin = ticket.origin;
    if (ended()) return;
    identity.leave();
    const answered = status === 403 || status === 503 || status === 504 ? status : 502;
    handler.failed(new OriginError("head", ticket.outcome.detail ?? "REFUSED", reason, answered, false, more));
  }
}

const conditions: ReadonlySet<string> = new Set(["if-none-match", "if-modified-since"]);
