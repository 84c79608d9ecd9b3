/** A ticket's request as another member gets it. */
import type { View } from "../../ring/view.ts";
import type { PeerRequest } from "../../peer/streams.ts";
import { withTrace } from "../request/trace.ts";
import type { Ticket } from "../request/ticket.ts";

/** How one member asks another. */
export type HowAsked = Pick<PeerRequest, "asking" | "hops" | "method" | "fields" | "heard" | "keeps">;

/** The request for `member`; loopback means the same to both only where they stand at the same place. */
export function peerRequest(ticket: Ticket, view: View, member: string, how: HowAsked): PeerRequest {
  const {
    desk,
    exchange: { head, client },
    target,
    content,
  } = ticket;
  const { trace } = ticket;
  return {
    ...how,
    fields: withTrace(how.fields, trace),
    traced: trace !== null,
    epoch: view.epoch,
    uri: target.text,
    client: client.address,
    local: client.local && shareAPlace(view, desk.self, member),
    secure: client.scheme === "https",
    // What is to be kept is answered by the whole way, which says more of it.
    plain: head.plain && !how.keeps,
    forward: target.route === null,
    settings: target.settings,
    content,
  };
}

/** Whether two members say that they stand in one network namespace of one machine. */
export function shareAPlace({ byName }: View, one: string, other: string): boolean {
  const [a, b] = [byName.get(one)?.place, byName.get(other)?.place];
  return a !== undefined && a === b;
}
