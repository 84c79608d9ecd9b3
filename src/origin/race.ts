/**
 * Several ways to one place, begun one after the other and then waited for together, until one of them is there: the
 * next begins where the last one fails, or has said nothing for a quarter of a second (RFC 8305 §5). So an address at
 * which nobody answers costs that much, and not all the time that there is.
 */
import type { LookupAddress } from "node:dns";
import type { Socket } from "node:net";

/** Milliseconds before the next begins beside those that have not said anything. RFC 8305 §8. */
const attemptDelayMs = 250;
/** Names have a few addresses: whoever says that one has a thousand has us knock at a thousand doors. */
const attemptsMax = 64;

/**
 * Connects to the first target that answers. `done` is called once, never within this call: with its socket, or with
 * the first failure where all have failed.
 */
export function race<Target>(
  targets: readonly Target[],
  connect: (target: Target) => Socket,
  done: (error: Error | null, socket: Socket | null) => void,
): { readonly cancel: () => void } {
  const waiting = new Set<Socket>();
  const count = Math.min(targets.length, attemptsMax);
  let next = 0;
  let failure: Error | null = null;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const end = (winner: Socket | null): void => {
    isOver = true;
    clearTimeout(timer);
    for (const socket of waiting) if (socket !== winner) leave(socket);
    waiting.clear();
  };
  const begin = (): void => {
    if (isOver) return undefined;
    clearTimeout(timer);
    if (next === count) {
      if (waiting.size > 0) return undefined;
      end(null);
      return done(failure ?? new Error("there is no address"), null);
    }
    const target = targets[next++]!;
    let socket: Socket;
    try {
      socket = connect(target);
    } catch (error) {
      failure ??= error as Error;
      process.nextTick(begin);
      return undefined;
    }
    const failed = (error: Error): void => {
      failure ??= error;
      waiting.delete(socket);
      leave(socket);
      begin();
    };
    waiting.add(socket);
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      end(socket);
      done(null, socket);
    });
    if (next < count) timer = setTimeout(begin, attemptDelayMs);
    return undefined;
  };
  if (count > 0) begin();
  else process.nextTick(begin);
  return { cancel: () => end(null) };
}

/** Its last word must not be an event without a listener. */
function leave(socket: Socket): void {
  socket.on("error", () => {});
  socket.destroy();
}

/** The addresses of a name, those of both families in turn, the first one's first. RFC 8305 §4. */
export function inTurn(addresses: readonly LookupAddress[]): readonly LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const others = addresses.filter((address) => !first.includes(address));
  return Array.from({ length: Math.max(first.length, others.length) }, (_, index) => [
    ...first.slice(index, index + 1),
    ...others.slice(index, index + 1),
  ]).flat();
}
