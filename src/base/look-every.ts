/** Looks at deadlines from time to time, and lets what has come in be read first where this process stood still. */

/**
 * Calls `look` every so many milliseconds; clearInterval ends it. A look that comes much too late is left out, once:
 * while the process stood still, or was held up, others may have done all that they owe, and it has not been read yet.
 * Where the next comes too late as well, it waits only for what has come to be read: who is always held up must look.
 * `heldUp` is told how much time was lost each time, before anybody looks: whoever goes by deadlines moves them by it.
 */
export function lookEvery(ms: number, look: () => void, heldUp: (lostMs: number) => void = () => {}): NodeJS.Timeout {
  let lookedAt = performance.now();
  let isLeftOut = false;
  const timer = setInterval(() => {
    const now = performance.now();
    const lostMs = now - lookedAt - ms;
    lookedAt = now;
    const isLate = lostMs > ms;
    isLeftOut = isLate && !isLeftOut;
    if (!isLate) return look();
    heldUp(lostMs);
    if (!isLeftOut) setImmediate(look);
    return undefined;
  }, ms);
  return timer.unref();
}
