/** What a connection needs of its socket: one of the system's, or one whose client is at another thread. */
import type { Duplex } from "node:stream";

export interface ClientSocket extends Duplex {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  setNoDelay(noDelay?: boolean): unknown;
  /** Ends it so that the client sees that something was lost. */
  resetAndDestroy(): unknown;
  /**
   * All requests so far have been answered. @returns whether somebody else waits for the next one, and closes the
   * connection when it has been quiet for too long.
   */
  rest?(): boolean;
}
