/** What the data plane has to say of itself, in the log of events. */
import type { Logger } from "../telemetry/log.ts";
import type { DataPlaneInit } from "./data-plane.ts";
import { purgeText, touchText } from "./purge-text.ts";

/** Tells a log; of trust only while `isReady`: before, everybody knows that there is none. */
export function planeNotes(
  log: Logger,
  isReady: () => boolean,
): Pick<DataPlaneInit, "linkChanged" | "touched" | "diskSays" | "audit"> {
  return {
    linkChanged: (member, reachable, reason) =>
      log.info(
        { kind: "peer", peer: member, reachable, reason },
        reachable ? `${member} is reachable` : `${member} is not reachable: ${reason}`,
      ),
    touched: (inTouch, silent) =>
      isReady() && log[inTouch ? "info" : "warn"]({ kind: "touch", inTouch, silent }, touchText(inTouch, silent)),
    diskSays: (how, text) => log[how]({ kind: "disk" }, text),
    audit: (report, when) => log.info({ kind: "purge", when, ...report }, purgeText(report, when)),
  };
}

/** Tells a log that the system's clock was set, by so many seconds. */
export function clockNotes(log: Logger): (seconds: number) => void {
  return (seconds) => {
    const text = `the clock was set ${seconds > 0 ? "ahead" : "back"} by ${Math.abs(Math.round(seconds))} s; ages go on as they were`;
    log.warn({ kind: "clock", seconds }, text);
  };
}
