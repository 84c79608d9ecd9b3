/**
 * Lines on their way to a file, a pipe or a terminal, without anybody waiting for them: they are gathered, and written
 * a batch at a time in the background. What the other side does not take is dropped beyond a bound, counted, and the
 * loss told once something can be told again: a full disk, a reader that stalls, a closed pipe are never the member's
 * affair.
 *
 *   regular file    written by the thread pool
 *   pipe, socket    written when the kernel has room: a stalled reader must not hold a thread
 *   terminal        at once, as people expect it
 */
import { closeSync, fstatSync, openSync, write, writeSync } from "node:fs";
import { Socket } from "node:net";
import { isatty } from "node:tty";

export interface LineWriterOptions {
  /** A file that is appended to, or a descriptor that is there already. */
  readonly target: { readonly path: string } | { readonly fd: number };
  /** Characters that may wait. */
  readonly waitingMax?: number;
  /** Told when lines can be written again after some have been lost, and why they were. */
  readonly lost?: (lines: number, reason: string) => void;
}

const waitingMaxDefault = 4 * 1024 * 1024;
/** So much is written at once, and nothing waits longer than that. */
const batchCharacters = 64 * 1024;
const flushMs = 100;
/** After a failure. */
const retryMs = 1000;
const fileMode = 0o640;

/** Where lines go. */
export class LineWriter {
  /** Lines that nobody will see. */
  dropped = 0;
  readonly #options: LineWriterOptions;
  readonly #waitingMax: number;
  #fd: number;
  #socket: Socket | null = null;
  readonly #kind: "file" | "stream" | "terminal";
  #waiting = "";
  #waitingLines = 0;
  #writing = false;
  /** The system has been given bytes, and has not said what has become of them. */
  #isUnderWay = false;
  #isClosing = false;
  #timer: NodeJS.Timeout | null = null;
  #untold = 0;
  #reason = "";
  #broken = false;
  #reopening = false;
  #idle: (() => void)[] = [];

