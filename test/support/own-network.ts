/** Scripts that name other addresses than loopback ones run in a network namespace of their own, which is empty. */
import { spawn } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export interface Apart {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a script of this folder inside `unshare -n`, to its end. */
export function runApart(script: string, ...parameters: string[]): Promise<Apart> {
  const isolation = process.getuid!() === 0 ? "-n" : "-rn";
  const child = spawn("unshare", [isolation, process.execPath, join(import.meta.dirname, script), ...parameters], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  return new Promise((done) => child.once("close", (code) => done({ code, output, errors })));
}

/** Whether a process that was started with `unshare -n` has got its own network by now: until then it has this one. */
export function isApart(pid: number): boolean {
  return readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync("/proc/self/ns/net");
}

/** For such a script, before anything else. @throws Error where there is any other network device. */
export function refuseOtherDevices(): void {
  // Of this namespace: /sys would show those of the one that mounted it.
  const devices = [...readFileSync("/proc/self/net/dev", "utf8").matchAll(/^\s*([^\s:]+):/gm)].map(
    ([, device]) => device!,
  );
  if (devices.some((device) => device !== "lo"))
    throw new Error(`refused: this is no empty network namespace (${devices.join(", ")})`);
}
