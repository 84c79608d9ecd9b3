/**
 * What systemd is told of a member that runs as a service of `Type=notify`: ready, stopping, alive. Node
 * cannot write to a datagram socket of Unix: systemd's own command does (sd_notify(3), systemd-notify(1)).
 */
import { spawn } from "node:child_process";

export interface Systemd {
  ready(status: string): void;
  stopping(): void;
}

const nobody: Systemd = { ready: () => {}, stopping: () => {} };
/** The watchdog is to be heard twice within its time. */
const partOfWatchdog = 2;

/** Whoever has started this process, where that is to be told; `environment` is the process's. */
export function systemdOf(
  environment: Readonly<Record<string, string | undefined>>,
  failed: (error: Error) => void,
): Systemd {
  if (environment["NOTIFY_SOCKET"] === undefined) return nobody;
  let hasFailed = false;
  const fail = (how: string): void => {
    if (!hasFailed) failed(new Error(`systemd-notify ${how}`));
    hasFailed = true;
  };
  const tell = (...words: string[]): void => {
    // It stays until it has been heard (no --no-block): systemd looks up by its process which service has spoken, and
    // drops what one has said that is gone by then.
    const child = spawn("systemd-notify", words, { stdio: "ignore" });
    child.once("error", (error) => fail(`cannot be run: ${error.message}`));
    child.once("exit", (code) => {
      if (code !== null && code !== 0) fail(`has failed (exit code ${code})`);
    });
    child.unref();
  };
  const watchdogMs = Number(environment["WATCHDOG_USEC"] ?? "0") / 1000;
  const isOurs = [undefined, String(process.pid)].includes(environment["WATCHDOG_PID"]);
  return {
    ready: (status) => {
      tell("--ready", `--status=${status}`);
      if (watchdogMs > 0 && isOurs) setInterval(() => tell("WATCHDOG=1"), watchdogMs / partOfWatchdog).unref();
    },
    stopping: () => tell("STOPPING=1", "--status=draining"),
  };
}
