/**
 * Short answers of one turn of the event loop leave together, behind all that the turn has read. One by one each would
 * wake its client's side, and the next request would find every cache cold: a quarter of a miss and a sixth of a hit
 * (docs/decisions/0021). Whatever else is written to such a socket meanwhile leaves behind them, in order.
 */
import type { Writable } from "node:stream";

/** With so many the turn's end is not waited for: a busy member's clients get on with their part meanwhile. */
const togetherMax = 64;

/** Whether waiting is worth its price: the end of a turn costs two microseconds, which few answers do not bring in. */
export class TurnsWorth {
  /** Turns that are looked at before it is decided anew. */
  static readonly turns = 16;
  /** Answers a turn that make it worth while. */
  static readonly answers = 2.5;
  /** Answers that leave at once before turns are looked at again. */
  static readonly alone = 512;
  #turns = 0;
  #answers = 0;
  #alone = 0;

  /** Counts an answer. @returns whether it shall leave at once. */
  leavesAlone(): boolean {
    if (this.#alone === 0) return false;
    this.#alone--;
    return true;
  }

  /** Counts a turn with so many answers that have waited. */
  turn(answers: number): void {
    this.#answers += answers;
    if (++this.#turns < TurnsWorth.turns) return;
    if (this.#answers < TurnsWorth.answers * this.#turns) this.#alone = TurnsWorth.alone;
    this.#turns = 0;
    this.#answers = 0;
  }
}

const worth = new TurnsWorth();
let waiting: Writable[] = [];
let isDue = false;

/** Writes bytes that nobody changes any more. */
export function writeTogether(socket: Writable, bytes: Buffer): void {
  if (worth.leavesAlone()) {
    socket.write(bytes);
    return;
  }
  socket.cork();
  socket.write(bytes);
  wait(socket);
}

/** Ends what a `cork` has begun. */
export function uncorkTogether(socket: Writable): void {
  if (worth.leavesAlone()) socket.uncork();
  else wait(socket);
}

/** What waits on a socket leaves now: before it is ended or broken off, which would lose what is still here. */
export function leaveNow(socket: Writable): void {
  while (socket.writableCorked > 0) socket.uncork();
}

function wait(corked: Writable): void {
  const count = waiting.push(corked);
  if (count >= togetherMax) letGo();
  else if (!isDue) {
    isDue = true;
    setImmediate(turnEnds);
  }
}

function turnEnds(): void {
  isDue = false;
  letGo();
}

function letGo(): void {
  if (waiting.length === 0) return;
  const sockets = waiting;
  waiting = [];
  worth.turn(sockets.length);
  for (const socket of sockets) {
    try {
      socket.uncork();
    } catch (error) {
      // Nobody else's answer waits for ever for that.
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
