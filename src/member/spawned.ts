/** A member started as a process of its own, and ended: the one way in which commands, experiments and tests do it. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A member's process, once it has joined. */
export interface SpawnedMember {
  readonly name: string;
  /** `host:port` of the proxy, the peer port and the admin port. */
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
  readonly child: ChildProcess;
}

export interface SpawnOptions {
  readonly flags: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Where its output goes; a channel is added, over which it says that it is ready. */
  readonly output: "pipe" | number;
  /** A process group of its own: a terminal's Ctrl-C is for whoever started it, which then ends it in order. */
  readonly detached: boolean;
  /** Milliseconds after which it is killed if it has not joined; Infinity for never. */
  readonly limitMs: number;
  /** What is run; the program that this is part of, unless a test says otherwise. */
  readonly program?: string;
}

/** Why a member did not come up. */
export class SpawnFailure extends Error {
  override readonly name = "SpawnFailure";
  /** How it ended, or null where it was given up. */
  readonly ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null;

  constructor(ended: SpawnFailure["ended"]) {
    super(ended === null ? "it did not join in time" : `it ended (${ended.signal ?? `exit code ${ended.code}`})`);
    this.ended = ended;
  }
}

/** Starts it. `ready` rejects with a SpawnFailure where it does not join. */
export function spawnMember(options: SpawnOptions): {
  readonly child: ChildProcess;
  readonly ready: Promise<SpawnedMember>;
} {
  const { flags, environment, output, detached, limitMs } = options;
  const program = options.program ?? fileURLToPath(new URL("../cli/main.js", import.meta.url));
  const stdio: StdioOptions = ["ignore", output, output, "ipc"];
  const child = spawn(process.execPath, [program, "start", ...flags], { stdio, detached, env: environment });
  const ready = new Promise<SpawnedMember>((resolve, reject) => {
    const timer = Number.isFinite(limitMs)
      ? setTimeout(() => {
          child.kill("SIGKILL");
          reject(new SpawnFailure(null));
        }, limitMs)
      : undefined;
    const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
      clearTimeout(timer);
      reject(new SpawnFailure({ code, signal }));
    };
    child.once("exit", ended);
    child.once("message", (message: Omit<SpawnedMember, "child">) => {
      clearTimeout(timer);
      child.off("exit", ended);
      const { name, listen, peer, admin } = message;
      resolve({ name, listen, peer, admin, child });
    });
  });
  return { child, ready };
}

/** Ends a process and resolves with its exit code when it is gone. */
export function endProcess(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => {
    child.once("exit", (code) => resolve(code));
    child.kill(signal);
  });
}
