/** The folder of a disk tier: whose it is, what format it has, and that one process alone has it. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { makeFolder } from "../../base/folder.ts";
import { jsonOf } from "../../base/json.ts";
import { bytesText } from "../../base/sizes.ts";
import { formatVersion } from "./format.ts";
import { segmentName, segmentNumbers } from "./segments.ts";

/** What is used of node:sqlite, which Node 20 does not have. */
interface Sqlite {
  readonly DatabaseSync: new (path: string) => { exec(sql: string): void; close(): void };
}

const manifestName = "gyre-store.json";
const lockName = "LOCK";
const segmentsWanted = 64;
const segmentsMin = 4;
const segmentsMax = 4096;
const segmentBytesMin = 1024 * 1024;
const segmentBytesMax = 512 * 1024 * 1024;
const grain = 4096;

/** The least room that a tier can have. Bytes. */
export const diskBytesMin: number = segmentsMin * segmentBytesMin;

/** A folder that cannot be used, and why. */
export class DiskUnusable extends Error {
  override readonly name = "DiskUnusable";
}

/** What a folder is set up for. */
export interface Manifest {
  readonly format: number;
  readonly storeId: number;
  readonly seed: number;
  readonly segmentBytes: number;
}

/** A folder that this process has. */
export interface DiskFolder {
  readonly path: string;
  readonly manifest: Manifest;
  readonly segments: number;
  /** Another process may have it. */
  readonly release: () => void;
}

/**
 * Takes a folder, and sets it up where it is new. @throws DiskUnusable where another process has it, or another version
 * has written it; else what the system says.
 */
export function takeFolder(path: string, bytesMax: number): DiskFolder {
  if (bytesMax < diskBytesMin)
    throw new DiskUnusable(
      `--disk-size ${bytesText(bytesMax)} is less than a disk tier needs: ${bytesText(diskBytesMin)}`,
    );
  makeFolder(path, 0o700);
  let release: (() => void) | null = null;
  try {
    release = lock(path);
    const manifest = manifestIn(path, bytesMax);
    return { path, manifest, segments: Math.floor(bytesMax / manifest.segmentBytes), release };
  } catch (error) {
    // The member goes on without it: what it hears now, what lies there has not heard.
    try {
      if (!(error instanceof DiskUnusable)) dropState(path);
    } finally {
      release?.();
    }
    throw error;
  }
}

/** A lock that ends with the process, however that ends, and that other containers see. */
function lock(path: string): () => void {
  const sqlite = process.getBuiltinModule("node:sqlite") as Sqlite | undefined;
  if (sqlite === undefined)
    throw new DiskUnusable(`--disk needs Node 22.13 or newer for its lock; this is ${process.version}`);
  let database: InstanceType<Sqlite["DatabaseSync"]> | null = null;
  try {
    database = new sqlite.DatabaseSync(join(path, lockName));
    database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    // SQLITE_BUSY
    if ((error as { errcode?: number }).errcode === 5)
      throw new DiskUnusable(`${path} is another member's: each needs a folder of its own (--disk)`);
    throw error;
  }
  const held = database;
  return () => held.close();
}

function manifestIn(path: string, bytesMax: number): Manifest {
  const file = join(path, manifestName);
  const known = existsSync(file) ? manifestOf(readFileSync(file, "utf8")) : null;
  if (existsSync(file) && (known === null || known.format !== formatVersion))
    throw new DiskUnusable(
      `${path} holds a store of another version (${known?.format ?? "unreadable"}; this one is ${formatVersion}): empty it, or name another folder`,
    );
  if (known === null && segmentNumbers(path).length > 0)
    throw new DiskUnusable(`${path} has segments and no ${manifestName}: empty it, or name another folder`);
  const count = known === null ? 0 : Math.floor(bytesMax / known.segmentBytes);
  if (known !== null && count >= segmentsMin && count <= segmentsMax) return known;
  // Another size altogether: what is there was cut for the other one.
  for (const number of segmentNumbers(path)) unlinkSync(join(path, segmentName(number)));
  const segmentBytes = Math.min(segmentBytesMax, Math.max(segmentBytesMin, bytesMax / segmentsWanted));
  const manifest: Manifest = {
    format: formatVersion,
    storeId: randomInt(2 ** 47),
    seed: known?.seed ?? randomInt(2 ** 47),
    segmentBytes: Math.floor(segmentBytes / grain) * grain,
  };
  writeFileSync(`${file}.new`, `${JSON.stringify(manifest)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return manifest;
}

function manifestOf(text: string): Manifest | null {
  const { format, storeId, seed, segmentBytes } = (jsonOf(text) ?? {}) as Record<string, unknown>;
  const isRead = [format, storeId, seed, segmentBytes].every((value) => typeof value === "number");
  return isRead ? ({ format, storeId, seed, segmentBytes } as Manifest) : null;
}

const stateName = "clean-stop.json";

/** Leaves word for the next start: that all was written, and what a store must know to trust it. */
export function writeState(path: string, state: unknown): void {
  const file = join(path, stateName);
  writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}

/**
 * Takes that word, once: what is stored from now on it does not know of. Null where there is none. When this returns it
 * is gone, whatever becomes of the machine.
 */
export function takeState(path: string): unknown {
  const file = join(path, stateName);
  if (!existsSync(file)) return null;
  const state = jsonOf(readFileSync(file, "utf8"));
  dropState(path);
  return state;
}

/** Takes the word away, if there is any, and can be: this life is not one that it knows of. */
function dropState(path: string): void {
  try {
    // Unlike others, its errors say what the system says.
    unlinkSync(join(path, stateName));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
