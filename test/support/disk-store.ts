/** A page store with a disk behind it, in a folder that goes with the tests. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { DiskIo } from "../../src/store/disk/disk-io.ts";
import { openDisk, type OpenDisk } from "../../src/store/disk/open-disk.ts";
import type { HeardState } from "../../src/store/pages/heard.ts";
import { PageStore } from "../../src/store/pages/page-store.ts";
import type { Lease } from "../../src/store/port.ts";
import { Holds } from "../../src/wire/holds.ts";

const folders = mkdtempSync(join(tmpdir(), "gyre-disk-"));
let made = 0;
/** A name for a folder that does not exist yet. */
export const newFolder = (): string => join(folders, `${++made}`);
afterAll(() => rmSync(folders, { recursive: true }));

/** What a store has where nothing else is said. */
export const memoryBytes = 3 * 2 ** 20;
export const diskBytes = 16 * 2 ** 20;

/** Content that tells which key and version it is of, at every place. */
export function contentOf(key: string, version: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, Buffer.from(`${key}#${version};`));
}

/** A store and its disk. */
export class Kept {
  readonly store: PageStore;
  readonly disk: OpenDisk;
  readonly folder: string;
  off: string | null = null;

  constructor(
    folder: string,
    {
      io,
      bytes = diskBytes,
      now = 1000,
      memory = memoryBytes,
      // Only what is about a disk's slowness minds that of the machine.
      recallMsMax = 60_000,
    }: { io?: DiskIo; bytes?: number; now?: number; memory?: number; recallMsMax?: number } = {},
  ) {
    this.folder = folder;
    let store: PageStore | null = null;
    this.disk = openDisk({
      folder,
      bytesMax: bytes,
      memoryBytes: memory,
      now: () => now,
      recallMsMax,
      // By threads where nothing stands in for the disk.
      ...(io === undefined ? {} : { io }),
      head: () => ({ position: store?.position ?? 0, now, wallLead: 0 }),
      off: (reason) => (this.off = reason),
      failed: (error) => {
        throw error;
      },
    });
    this.store = new PageStore(memory, { behind: this.disk.tier, copiesBytesMax: memory / 8 });
    store = this.store;
    if (this.disk.state !== null || this.disk.isUnclean)
      this.store.goOnFrom(this.disk.state as HeardState | null, this.disk.position);
  }

  /** As a member stops. */
  async stop(): Promise<void> {
    await this.disk.close(this.store.heardState);
  }

  /** What lies there when a process is killed now: it is copied, since the lock is held. */
  async killed(): Promise<string> {
    const copy = newFolder();
    cpSync(this.folder, copy, { recursive: true });
    await this.stop();
    return copy;
  }

  async find(key: string): Promise<Lease | null> {
    await new Promise<void>((resolve) => {
      if (!this.store.recall(key, resolve)) resolve();
    });
    return this.store.find(
      key,
      () => "",
      () => true,
    );
  }

  /** The content that is found, read as an asker does it; null where nothing is found, or the answer was broken off. */
  async content(
    key: string,
    from = 0,
  ): Promise<{ readonly bytes: Buffer | null; readonly outdated: boolean; readonly freshUntil: number } | null> {
    const lease = await this.find(key);
    if (lease === null) return null;
    const { body, outdated, freshUntil } = lease.stored;
    const bytes = await new Promise<Buffer | null>((resolve) => {
      const holds = new Holds();
      const pieces: Buffer[] = [];
      body.read(
        {
          closed: false,
          hold: (holder) => holds.take(holder),
          write: (content, taken) => {
            pieces.push(Buffer.from(content));
            taken?.();
            return true;
          },
          end: () => {},
          abort: () => {},
        },
        from,
        null,
        (complete) => resolve(complete ? Buffer.concat(pieces) : null),
      );
    });
    lease.release();
    return { bytes, outdated, freshUntil };
  }
}
