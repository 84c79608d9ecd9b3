/** What a flight begins with. */
import type { Outcome } from "../../http/cache-status.ts";
import type { Lease } from "../../store/port.ts";
import type { Ticket } from "../request/ticket.ts";
import type { PeerSource } from "./peer-source.ts";

/** Why a request goes forward. */
export type Why = NonNullable<Outcome["forward"]>;

/** What a flight is for. */
export interface FlightInit {
  readonly first: Ticket;
  readonly hash: number;
  readonly why: Why;
  /** What the origin is asked to validate; the flight's to release. */
  readonly validating?: Lease;
  /** Nobody waits for it: what is stored has answered already. */
  readonly background?: boolean;
  /** Another member is asked first; where it has nothing, all who wait start over. */
  readonly source?: PeerSource;
  /** Takes it off the list of those that may be joined; null where it never was on it. */
  readonly unlist: (() => void) | null;
}
