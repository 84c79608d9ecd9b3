/** A disk tier from its folder, with what a clean stop has left word of; and back. */
import { DiskIndex, slotBytes } from "./disk-index.ts";
import { systemIo, type DiskIo } from "./disk-io.ts";
import { DiskTier, type DiskTierInit } from "./disk-tier.ts";
import { takeFolder, takeState, writeState } from "./folder.ts";
import { readsBytes, SystemReads, ThreadReads, type Reads, type ReadThreads } from "./reads.ts";
import { placeBytes } from "./read-ring.ts";
import { replay, type Replayed } from "./replay.ts";
import { Segments } from "./segments.ts";

export interface OpenDiskInit extends Pick<DiskTierInit, "head" | "off" | "recallMsMax"> {
  readonly folder: string;
  readonly bytesMax: number;
  /** The store's budget in memory: index and buffers are a part of it. */
  readonly memoryBytes: number;
  /** The member's steady clock. Seconds. */
  readonly now: () => number;
  readonly io?: DiskIo;
  /** A bug, for the log. */
  readonly failed: (error: Error) => void;
}

/** A tier that is open. */
export interface OpenDisk {
  readonly tier: DiskTier;
  /** What `close` was given when the process before this one stopped in order; null where it did not. */
  readonly state: unknown;
  /** What has been found was written by a process that did not stop in order, or by another clock. */
  readonly isUnclean: boolean;
  /** The store's position in the invalidations when the last batch was written. */
  readonly position: number;
  /** Stops in order: what is left is written, and word left for the next start. */
  readonly close: (state: unknown) => Promise<void>;
}

/** The part of the budget for the index of the disk. */
const indexShare = 1 / 8;
/** An entry of the index for so much of the disk is more than enough. */
const bytesPerSlot = 256;
const slotsMin = 8192;
const bufferShare = 1 / 64;
const bufferBytesMin = 128 * 1024;
const bufferBytesMax = 1024 * 1024;
const buffers = 3;
/** Threads that read; the part of the budget for what they have read. */
const readThreads = 2;
const readShare = 1 / 64;
const readJobsMin = 2;
const readJobsMax = 16;
/** The wall clock may be so far from the steady one at a stop: else ages would be wrong after it. Seconds. */
const leadMax = 1;
/** Of what a stop in order leaves, members' parts included. */
const stateVersion = 1;

/** Bytes of the budget that a disk tier takes. */
export function diskMemoryBytes(memoryBytes: number, bytesMax: number): number {
  return (
    slotsFor(memoryBytes, bytesMax) * slotBytes + bufferFor(memoryBytes) * buffers + readsBytes(readersFor(memoryBytes))
  );
}

/** @throws DiskUnusable where the folder cannot be used, with a sentence; else what the system says. */
export function openDisk(init: OpenDiskInit): OpenDisk {
  const { folder: path, bytesMax, memoryBytes, now, io = systemIo } = init;
  const folder = takeFolder(path, bytesMax);
  const { manifest } = folder;
  let segments: Segments | null = null;
  let reads: Reads | null = null;
  try {
    // First: whatever becomes of this start, what was left does not know of this life.
    const word = takeState(path);
    segments = new Segments({ folder: path, ...manifest, count: folder.segments });
    const index = new DiskIndex(slotsFor(memoryBytes, bytesMax));
    const replayed = replay(segments, index);
    const left = stateOf(word, { storeId: manifest.storeId, replayed, segments, now: now() });
    // A disk that is stood in for is read as it says.
    reads =
      init.io === undefined
        ? new ThreadReads(readersFor(memoryBytes), io, init.failed)
        : new SystemReads(io, init.failed);
    const tier = new DiskTier(
      {
        ...init,
        io,
        reads,
        segments,
        index,
        seed: manifest.seed,
        bufferBytes: Math.min(bufferFor(memoryBytes), manifest.segmentBytes / 4),
        buffers,
        lastId: replayed.lastId,
      },
      diskMemoryBytes(memoryBytes, bytesMax),
    );
    tier.tellGone(replayed.dropped);
    const opened = segments;
    return {
      tier,
      state: left,
      isUnclean: replayed.last !== null && left === null,
      position: replayed.last?.position ?? 0,
      close: async (state) => {
        const isWhole = await tier.close();
        try {
          const { wallLead } = init.head();
          const { storeId } = manifest;
          const { used } = opened;
          if (isWhole && !replayed.isCut)
            writeState(path, { version: stateVersion, storeId, used, atSeconds: now(), wallLead, state });
        } finally {
          // Numbers of files that are still being written to must not become those of others.
          if (!tier.isWriting) opened.close();
          folder.release();
        }
      },
    };
  } catch (error) {
    segments?.close();
    reads?.close();
    folder.release();
    throw error;
  }
}

/** What was left by a stop after which nothing more was written, and whose clock this one goes on from; else null. */
function stateOf(
  left: unknown,
  found: {
    readonly storeId: number;
    readonly replayed: Replayed;
    readonly segments: Segments;
    readonly now: number;
  },
): unknown {
  const { version, storeId, used, atSeconds, wallLead, state = null } = (left ?? {}) as Record<string, unknown>;
  // A segment that is not as it was may have told that something is gone.
  const isAsLeft = storeId === found.storeId && JSON.stringify(used) === JSON.stringify(found.segments.used);
  const isClock = typeof atSeconds === "number" && typeof wallLead === "number" && Math.abs(wallLead) <= leadMax;
  const isTrusted = version === stateVersion && isAsLeft && !found.replayed.isCut;
  return isTrusted && isClock && atSeconds <= found.now + leadMax ? state : null;
}

function slotsFor(memoryBytes: number, bytesMax: number): number {
  const most = Math.min((memoryBytes * indexShare) / slotBytes, bytesMax / bytesPerSlot);
  return Math.max(slotsMin, Math.floor(most));
}

function readersFor(memoryBytes: number): ReadThreads {
  const jobs = Math.floor((memoryBytes * readShare) / readThreads / placeBytes);
  return { threads: readThreads, jobs: Math.min(readJobsMax, Math.max(readJobsMin, jobs)) };
}

function bufferFor(memoryBytes: number): number {
  return Math.min(bufferBytesMax, Math.max(bufferBytesMin, Math.floor(memoryBytes * bufferShare)));
}
