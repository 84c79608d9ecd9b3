/**
 * The real program as tests use it: started as users start it, with a run folder of its own, ended by the pid that was
 * started.
 */
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Status } from "../../src/admin/status.ts";
import { spawnMember } from "../../src/member/spawned.ts";

export const root: string = resolve(import.meta.dirname, "../..");
export const program: string = join(root, "bin/gyre");
/**
 * Another for every file: a member whose coordinator has ended must not be let in by a stranger's that was given the
 * same port.
 */
export const secret = `for tests only: ${randomUUID()}`;

export interface TestMember {
  readonly name: string;
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
  readonly port: number;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Everything printed so far. */
  readonly output: () => string;
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

/** A folder for run records that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "gyre-test-"));
  folders.push(folder);
  return folder;
}
const folders: string[] = [];
const running = new Set<TestMember>();

/** Starts `gyre start` on free ports and resolves when it has joined. Rejects with its output where it ends first. */
export function startMember(
  flags: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
  /** Those that get a free port where the flags say nothing. */
  free: readonly string[] = ["--listen", "--peer", "--admin"],
): Promise<TestMember> {
  const given = (flag: string): boolean => flags.includes(flag);
  const ports = free.filter((flag) => !given(flag)).flatMap((flag) => [flag, "127.0.0.1:0"]);
  const logging = given("--access-log") ? [] : ["--access-log", "off"];
  const { child, ready } = spawnMember({
    flags: [...ports, ...logging, ...flags],
    environment: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: runFolder, ...environment },
    output: "pipe",
    detached: false,
    limitMs: Infinity,
    program,
  });
  let output = "";
  child.stdout!.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((done) => child.once("exit", (code) => done(code)));
  return ready.then(
    (started) => {
      const member: TestMember = {
        ...started,
        port: Number(started.listen.split(":").at(-1)),
        pid: child.pid!,
        output: () => output,
        stop: async () => {
          running.delete(member);
          child.kill("SIGTERM");
          return ended;
        },
        kill: async () => {
          running.delete(member);
          child.kill("SIGKILL");
          await ended;
        },
      };
      running.add(member);
      return member;
    },
    (error: unknown) => {
      throw new Error(`gyre did not come up (${String(error)}):\n${output}`);
    },
  );
}
const runFolder = temporaryFolder();

/** Several members that have all seen each other. */
export async function startCluster(
  count: number,
  flags: readonly string[] = [],
  each: (index: number) => readonly string[] = () => [],
  /** See startMember. */
  free: readonly string[] = ["--listen", "--peer", "--admin"],
): Promise<TestMember[]> {
  const first = await startMember(["--name", "m1", ...flags, ...each(0)], {}, free);
  const rest = await Promise.all(
    Array.from({ length: count - 1 }, (_, index) =>
      startMember(
        ["--name", `m${index + 2}`, "--coordinator", `http://${first.peer}`, ...flags, ...each(index + 1)],
        {},
        free,
      ),
    ),
  );
  const members = [first, ...rest];
  await settled(members);
  return members;
}

/** Resolves when every one of the members sees exactly these, all reachable, in one epoch. */
export async function settled(members: readonly TestMember[]): Promise<void> {
  const names = members
    .map(({ name }) => name)
    .sort()
    .join();
  await until(async () => {
    const views = await Promise.all(members.map((member) => statusOf(member)));
    return views.every(
      (view) =>
        view.epoch === views[0]!.epoch &&
        view.members
          .map(({ name }) => name)
          .sort()
          .join() === names &&
        view.members.every(({ state }) => state === "active"),
    );
  }, `the members ${names} see each other`);
}

export type StatusAnswer = Status;

export async function statusOf(member: Pick<TestMember, "admin">): Promise<StatusAnswer> {
  return (await (await fetch(`http://${member.admin}/api/status`)).json()) as StatusAnswer;
}

/** Waits for a condition, asking again and again; rejects with its meaning after `limitMs`. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  meaning: string,
  limitMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    if (await Promise.resolve(condition()).catch(() => false)) return;
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain until ${meaning}`);
    await new Promise((again) => setImmediate(again));
    await new Promise((again) => setTimeout(again, 10));
  }
}

/** Ends whatever a test left running, and forgets what cluster it was: the next m1 is not the one that was killed. */
export async function endAll(): Promise<void> {
  await Promise.all([...running].map((member) => member.kill()));
  for (const file of readdirSync(runFolder)) if (file.startsWith("view-")) rmSync(join(runFolder, file));
}

process.on("exit", () => {
  for (const { child } of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
