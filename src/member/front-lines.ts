/**
 * A front's lines of the access log, on their way to home, which writes them, and what it tells those who watch: a
 * batch at a time, and no more than home has taken lately. Lines that it does not take are dropped, and counted.
 */
import type { AccessRecord } from "../proxy/request/recorder.ts";
import { routeNameOf } from "../proxy/request/routes.ts";
import type { SeenRequest } from "../telemetry/seen-request.ts";
import { linerOf, wantsTags, type Liner } from "./access-lines.ts";
import type { FrontSettings } from "./front-messages.ts";
import { seenOf } from "./seen.ts";

const batchCharacters = 64 * 1024;
const flushMs = 50;
/** Characters that home may owe a word for. */
const untakenMax = 4 * 1024 * 1024;
/** Requests in a batch for those who watch, and batches that home may owe a word for. */
const seenMax = 200;
const seenUntakenMax = 16;

/** See above. */
export class FrontLines {
  readonly #member: string;
  readonly #send: (text: string, lines: number) => void;
  readonly #sendSeen: (requests: readonly SeenRequest[]) => void;
  readonly #dropped: (lines: number) => void;
  #watched = false;
  #logsThis = false;
  #seenWaiting: SeenRequest[] = [];
  #seenUntaken = 0;
  #liner: Liner | null = null;
  #wantsTags = false;
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
      seen,
      dropped,
    }: {
      readonly send: (text: string, lines: number) => void;
      readonly seen: (requests: readonly SeenRequest[]) => void;
      readonly dropped: (lines: number) => void;
    },
  ) {
    this.#member = member;
    this.#send = send;
    this.#sendSeen = seen;
    this.#dropped = dropped;
  }

  follow({ log, routes, watched }: Pick<FrontSettings, "log" | "routes" | "watched">): void {
    const routeName = (uri: string): string | null => routeNameOf(routes, uri);
    this.#liner = log === null ? null : linerOf(log.format, this.#member, routeName);
    this.#wantsTags = log !== null && wantsTags(log.format);
    this.#sample = log?.sample ?? 1;
    this.#watched = watched;
  }

  /** Tells those who watch, or nobody. */
  watch(watched: boolean): void {
    this.#watched = watched;
  }

  /** Whether the next request is to be told of; counts it. */
  readonly wants = (): boolean => {
    this.#logsThis = this.#liner !== null && this.#seen++ % this.#sample === 0;
    return this.#logsThis || this.#watched;
  };

  /** Whether lines say the tags of answers. */
  readonly wantsTags = (): boolean => this.#wantsTags;

  /** Tells of the request that `wants` was asked about last. */
  readonly write = (record: AccessRecord): void => {
    if (this.#watched) this.#show(record);
    if (this.#logsThis) this.#log(record);
  };

  /** Those who watch miss what home does not take in time. */
  #show(record: AccessRecord): void {
    if (this.#seenUntaken > seenUntakenMax) return;
    this.#seenWaiting.push(seenOf(record, this.#member, Date.now()));
    if (this.#seenWaiting.length >= seenMax) return this.#flushSeen();
    this.#timer ??= setTimeout(() => this.flush(), flushMs).unref();
    return undefined;
  }

  #flushSeen(): void {
    if (this.#seenWaiting.length === 0) return;
    this.#seenUntaken++;
    this.#sendSeen(this.#seenWaiting);
    this.#seenWaiting = [];
  }

  seenTaken(): void {
    this.#seenUntaken--;
  }

  #log(record: AccessRecord): void {
    if (this.#untaken > untakenMax) return this.#dropped(1);
    this.#waiting += this.#liner!(record, Date.now());
    this.#waiting += "\n";
    this.#waitingLines++;
    if (this.#waiting.length >= batchCharacters) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), flushMs).unref();
    return undefined;
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#flushSeen();
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
