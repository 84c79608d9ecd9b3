/**
 * Work that is repeated until it succeeds: what a connection broke off is tried again at once, other faults are told
 * and waited out.
 */
import { asError } from "../base/background.ts";
import { hasCode } from "../zookeeper/error.ts";
import { pause } from "./signal.ts";

export interface Retrying {
  /** Hears of faults that are not the connection's. */
  readonly failed: (error: Error) => void;
  /** Faults that no repetition mends: they are thrown. */
  readonly hopeless?: (error: unknown) => boolean;
  /** What to wait for after the connection was lost; nothing, where it is not given. */
  readonly reconnected?: () => Promise<unknown>;
}

const retryMs = 1000;

/** Resolves with true when the work is done, and with false where the signal ended it before. */
export async function retrying(
  signal: AbortSignal,
  work: () => Promise<unknown>,
  { failed, hopeless, reconnected }: Retrying,
): Promise<boolean> {
  while (!signal.aborted) {
    try {
      await work();
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (hopeless?.(error) === true) throw error;
      if (hasCode(error, "CONNECTION_LOSS", "OPERATION_TIMEOUT", "SESSION_EXPIRED")) await reconnected?.();
      else {
        failed(asError(error));
        await pause(retryMs, signal);
      }
    }
  }
  return false;
}
