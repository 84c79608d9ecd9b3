/** What fetching needs of its member, beside the ticket's desk. */
import type { Peers } from "../../peer/peers.ts";
import type { View } from "../../ring/view.ts";
import type { Store } from "../../store/port.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import type { Ownership } from "../invalidation/ownership.ts";
import type { Ticket } from "../request/ticket.ts";
import type { Routing } from "../request/routes.ts";
import type { Uncacheable } from "./uncacheable.ts";

export interface FetchNeeds {
  /** The view and the routing of this moment: both are replaced as a whole. */
  readonly current: { readonly view: View; readonly routing: Routing };
  readonly store: Store;
  readonly peers: Pick<Peers, "request" | "isUp" | "isDialling" | "whenUp">;
  readonly ownership: Ownership;
  readonly uncacheable: Uncacheable;
  /** Keys of other members whose last response could not be copied. */
  readonly uncopied: Uncacheable;
  readonly invalidations: Pick<Invalidations, "everywhere" | "isInTouch" | "reachText">;
  /** Responses larger than this pass through unstored. Bytes. */
  readonly objectBytesMax: number;
  /** Answers a request for the uncoded response, of which a coded one is made. */
  readonly answerIdentity: (ticket: Ticket, hash: number) => void;
  /** A bug or a lost promise, for the log. */
  readonly failed: (error: Error) => void;
}
