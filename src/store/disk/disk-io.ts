/** Reading and writing files at places, to the end or to an error: short counts are gone on with. */
import { read, writev } from "node:fs";

/** What the disk tier asks of the system: replaced where a failing disk is tried. */
export interface DiskIo {
  readonly read: (
    fd: number,
    into: Buffer,
    at: number,
    done: (error: NodeJS.ErrnoException | null, bytes: number) => void,
  ) => void;
  readonly write: (
    fd: number,
    pieces: readonly Buffer[],
    at: number,
    done: (error: NodeJS.ErrnoException | null, bytes: number) => void,
  ) => void;
}

export const systemIo: DiskIo = {
  read: (fd, into, at, done) => read(fd, into, 0, into.length, at, done),
  write: (fd, pieces, at, done) => writev(fd, pieces as Buffer[], at, done),
};

/** Buffers that the system takes in one call. */
const piecesMax = 512;

/** Fills a buffer from a file. @returns false where the file ends before. @throws what the system says. */
export async function readWhole(io: DiskIo, fd: number, into: Buffer, at: number): Promise<boolean> {
  let done = 0;
  while (done < into.length) {
    const bytes = await new Promise<number>((resolve, reject) =>
      io.read(fd, done === 0 ? into : into.subarray(done), at + done, (error, count) =>
        error === null ? resolve(count) : reject(error),
      ),
    );
    if (bytes === 0) return false;
    done += bytes;
  }
  return true;
}

/**
 * Writes buffers one behind the other. A file system that is full writes a part and says nothing: what is left is
 * tried again, and then it says so. @throws what the system says.
 */
export async function writeWhole(io: DiskIo, fd: number, pieces: readonly Buffer[], at: number): Promise<void> {
  let left = pieces.filter(({ length }) => length > 0);
  let place = at;
  while (left.length > 0) {
    const now = left.slice(0, piecesMax);
    const bytes = await new Promise<number>((resolve, reject) =>
      io.write(fd, now, place, (error, count) => (error === null ? resolve(count) : reject(error))),
    );
    if (bytes === 0) throw Object.assign(new Error("nothing was written"), { code: "EIO" });
    place += bytes;
    left = beyond(left, bytes);
  }
}

function beyond(pieces: readonly Buffer[], bytes: number): Buffer[] {
  let skipped = 0;
  for (const [index, piece] of pieces.entries()) {
    if (skipped + piece.length > bytes) return [piece.subarray(bytes - skipped), ...pieces.slice(index + 1)];
    skipped += piece.length;
  }
  return [];
}
