/**
 * The log: JSON lines, or readable ones on a terminal. Two kinds of lines: events of the member (by pino), and the
 * access log (member/access-log.ts). Both go through a writer that nobody waits for (line-writer.ts).
 */
import { createRequire } from "node:module";
import pino, { type Logger } from "pino";
import { printable } from "../base/printable.ts";
import { LineWriter } from "./line-writer.ts";
import { RecentEvents } from "./recent-events.ts";

export type { Logger };

export interface Log {
  readonly events: Logger;
  /** Where its lines go: standard output. */
  readonly writer: LineWriter;
  /** Whether lines are for people. */
  readonly readable: boolean;
  /** The last events. */
  readonly recent: RecentEvents;
}

/** @param format `auto` is pretty on a terminal and JSON elsewhere. */
export function createLog(options: {
  readonly member: string;
  readonly level: string;
  readonly format: "auto" | "json" | "pretty";
  readonly terminal: boolean;
  /** Ms since the epoch. */
  readonly nowMs: () => number;
}): Log {
  const readable = options.format === "pretty" || (options.format === "auto" && options.terminal);
  const base = { level: options.level, base: { member: options.member }, timestamp: pino.stdTimeFunctions.isoTime };
  const writer = new LineWriter({
    target: { fd: 1 },
    lost: (lines, reason) => events.warn({ kind: "log", lines, reason }, `${lines} log lines were lost: ${reason}`),
  });
  const pretty = readable ? prettyOf(options.terminal) : (line: string): string => line;
  const recent = new RecentEvents(options.nowMs);
  const events = pino(base, {
    write: (line) => {
      recent.add(line);
      // As JSON it has its control characters escaped but for those of eight bits; printed for people, none.
      writer.write(printable(pretty(line).replace(/\n$/, "")));
    },
  });
  return { events, writer, readable, recent };
}

/** Nobody but a terminal needs the library. */
function prettyOf(colorize: boolean): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)("pino-pretty") as typeof import("pino-pretty");
  return prettyFactory({
    colorize,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "pid,hostname,member,kind",
    messageFormat: "{msg}",
  });
}
