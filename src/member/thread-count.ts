/** How many threads serve clients: as many as there are processors, where this system lets them share a port. */
import { availableParallelism } from "node:os";

/** More than these share little but memory. */
const defaultMax = 8;
/** What a thread takes beside the store, in bytes: a heap of its own, and the program in it. */
const threadBytes = 40 * 2 ** 20;
/** The first Node that can let several threads listen on one port, each with a queue of its own. */
const sharedPortSince = [23, 1] as const;

export interface ThreadCount {
  /** 1: clients are served by the thread that does everything else. */
  readonly threads: number;
  /** Why there are fewer than processors, eight counted; else empty. */
  readonly why: string;
}

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly nodeVersion: string;
  readonly processors: number;
}

const thisMachine = (): Machine => ({
  platform: process.platform,
  nodeVersion: process.versions.node,
  processors: availableParallelism(),
});

/** Why a port cannot be listened at by several here; null where it can. */
export function unshareable({ platform, nodeVersion }: Machine = thisMachine()): string | null {
  if (platform !== "linux") return "several can share a port on Linux alone";
  const [major, minor] = nodeVersion.split(".", 2).map(Number) as [number, number];
  const isNew = major > sharedPortSince[0] || (major === sharedPortSince[0] && minor >= sharedPortSince[1]);
  return isNew ? null : `Node ${sharedPortSince.join(".")} or newer can share a port; this is ${nodeVersion}`;
}

/**
 * The threads to serve clients with; `wanted` undefined: by the machine, and by the store's budget in bytes, since who
 * gives a member little memory means it. @throws Error with a sentence where so many cannot be had.
 */
export function threadCount(
  wanted: number | undefined,
  storeBytes: number,
  machine: Machine = thisMachine(),
): ThreadCount {
  const lacking = unshareable(machine) ?? "";
  if (wanted !== undefined) {
    if (wanted > 1 && lacking !== "") throw new Error(`threads: ${wanted} cannot be had: ${lacking}`);
    return { threads: wanted, why: "" };
  }
  if (machine.processors === 1) return { threads: 1, why: "" };
  if (lacking !== "") return { threads: 1, why: lacking };
  const all = Math.min(defaultMax, machine.processors);
  const affordable = Math.max(1, Math.floor(storeBytes / threadBytes));
  return affordable >= all
    ? { threads: all, why: "" }
    : { threads: affordable, why: `each takes some 40 MB beside the store's budget (threads: ${all} has them all)` };
}
