/**
 * What runs on this machine: each member leaves a record while it lives, so that `gyre status` finds a cluster without
 * being told and `gyre stop` ends exactly what was started. Records hold the secret: the folder is for this user alone.
 */
import {
  accessSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { makeFolder } from "../base/folder.ts";
import { StartError } from "./start-error.ts";

export interface MemberRecord {
  readonly cluster: string;
  readonly name: string;
  readonly pid: number;
  /** `starting`: it listens, and has not joined the others yet. `draining`: it has been told to leave. */
  readonly state: "starting" | "ready" | "draining";
  /** The kernel's start mark of the process, "" where the system gives none: a reused pid has another. */
  readonly processMark: string;
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
  readonly coordinator: string;
  readonly hostsCoordinator: boolean;
  readonly drainLimitMs: number;
  readonly secret: string;
  readonly startedMs: number;
}

/** How a member ended. */
export interface Farewell {
  readonly name: string;
  readonly pid: number;
  readonly drained: boolean;
  /** Connections cut when the limit had passed. */
  readonly cut: number;
}

/** Where folders can be, and whose they have to be. */
export interface RunPlaces {
  readonly uid: number;
  /** For everybody's temporary files. */
  readonly temporary: string;
  /** For what runs as root. */
  readonly run: string;
}

const places = (): RunPlaces => ({ uid: userInfo().uid, temporary: tmpdir(), run: "/run" });

/**
 * The folder of records: GYRE_RUN_DIR, else one in the user's runtime folder, or in /run for root, else one of the
 * user's in the temporary folder. What it says is believed (which processes to end, where to send the secret), so it
 * has to be a folder of this user's own. @throws StartError where it is not.
 */
export function runFolder(
  environment: Readonly<Record<string, string | undefined>>,
  { uid, temporary, run }: RunPlaces = places(),
): string {
  // An empty one is none.
  const given = environment["GYRE_RUN_DIR"] === "" ? undefined : environment["GYRE_RUN_DIR"];
  const runtime = environment["XDG_RUNTIME_DIR"];
  const folder =
    given ??
    (runtime !== undefined && isAbsolute(runtime)
      ? join(runtime, "gyre")
      : uid === 0 && isWritable(run)
        ? join(run, "gyre")
        : join(temporary, `gyre-${uid}`));
  makeFolder(folder, 0o700);
  const stat = lstatSync(folder);
  const wrong = stat.isSymbolicLink()
    ? "is a link"
    : !stat.isDirectory()
      ? "is no folder"
      : stat.uid !== uid
        ? `belongs to user ${stat.uid}`
        : given === undefined && (stat.mode & 0o077) !== 0
          ? "is open to other users"
          : null;
  if (wrong !== null)
    throw new StartError(
      `the run folder ${folder} ${wrong}: what stands in it cannot be believed. Name another with GYRE_RUN_DIR, or become who it belongs to`,
    );
  return folder;
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false; // The system's way to say no.
  }
}

