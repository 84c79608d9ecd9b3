/**
 * Sockets that cannot be written to any more and are read to their end. Node destroys them, and drops what has come and
 * is not read yet; so what it keeps of both sides of a stream is changed here. Nothing that is documented does that.
 */
import type { Socket } from "node:net";

interface StreamState {
  autoDestroy: boolean;
  errored: Error | null;
}

function statesOf(socket: Socket): Record<"_readableState" | "_writableState", StreamState | undefined> {
  return socket as unknown as ReturnType<typeof statesOf>;
}

/** From now on a failed write does not end the socket. Reading tells soon enough that it is over. */
export function outlivesWrites(socket: Socket): void {
  const { _readableState, _writableState } = statesOf(socket);
  for (const state of [_readableState, _writableState]) if (state !== undefined) state.autoDestroy = false;
}

/** After a failed write: the end of what is read is told like any other's. */
export function readsOn(socket: Socket): void {
  const { _readableState } = statesOf(socket);
  if (_readableState !== undefined) _readableState.errored = null;
}

/**
 * Whether a write has failed because the other side had ended before, in order: the system says EPIPE then, and
 * ECONNRESET of a reset without an end, behind which a read finds nothing more as well.
 */
export function hadEnded(error: NodeJS.ErrnoException): boolean {
  return error.syscall === "write" && error.code === "EPIPE";
}
