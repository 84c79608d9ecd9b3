/**
 * A front's lines of the access log, on their way to home, which writes them: a batch at a time, and no more than home
 * has taken lately. What it does not take is dropped, and counted.
 */
import type { AccessRecord } from "../proxy/request/recorder.ts";
import { linerOf, type Liner } from "./access-lines.ts";
import type { FrontSettings } from "./front-messages.ts";

const batchCharacters = 64 * 1024;
const flushMs = 50;
/** Characters that home may owe a word for. */
const untakenMax = 4 * 1024 * 1024;

/** See above. */
export class FrontLines {
  readonly #member: string;
  readonly #send: (text: string, lines: number) => void;
  readonly #dropped: (lines: number) => void;
  #liner: Liner | null = null;
  #sample = 1;
  #seen = 0;
  #waiting = "";
  #waitingLines = 0;
  #untaken = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    member: string,
    {
      send,
      dropped,
    }: { readonly send: (text: string, lines: number) => void; readonly dropped: (lines: number) => void },
  ) {
    this.#member = member;
    this.#send = send;
    this.#dropped = dropped;
  }

  follow(log: FrontSettings["log"]): void {
    this.#liner = log === null ? null : linerOf(log.format, this.#member);
    this.#sample = log?.sample ?? 1;
  }

  /** Whether the next request gets a line; counts it. */
  readonly wants = (): boolean => this.#liner !== null && this.#seen++ % this.#sample === 0;

  readonly write = (record: AccessRecord): void => {
    if (this.#untaken > untakenMax) return this.#dropped(1);
    this.#waiting += this.#liner!(record, Date.now());
    this.#waiting += "\n";
    this.#waitingLines++;
    if (this.#waiting.length >= batchCharacters) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), flushMs).unref();
    return undefined;
  };

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#waitingLines === 0) return;
    this.#untaken += this.#waiting.length;
    this.#send(this.#waiting, this.#waitingLines);
    this.#waiting = "";
    this.#waitingLines = 0;
  }

  taken(characters: number): void {
    this.#untaken -= characters;
  }
}
