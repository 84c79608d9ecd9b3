/** When a certificate is asked for: the first time, again before it ends, and after failures. Pure. */
import { murmur3 } from "../ring/murmur3.ts";

/** From when until when one counts; ms since the epoch. */
export interface Lifetime {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const hourMs = 3_600_000;
const firstRetryMs = 60_000;
const lastRetryMs = 24 * hourMs;
/** Of a lifetime: renewed when a third of it is left, up to a tenth earlier, so that not all names are due at once. */
const leftPart = 1 / 3;
const jitterPart = 1 / 10;

/** When to renew; the same for the same name and certificate whoever asks. */
export function renewalMs(name: string, { notBeforeMs, notAfterMs }: Lifetime): number {
  const lifetime = notAfterMs - notBeforeMs;
  const jitter = (murmur3(`${name} ${notAfterMs}`) / 2 ** 32) * jitterPart * lifetime;
  return notAfterMs - lifetime * leftPart - jitter;
}

/** How long to wait after so many failures running: twice as long each time, a day at most, and not all at once. */
export function retryAfterMs(name: string, failures: number): number {
  const wait = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.max(0, failures - 1));
  return wait * (1 + (murmur3(`${name} ${failures}`) / 2 ** 32) * 0.2);
}
