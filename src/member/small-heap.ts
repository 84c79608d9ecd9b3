/**
 * Who gives a member little memory means it: the collector then runs sooner and keeps less. V8 lets its heap grow to
 * some 200 MB before it looks at what has died, whatever the program needs; a busy member needs about 20. Collecting
 * early costs some CPU (docs/performance.md), so members with larger budgets are left as they are.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Budgets up to here, in bytes. */
const smallBytesMax = 256 * 2 ** 20;

/** Read by V8 whenever it decides about the heap's size, so that they can be set while it runs. */
const flags: readonly string[] = ["--optimize-for-size", "--heap-growing-percent=10", "--semi-space-growth-factor=1"];

/** Keeps the heap small where the store's budget is. */
export function keepHeapSmall(storeBytes: number): void {
  if (storeBytes <= smallBytesMax) for (const flag of flags) setFlagsFromString(flag);
}

/**
 * Gives back what starting has left, once, where the budget is small: some 15 MB, which V8 keeps or not as it happens,
 * and around which everything later would lie.
 */
export function giveBackStart(storeBytes: number): void {
  if (storeBytes > smallBytesMax) return;
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