/** Leaves a member's record, at once or not at all. */
export function writeRecord(folder: string, record: MemberRecord): void {
  const file = join(folder, `member-${record.pid}.json`);
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Where a member's lines go that is started with others on this machine. */
export function memberLog(folder: string, { cluster, name }: Pick<MemberRecord, "cluster" | "name">): string {
  return join(folder, "logs", `${cluster}-${name}.log`);
}

/**
 * Marks what a running member goes by as in use: its cluster's secret, its last view, and its log, which may be quiet.
 * Who tidies folders for temporary files takes away what has not changed for days (systemd-tmpfiles: ten).
 */
export function touchUsed(folder: string, { cluster, name }: Pick<MemberRecord, "cluster" | "name">): void {
  const seconds = Date.now() / 1000;
  const isUsed = (file: string): boolean => file === `secret-${cluster}` || file.startsWith(`view-${cluster}-${name}.`);
  const used = readdirSync(folder).filter(isUsed);
  const log = memberLog(folder, { cluster, name });
  for (const file of [...used.map((one) => join(folder, one)), ...(existsSync(log) ? [log] : [])])
    utimesSync(file, seconds, seconds);
}

/** Replaces a member's record by the way it ended, or by nothing where nobody waits for that word. */
export function writeFarewell(folder: string, farewell: Farewell): void {
  const { pid } = farewell;
  if (stopOf(folder, pid) !== null)
    writeFileSync(join(folder, `left-${pid}.json`), JSON.stringify(farewell), { mode: 0o600 });
  removeRecord(folder, pid);
}

/** Takes a farewell away, or null where the member said none. */
export function takeFarewell(folder: string, pid: number): Farewell | null {
  const file = join(folder, `left-${pid}.json`);
  const farewell = readJson(file) as Farewell | null;
  rmSync(file, { force: true });
  return farewell;
}

/** Who stops a member, and whom beside it. */
interface StopMark {
  readonly by: Pick<MemberRecord, "pid" | "processMark">;
  readonly company: readonly string[];
}

/**
 * Marks a member as being stopped, together with `company`: names of members, its own among them. @returns whether
 * somebody else who still runs has marked it already.
 */
export function markStopping(folder: string, pid: number, company: readonly string[]): boolean {
  const by = { pid: process.pid, processMark: processMarkOf(process.pid) };
  const file = stopFile(folder, pid);
  const mark = `${file}.${process.pid}`;
  writeFileSync(mark, JSON.stringify({ by, company } satisfies StopMark), { mode: 0o600 });
  try {
    for (;;) {
      try {
        linkSync(mark, file); // With all that is in it, or not at all.
        return false;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      if (stopOf(folder, pid) !== null) return true;
      rmSync(file, { force: true }); // Whoever made it was ended before the member was.
    }
  } finally {
    rmSync(mark, { force: true });
  }
}

/** The names of those that are stopped together with a member; none where it was told to leave by a signal alone. */
export function companyOf(folder: string, pid: number): readonly string[] {
  return stopOf(folder, pid)?.company ?? [];
}

/**
 * Who stops a member now. A mark whose maker has been ended counts for nothing: nobody stops the rest of its company,
 * and the pid may be another member's by now.
 */
function stopOf(folder: string, pid: number): StopMark | null {
  const mark = readJson(stopFile(folder, pid)) as StopMark | null;
  return mark !== null && isAlive(mark.by) ? mark : null;
}

function stopFile(folder: string, pid: number): string {
  return join(folder, `stopping-${pid}`);
}

/** Takes the mark away again. */
export function unmarkStopping(folder: string, pid: number): void {
  rmSync(stopFile(folder, pid), { force: true });
}

/** What a member's record says now, or null where it has none any more. */
export function recordOf(folder: string, pid: number): MemberRecord | null {
  return readJson(join(folder, `member-${pid}.json`)) as MemberRecord | null;
}

/** Takes a member's record away. */
export function removeRecord(folder: string, pid: number): void {
  rmSync(join(folder, `member-${pid}.json`), { force: true });
}

/** Records of members that live; those of processes that died without a word are cleared away. */
export function livingMembers(folder: string): MemberRecord[] {
  const living: MemberRecord[] = [];
  for (const name of readdirSync(folder)) {
    if (/^left-\d+\.json$|^stopping-[\d.]+$/.test(name)) forgetOld(join(folder, name));
    if (!/^member-\d+\.json$/.test(name)) continue;
    const record = readJson(join(folder, name)) as MemberRecord | null;
    if (record !== null && isAlive(record)) living.push(record);
    else rmSync(join(folder, name), { force: true });
  }
  return living.sort((a, b) => a.startedMs - b.startedMs || a.name.localeCompare(b.name));
}

/** Word of who has left is for whoever has told him to, and waits: not for days. Nor does a stop take so long. */
function forgetOld(file: string): void {
  const writtenMs = lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
  if (Date.now() - writtenMs > farewellMsMax) rmSync(file, { force: true });
}
const farewellMsMax = 3_600_000;

/** Whether the very process that wrote the record runs: its pid, and its start mark where the system tells one. */
export function isAlive({ pid, processMark }: Pick<MemberRecord, "pid" | "processMark">): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false; // The kernel's way to say that there is no such process, or none of ours.
  }
  // Where the system tells marks, a record without one proves nothing.
  return processMark === processMarkOf(pid);
}

/** Field 22 of /proc/PID/stat, the start time in clock ticks; "" elsewhere. */
export function processMarkOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended: it only waits for its parent to notice.
    return fields[0] === "Z" ? "zombie" : (fields[19] ?? "");
  } catch {
    return ""; // No /proc on this system.
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as unknown;
  } catch {
    return null; // Gone, or half-written by a process that was killed: either way there is no record.
  }
}
