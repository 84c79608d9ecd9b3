/**
 * One hop to the member that owns the key, and round it where it is dead: its successors on the ring in order, this
 * member itself among them. What was forwarded is not forwarded again, but to the owner by who stands in for it.
 *
 * A member that dies in the middle of an answer: the rest is asked of the next one, and joined on only where a strong
 * validator and the length say that it is the same representation (RFC 9110 §8.8.1). A member that declines (it has
 * other settings for this request, or may not reach where its client may) is not dead: this member answers itself.
 */
import { endToEndFields } from "../../http/connection-fields.ts";
import { isIdempotent } from "../../http/messages.ts";
import type { Peers } from "../../peer/peers.ts";
import type { Asking, PeerStream } from "../../peer/streams.ts";
import type { View } from "../../ring/view.ts";
import type { Hold } from "../../wire/holds.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import { refuse } from "../answer/refuse.ts";
import { ownPartOf } from "../fetch/own-part.ts";
import { peerRequest } from "../fetch/peer-request.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import { withRequestId } from "../request/request-id.ts";
import type { Ticket } from "../request/ticket.ts";
import { identityOf, Resumption } from "./resumption.ts";

/** Members asked, one after the other, before this one goes to the origin itself. */
const triesMax = 3;

/** A member to ask, and what for. */
export interface Candidate {
  readonly member: string;
  readonly asking: Extract<Asking, "answer" | "stand-in">;
}

export interface HopNeeds {
  readonly self: string;
  readonly current: { readonly view: View };
  readonly peers: Pick<Peers, "request">;
  readonly invalidations: Pick<Invalidations, "recentReachText">;
}

/** What is done where no other member answers. */
export interface Fallback {
  /** None of them could be reached. */
  readonly none: () => void;
  /** One of them sent the request back. */
  readonly declined: () => void;
}

/** Forwards the ticket's request to the first of the candidates that answers. */
export function hop(needs: HopNeeds, ticket: Ticket, candidates: Iterator<Candidate>, fallback: Fallback): void {
  let tries = 0;
  next();

  function next(): void {
    for (;;) {
      const candidate = tries++ < triesMax ? candidates.next() : { done: true as const };
      if (candidate.done === true || candidate.value.member === needs.self) return fallback.none();
      if (ask(needs, ticket, candidate.value, (how) => (how === "declined" ? fallback.declined() : next()))) return;
    }
  }
}

/** @returns false where the member cannot be reached now; else `failed` is called if somebody else must answer. */
function ask(
  { peers, current, invalidations }: HopNeeds,
  ticket: Ticket,
  { member, asking }: Candidate,
  failed: (how: "gone" | "declined") => void,
): boolean {
  const { desk, exchange } = ticket;
  const { recorder } = desk;
  const { head } = exchange;
  const resumption = exchange instanceof Resumption ? exchange : null;
  let begun: Resumption | null = null;
  let forwarding = false;
  // Whoever has left already is told before `hold` returns.
  let hold: Hold | null = null;
  const own = head.plain ? head.fields : endToEndFields(head.fields);
  const fields = withRequestId(own, ticket.requestId);
  const stream: PeerStream | null = peers.request(
    member,
    peerRequest(ticket, current.view, member, {
      asking,
      hops: exchange.hop === 1 ? 2 : 1,
      method: head.method,
      heard: invalidations.recentReachText(),
      keeps: false,
      fields,
    }),
    {
      interim: (status, informed) => exchange.inform(status, informed),
      head: ({ status, fields: block, contentBytes }, whole) => {
        ticket.status = status;
        ticket.owned = ownPartOf(block);
        ticket.outcome = { hit: false, forward: "bypass", forwardStatus: status, detail: `owner-${member}` };
        const answerHead = AnswerHead.ofBlock(status, block, contentBytes);
        const lines = ticket.lines(null);
        if (whole !== null) {
          over();
          exchange.answer(answerHead, lines, head.method === "HEAD" ? null : whole);
          return ticket.end(true);
        }
        begun = resumption ?? new Resumption(exchange, identityOf(answerHead));
        exchange.begin(answerHead, lines);
        if (!exchange.closed) return undefined;
        // What another member would continue with is not what was begun.
        stream!.cancel();
        over();
        return ticket.end(false);
      },
      data: (content) => {
        begun?.count(content.length);
        if (!exchange.write(content)) stream!.pause();
      },
      end: (trailers) => {
        over();
        exchange.end(trailers);
        ticket.end(true);
      },
      failed: (reason, how) => {
        over();
        if (how === "declined") {
          recorder.declined();
          return exchange.closed ? ticket.end(false) : failed(how);
        }
        recorder.forwardFailed();
        if (member === ticket.owner) ticket.ownerGone = true;
        if (exchange.closed) return ticket.end(false);
        if (begun === null && !exchange.answered && isIdempotent(head.method)) return failed(how);
        if (begun?.resumable === true) {
          ticket.exchange = begun.again();
          return failed(how);
        }
        return refuse(ticket, 502, `the member that owns this URL went away: ${reason}`);
      },
    },
  );
  if (stream === null) return false;
  recorder.forwarded(asking);
  forwarding = true;
  hold = exchange.hold({
    left: () => {
      stream.cancel();
      over();
      ticket.end(false);
    },
    drained: () => stream.resume(),
  });
  return true;

  function over(): void {
    hold?.release();
    if (forwarding) recorder.forwardEnded();
    forwarding = false;
  }
}
