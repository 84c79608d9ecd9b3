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
  const tell = (...words: string[]): void => {
    const child = spawn("systemd-notify", ["--no-block", ...words], { stdio: "ignore" });
    child.once("error", (error) => {
      if (!hasFailed) failed(new Error(`systemd-notify cannot be run: ${error.message}`));
      hasFailed = true;
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
