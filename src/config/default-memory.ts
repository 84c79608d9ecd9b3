/** The store's budget where nobody has said one. */
import { totalmem } from "node:os";
import { memoryBytesMax } from "../store/pages/page-memory.ts";

const share = 1 / 4;

/**
 * A quarter of what this process may use, in bytes: of the machine's memory, or of its container's where that is less.
 * Never more than a store can have.
 */
export function defaultMemory(machineBytes: number = totalmem(), limitBytes: number = constrained()): number {
  // Where no limit is set, some systems say 0 and some a number beyond any memory.
  const bytes = limitBytes > 0 ? Math.min(machineBytes, limitBytes) : machineBytes;
  return Math.min(memoryBytesMax, Math.floor(bytes * share));
}

/** What the container, or the process's own limit, allows. Bytes; 0 where nothing is known. */
function constrained(): number {
  return process.constrainedMemory();
}
