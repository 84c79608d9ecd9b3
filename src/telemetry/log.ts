/**
 * The log: JSON lines, or readable ones on a terminal. Two kinds of lines: events of the member, and the access log.
 */
import { createRequire } from "node:module";
import pino, { type Logger } from "pino";

export type { Logger };

/** @param format `auto` is pretty on a terminal and JSON elsewhere. */
export function createLog(options: {
  readonly member: string;
  readonly level: string;
  readonly format: "auto" | "json" | "pretty";
  readonly terminal: boolean;
}): Logger {
  const readable = options.format === "pretty" || (options.format === "auto" && options.terminal);
  const base = { level: options.level, base: { member: options.member }, timestamp: pino.stdTimeFunctions.isoTime };
  if (readable) {
    // Nobody but a terminal needs it.
    const pretty = createRequire(import.meta.url)("pino-pretty") as typeof import("pino-pretty");
    return pino(
      base,
      pretty({
        colorize: options.terminal,
        translateTime: "SYS:HH:MM:ss.l",
        ignore: "pid,hostname,member,kind",
        messageFormat: "{msg}",
        sync: true,
      }),
    );
  }
  return pino(base, pino.destination({ fd: 1, sync: false, minLength: 4096, periodicFlush: 200 }));
}
