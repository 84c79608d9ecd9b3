/** Looks at deadlines from time to time, and lets what has come in be read first where this process stood still. */

/**
 * Calls `look` every so many milliseconds; clearInterval ends it. A look that comes much too late is left out, once:
 * while the process stood still, or was held up, others may have done all that they owe, and it has not been read yet.
 * `heldUp` is called in its place, with the time that was lost: whoever goes by a clock of its looks sets that right.
 */
export function lookEvery(ms: number, look: () => void, heldUp: (lostMs: number) => void = () => {}): NodeJS.Timeout {
  let lookedAt = performance.now();
  let isLeftOut = false;
  const timer = setInterval(() => {
    const now = performance.now();
    const lostMs = now - lookedAt - ms;
    lookedAt = now;
    isLeftOut = lostMs > ms && !isLeftOut;
    if (isLeftOut) heldUp(lostMs);
    else look();
  }, ms);
  return timer.unref();
}
