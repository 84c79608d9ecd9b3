/** The least rate at which a connection must move, measured without a timer or an event a connection. */

/** What moved in one direction while something was waiting to move. */
export interface Progress {
  /** Since when something has been waiting; 0 while nothing is. */
  sinceMs: number;
  bytes: number;
  mark: number;
  queue: number;
}

/**
 * Whether nothing, or less than the least rate, has moved for a whole window. `done` counts finished bytes, `queue`
 * those of a write that the kernel has taken in part: a large write moves long before it is finished.
 */
export function tooSlow(
  progress: Progress,
  waiting: boolean,
  done: number,
  queue: number,
  now: number,
  windowMs: number,
  rateMin: number,
): boolean {
  if (!waiting || progress.sinceMs === 0) {
    progress.sinceMs = waiting ? now : 0;
    progress.bytes = 0;
  } else {
    progress.bytes += done > progress.mark ? done - progress.mark : Math.max(0, progress.queue - queue);
  }
  progress.mark = done;
  progress.queue = queue;
  if (!waiting || now - progress.sinceMs < windowMs) return false;
  const slow = progress.bytes === 0 || progress.bytes < (rateMin * (now - progress.sinceMs)) / 1000;
  progress.sinceMs = now;
  progress.bytes = 0;
  return slow;
}
