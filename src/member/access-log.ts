/** The access log of a member: whether there is one, how often, in what format, and where it goes. */
import { hostname } from "node:os";
import { syslogPlaceOf } from "../config/syslog-place.ts";
import type { Config } from "../config/schema.ts";
import type { Recorder } from "../proxy/request/recorder.ts";
import { LineWriter } from "../telemetry/line-writer.ts";
import { SyslogWriter } from "../telemetry/syslog-writer.ts";
import type { Log } from "../telemetry/log.ts";
import { linerOf, wantsTags, type AccessFormat } from "./access-lines.ts";
import { StartError } from "./start-error.ts";

type LineTarget = Pick<LineWriter, "dropped" | "write" | "writeAll" | "reopen" | "end">;

/** Writes lines for the requests that a recorder tells of. */
export class AccessLog {
  readonly #log: Log;
  readonly #member: string;
  readonly #recorder: Recorder;
  /** Where it goes instead of standard output; `path`: as it is configured. */
  #file: { readonly path: string; readonly writer: LineTarget } | null = null;
  /** Of files that are no longer written to. */
  #droppedBefore = 0;
  #formatNow: AccessFormat = "json";

  readonly #routeName: (uri: string) => string | null;

  constructor(log: Log, member: string, recorder: Recorder, routeName: (uri: string) => string | null = () => null) {
    this.#routeName = routeName;
    this.#log = log;
    this.#member = member;
    this.#recorder = recorder;
  }

  /** Lines of the access log and of events that nobody will see. */
  get dropped(): number {
    return this.#log.writer.dropped + (this.#file?.writer.dropped ?? 0) + this.#droppedBefore;
  }

  /** Goes by a configuration from now on. @throws StartError where its file cannot be opened. */
  follow(config: Config): void {
    const mode = config["access-log"];
    const recorder = this.#recorder;
    this.#open(mode === "off" ? undefined : (config["access-log-syslog"] ?? config["access-log-file"]));
    recorder.sample = mode.startsWith("1/") ? Number(mode.slice(2)) : 1;
    recorder.logsHops = config["log-level"] === "debug";
    if (mode === "off") {
      recorder.log = null;
      return;
    }
    const writer = this.#file?.writer ?? this.#log.writer;
    this.#formatNow = this.#format(config);
    const line = linerOf(this.#formatNow, this.#member, this.#routeName);
    recorder.wantsTags = wantsTags(this.#formatNow);
    recorder.log = (record) => writer.write(line(record, Date.now()));
  }

  /** What threads of their own go by that make lines, and where those go. */
  get ofThreads(): { readonly format: AccessFormat; readonly sample: number } | null {
    return this.#recorder.log === null ? null : { format: this.#formatNow, sample: this.#recorder.sample };
  }

  /** Lines that other threads have made, each with its end. */
  write(text: string, lines: number): void {
    (this.#file?.writer ?? this.#log.writer).writeAll(text, lines);
  }

  /** Opens its file anew, for whoever has renamed it. */
  reopen(): void {
    this.#file?.writer.reopen();
  }

  /** Resolves when all has been written, or after `limitMs`. */
  async end(limitMs: number): Promise<void> {
    await this.#file?.writer.end(limitMs);
  }

  #format(config: Config): AccessFormat {
    const fields = config["access-log-fields"];
    if (fields.length > 0) return { fields };
    const format = config["access-log-format"];
    if (format !== "auto") return format;
    return this.#log.readable && this.#file === null ? "short" : "json";
  }

  #open(path: string | undefined): void {
    if (path === this.#file?.path) return;
    const { events } = this.#log;
    const lost = (lines: number, reason: string): void =>
      events.warn({ kind: "log", lines, reason }, `${lines} lines of the access log were lost: ${reason}`);
    let writer: LineTarget | null = null;
    try {
      const place = path === undefined ? null : syslogPlaceOf(path);
      if (place !== null) {
        const now = (): string => new Date().toISOString();
        writer = new SyslogWriter({ place, hostName: hostname(), processId: process.pid, now, lost });
      } else if (path !== undefined) writer = new LineWriter({ target: { path }, lost });
    } catch (error) {
      throw new StartError(`access-log-file ${path} cannot be opened: ${(error as Error).message}`);
    }
    const old = this.#file?.writer;
    this.#file = writer === null ? null : { path: path!, writer };
    if (old === undefined) return;
    const counted = old.dropped;
    this.#droppedBefore += counted;
    void old.end(1000).then(() => {
      if (old instanceof LineWriter) old.close();
      this.#droppedBefore += old.dropped - counted;
    });
  }
}
