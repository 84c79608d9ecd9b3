/**
 * One hop to the member that owns the key, and round it where it is dead: its successors on the ring in order, this member
 * itself among them. What was forwarded is never forwarded again.
 *
 * A member that dies in the middle of an answer: the rest is asked of the next one, and joined on only where a strong
 * validator and the length say that it is the same representation (RFC 9110 §8.8.1).
 */
import { endToEndFields } from "../http/connection-fields.ts";
import { isIdempotent } from "../http/messages.ts";
import { successors } from "../ring/ring.ts";
import { preparedHead } from "../wire/exchange.ts";
import type { PeerStream } from "../peer/streams.ts";
import { headOfBlock, Resumption } from "./resumption.ts";
import { refuse } from "./refuse.ts";
import type { Ticket } from "./ticket.ts";

/** Members asked, one after the other, before this one goes to the origin itself. */
const triesMax = 3;

/** Forwards the ticket's request; `here` answers it at this member instead. */
export function hop(ticket: Ticket, hash: number, here: () => void): void {
  const candidates = successors(ticket.plane.view.ring, hash);
  let tries = 0;
  next();

  function next(): void {
    for (;;) {
      const candidate = tries++ < triesMax ? candidates.next() : { done: true as const };
      if (candidate.done === true || candidate.value.name === ticket.plane.self) return here();
      if (ask(ticket, candidate.value.name, next)) return;
    }
  }
}

/** @returns false where the member cannot be reached now; else `failed` is called if it dies before it has answered all. */
function ask(ticket: Ticket, member: string, failed: () => void): boolean {
  const { plane, target } = ticket;
  const { exchange } = ticket;
  const { head, client } = exchange;
  const resumption = exchange instanceof Resumption ? exchange : null;
  let begun: Resumption | null = null;
  const stream: PeerStream | null = plane.peers.request(
    member,
    {
      epoch: plane.view.epoch,
      method: head.method,
      uri: target.text,
      client: client.address,
      local: client.local,
      secure: client.scheme === "https",
      plain: head.plain,
      forward: target.route === null,
      fields: fieldsForPeer(head.fields, ticket),
      content: ticket.content,
    },
    {
      interim: (status, fields) => exchange.inform(status, fields),
      head: (status, block, contentBytes, whole) => {
        ticket.status = status;
        ticket.outcome = { hit: false, forward: "bypass", forwardStatus: status, detail: `owner-${member}` };
        const prepared = preparedHead(status, block, contentBytes);
        const lines = ticket.lines(null);
        if (whole !== null) {
          exchange.onClose = null;
          exchange.answerPrepared(prepared, lines, head.method === "HEAD" ? null : whole);
          ticket.end(true);
          return;
        }
        begun = resumption ?? new Resumption(exchange, headOfBlock(status, block, contentBytes));
        exchange.beginPrepared(prepared, lines);
        if (exchange.closed) {
          // What another member would continue with is not what was begun.
          stream!.cancel();
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
        exchange.onClose = null;
        exchange.end(trailers);
        ticket.end(true);
      },
      failed: (reason) => {
        plane.recorder.counts.forwardFailures++;
        if (exchange.closed) return ticket.end(false);
        exchange.onClose = null;
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
  exchange.onClose = () => {
    stream.cancel();
    ticket.end(false);
  };
  return true;
}

/** What the owner needs: end-to-end fields. A plain request needs few of them, but Vary may name any. */
function fieldsForPeer(fields: readonly string[], { exchange }: Ticket): readonly string[] {
  return exchange.head.plain ? fields : endToEndFields(fields);
}
