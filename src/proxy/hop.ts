/**
 * One hop to the member that owns the key, and round it where it is dead: its successors on the ring in order, this member
 * itself among them. What was forwarded is never forwarded again.
 *
 * A member that dies in the middle of an answer: the rest is asked of the next one, and joined on only where a strong
 * validator and the length say that it is the same representation (RFC 9110 §8.8.1).
 */
import { endToEndFields } from "../http/connection-fields.ts";
import { isIdempotent } from "../http/messages.ts";
import { preparedHead } from "../wire/exchange.ts";
import type { Asking, PeerRequest, PeerStream } from "../peer/streams.ts";
import { headOfBlock, Resumption } from "./resumption.ts";
import { refuse } from "./refuse.ts";
import type { Ticket } from "./ticket.ts";

/** Members asked, one after the other, before this one goes to the origin itself. */
const triesMax = 3;

/** A member to ask, and what for. */
export interface Candidate {
  readonly member: string;
  readonly asking: Extract<Asking, "answer" | "stand-in">;
}

/** Forwards the ticket's request to the first of the candidates that answers; `here` answers it at this member instead. */
export function hop(ticket: Ticket, candidates: Iterator<Candidate>, here: () => void): void {
  let tries = 0;
  next();

  function next(): void {
    for (;;) {
      const candidate = tries++ < triesMax ? candidates.next() : { done: true as const };
      if (candidate.done === true || candidate.value.member === ticket.plane.self) return here();
      if (ask(ticket, candidate.value, next)) return;
    }
  }
}

/** @returns false where the member cannot be reached now; else `failed` is called if it dies before it has answered all. */
function ask(ticket: Ticket, { member, asking }: Candidate, failed: () => void): boolean {
  const { plane, exchange } = ticket;
  const { head } = exchange;
  const resumption = exchange instanceof Resumption ? exchange : null;
  let begun: Resumption | null = null;
  let forwarding = false;
  const stream: PeerStream | null = plane.peers.request(
    member,
    peerRequest(ticket, { asking, hops: 1, method: head.method, fields: fieldsForPeer(head.fields, ticket) }),
    {
      interim: (status, fields) => exchange.inform(status, fields),
      head: ({ status, fields, contentBytes }, whole) => {
        ticket.status = status;
        ticket.outcome = { hit: false, forward: "bypass", forwardStatus: status, detail: `owner-${member}` };
        const prepared = preparedHead(status, fields, contentBytes);
        const lines = ticket.lines(null);
        if (whole !== null) {
          over();
          exchange.answerPrepared(prepared, lines, head.method === "HEAD" ? null : whole);
          ticket.end(true);
          return;
        }
        begun = resumption ?? new Resumption(exchange, headOfBlock(status, fields, contentBytes));
        exchange.beginPrepared(prepared, lines);
        if (exchange.closed) {
          // What another member would continue with is not what was begun.
          stream!.cancel();
          over();
          ticket.end(false);
          return;
        }
        exchange.onDrain = () => stream!.resume();
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
      failed: (reason) => {
        plane.recorder.counts.forwardFailures++;
        over();
        if (exchange.closed) return ticket.end(false);
        exchange.onDrain = null;
        if (begun === null && !exchange.answered && isIdempotent(head.method)) return failed();
        if (begun?.resumable === true) {
          ticket.exchange = begun.again();
          return failed();
        }
        return refuse(ticket, 502, `the member that owns this URL went away: ${reason}`);
      },
    },
  );
  if (stream === null) return false;
  plane.recorder.counts.forwarded++;
  plane.recorder.counts.forwarding++;
  if (asking === "stand-in") plane.recorder.counts.passed++;
  forwarding = true;
  exchange.onClose = () => {
    stream.cancel();
    over();
    ticket.end(false);
  };
  return true;

  function over(): void {
    exchange.onClose = null;
    if (forwarding) plane.recorder.counts.forwarding--;
    forwarding = false;
  }
}

/** The ticket's request as another member gets it. */
export function peerRequest(
  { plane, exchange: { head, client }, target, content }: Ticket,
  how: Pick<PeerRequest, "asking" | "hops" | "method" | "fields">,
): PeerRequest {
  return {
    ...how,
    epoch: plane.view.epoch,
    uri: target.text,
    client: client.address,
    local: client.local,
    secure: client.scheme === "https",
    plain: head.plain,
    forward: target.route === null,
    content,
  };
}

/** What the owner needs: end-to-end fields. A plain request needs few of them, but Vary may name any. */
function fieldsForPeer(fields: readonly string[], { exchange }: Ticket): readonly string[] {
  return exchange.head.plain ? fields : endToEndFields(fields);
}