  /** @throws Error where the file cannot be opened. */
  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#waitingMax = options.waitingMax ?? waitingMaxDefault;
    const { target } = options;
    this.#fd = "fd" in target ? target.fd : openSync(target.path, "a", fileMode);
    this.#kind = kindOf(this.#fd);
    if (this.#kind === "stream") this.#open();
    if (this.#kind === "terminal") watchTerminal();
  }

  /** Takes a line, without its end. */
  write(line: string): void {
    if (this.#takes(line.length, 1)) return this.#keep(`${line}\n`, 1);
  }

  /** Takes several, each with its end. */
  writeAll(text: string, lines: number): void {
    if (this.#takes(text.length, lines)) this.#keep(text, lines);
  }

  #takes(characters: number, lines: number): boolean {
    if (this.#kind === "terminal" && isTerminalGone) this.#broken = true;
    if (!this.#broken && this.#waiting.length + characters < this.#waitingMax) return true;
    if (!this.#broken && this.#reason === "") this.#reason = "nobody takes them";
    this.#lose(lines);
    return false;
  }

  #keep(text: string, lines: number): void {
    if (this.#kind === "terminal") return void process.stdout.write(text);
    this.#waiting += text;
    this.#waitingLines += lines;
    if (this.#writing) return undefined;
    if (this.#waiting.length >= batchCharacters) return this.#flush();
    this.#timer ??= setTimeout(() => this.#flush(), flushMs).unref();
    return undefined;
  }

  /** Opens the file anew, for whoever has renamed it: what has been given until now goes to the old one. */
  reopen(): void {
    if (!("path" in this.#options.target)) return;
    this.#reopening = true;
    if (!this.#writing) this.#flush();
  }

  /** Resolves when all has been written, or after `limitMs`. */
  async end(limitMs: number): Promise<void> {
    if (this.#kind === "terminal" || (this.#waitingLines === 0 && !this.#writing)) return;
    const idle = new Promise<void>((done) => this.#idle.push(done));
    if (!this.#writing) this.#flush();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((done) => {
      timer = setTimeout(done, limitMs);
    });
    await Promise.race([idle, limit]);
    clearTimeout(timer);
  }

  /**
   * Lets go of its file, which somebody may have removed to make room; after `end`. A write that is under way is waited
   * for, since its descriptor may be another file's then; what could not be written until now is lost.
   */
  close(): void {
    if (!("path" in this.#options.target) || this.#broken || this.#isClosing) return;
    this.#isClosing = true;
    if (!this.#isUnderWay) this.#letGo();
  }

  #letGo(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#breaks("it is closed");
    if (this.#socket === null) closeSync(this.#fd);
    else this.#socket.destroy();
  }

  /** For the last words of a process: as much as goes without waiting. */
  flushSync(): void {
    if (this.#kind !== "file" || this.#waitingLines === 0) return;
    const bytes = Buffer.from(this.#waiting);
    this.#waiting = "";
    this.#waitingLines = 0;
    try {
      writeSync(this.#fd, bytes);
    } catch {
      // There is nobody left to tell.
    }
  }

  #open(): void {
    const socket = new Socket({ fd: this.#fd, readable: false, writable: true });
    socket.unref();
    socket.on("error", ({ message }) => this.#breaks(message));
    this.#socket = socket;
  }

  /** Nobody is there any more: for good. */
  #breaks(reason: string): void {
    this.#broken = true;
    this.#reason = reason;
    this.#lose(this.#waitingLines);
    this.#waiting = "";
    this.#waitingLines = 0;
    this.#settle();
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing) return;
    if (this.#waitingLines === 0) return this.#settle();
    const bytes = Buffer.from(this.#waiting);
    const lines = this.#waitingLines;
    this.#waiting = "";
    this.#waitingLines = 0;
    this.#writing = true;
    if (this.#socket !== null) {
      // Where this fails, the socket's error is told instead.
      this.#socket.write(bytes, (error) => (error == null ? this.#written() : this.#lose(lines)));
      return;
    }
    this.#put(bytes, lines);
  }

  #put(bytes: Buffer, lines: number): void {
    this.#isUnderWay = true;
    write(this.#fd, bytes, (error, taken) => {
      this.#isUnderWay = false;
      const isWhole = error === null && taken === bytes.length;
      if (this.#isClosing) {
        if (!isWhole) this.#lose(lines);
        return this.#letGo();
      }
      if (error === null && taken < bytes.length) return this.#put(bytes.subarray(taken), lines);
      if (error === null) return this.#written();
      this.#reason = error.message;
      this.#lose(lines);
      this.#timer = setTimeout(() => this.#written(), retryMs).unref();
      return undefined;
    });
  }

  #written(): void {
    this.#writing = false;
    this.#timer = null;
    this.#settle();
    const untold = this.#untold;
    if (untold > 0 && this.#waiting.length < this.#waitingMax / 2) {
      this.#untold = 0;
      const reason = this.#reason;
      this.#reason = "";
      this.#options.lost?.(untold, reason);
    }
    if (this.#waitingLines === 0) return;
    // A write for each of the few lines that have come meanwhile would cost more than they did.
    if (this.#waiting.length >= batchCharacters || this.#idle.length > 0) this.#flush();
    else this.#timer = setTimeout(() => this.#flush(), flushMs).unref();
  }

  /** What has been given is written: a file may be changed now. */
  #settle(): void {
    this.#writing = false;
    if (this.#reopening) {
      this.#reopening = false;
      this.#change();
    }
    if (this.#waitingLines > 0) return;
    for (const idle of this.#idle.splice(0)) idle();
  }

  #change(): void {
    const { target } = this.#options;
    if (!("path" in target)) return;
    try {
      const fd = openSync(target.path, "a", fileMode);
      closeSync(this.#fd);
      this.#fd = fd;
    } catch (error) {
      // The old one is still open, and better than none.
      this.#reason = `the file cannot be opened anew: ${(error as Error).message}`;
      this.#untold += 1;
    }
  }

  #lose(lines: number): void {
    this.dropped += lines;
    this.#untold += lines;
  }
}

/** All that write to the terminal share it, and a program may make many of them, one after the other. */
let isTerminalWatched = false;
let isTerminalGone = false;

/** One that is gone (its window closed, a session lost) says so with every line. */
function watchTerminal(): void {
  if (isTerminalWatched) return;
  isTerminalWatched = true;
  process.stdout.on("error", () => (isTerminalGone = true));
}

function kindOf(fd: number): "file" | "stream" | "terminal" {
  if (isatty(fd)) return "terminal";
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket() ? "stream" : "file";
  } catch {
    return "file"; // It is closed: each write will say so, and its lines are counted as lost.
  }
}
