/**
 * A connection of HTTP/1.1 without a socket, for one request of HTTP/2 at a time: at its other end it is served like
 * any client's. One that has answered is used again.
 */
import type { Client } from "../exchange.ts";

/** What comes back. */
export interface LaneListener {
  /** Bytes of the answer, which must not be used when `taken` has been called. */
  data(bytes: Buffer, taken: () => void): void;
  /** No more will come. */
  ended(): void;
  /** It has been broken off. */
  cut(): void;
  /** There is room for more bytes. */
  room(): void;
  /** All requests have been answered: the lane may carry the next. */
  rested(): void;
}

/** The end at which requests are made. */
export interface Lane {
  /** Who hears of what comes back from now on. */
  listener: LaneListener;
  /** Sends bytes, which must not change any more. @returns false where `room` is to be waited for. */
  send(bytes: Buffer): boolean;
  /** No more bytes come from here. */
  end(): void;
  /** Nobody is there any more. */
  leave(): void;
}

/** Opens a lane for a client. */
export type OpenLane = (client: Client) => Lane;

/** For lanes between two requests. */
export const nobody: LaneListener = {
  data: (_, taken) => taken(),
  ended: () => {},
  cut: () => {},
  room: () => {},
  rested: () => {},
};
