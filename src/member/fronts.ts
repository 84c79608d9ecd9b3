/**
 * The front threads of a member, as home has them: started together, told what they go by, counted, and ended
 * together. One that dies takes its connections with it; the member then ends, as it would have without threads.
 */
import { Worker } from "node:worker_threads";
import type { HostPort } from "../base/host-port.ts";
import type { Place } from "../base/listen.ts";
import type { Recorder } from "../proxy/request/recorder.ts";
import type { SeenRequest } from "../telemetry/seen-request.ts";
import type { PageStore } from "../store/pages/page-store.ts";
import { Board, type FrontCounts } from "../threads/board.ts";
import { ByteRing } from "../threads/byte-ring.ts";
import { HomeEnd, type AcceptConnection } from "../threads/home-end.ts";
import { StoreBlocks } from "../threads/store-blocks.ts";
import { ringBytes } from "../threads/thread-link.ts";
import type { TurnedAway } from "../wire/turned-away.ts";
import type { FromFront, FrontInit, FrontSettings, ToFront, UnreadOf } from "./front-messages.ts";

/** A front holds connections and little else. */
const heapMbMax = 512;
const youngMbMax = 16;

export interface FrontsOptions extends Pick<
  FrontInit,
  "member" | "viaLine" | "limits" | "listeners" | "settings" | "ticketKeys"
> {
  readonly count: number;
  readonly store: PageStore;
  readonly recorder: Recorder;
  readonly accept: AcceptConnection;
  /** Lines of the access log. */
  readonly lines: (text: string, lines: number) => void;
  /** Requests that they have answered, while somebody watches. */
  readonly seen: (requests: readonly SeenRequest[]) => void;
  /** Connections that they have turned away. */
  readonly turnedAway: (some: TurnedAway) => void;
  /** Requests that they could not read. */
  readonly unread: (some: readonly UnreadOf[]) => void;
  readonly failed: (error: Error) => void;
  /** A front has ended by itself. */
  readonly died: (reason: string) => void;
  /** Told of every thread as it is started. */
  readonly started?: (worker: Worker) => void;
}

/** What hits in fronts depend on. */
export type Published = Parameters<Board["publish"]>[0];

interface Front {
  readonly worker: Worker;
  readonly end: HomeEnd;
  readonly blocks: StoreBlocks;
  counted: FrontCounts;
  isDead: boolean;
}

/** All fronts of a member. */
export class Fronts {
  readonly #options: FrontsOptions;
  readonly #board: Board;
  readonly #fronts: Front[] = [];
  /** Who waits for a word of a front; null: it has ended. */
  readonly #waiting: ((message: FromFront | null) => void)[] = [];
  readonly #blocks: SharedArrayBuffer[] = [];
  #isEnding = false;
  /** As they are now: threads may be started later than they were first known. */
  #settings: FrontSettings;

  constructor(options: FrontsOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#board = new Board(Board.memory(options.count));
  }

  get count(): number {
    return this.#options.count;
  }

  /** Connections of clients. */
  get connections(): number {
    return this.#board.connections;
  }

  /** What each has counted. */
  counts(): readonly FrontCounts[] {
    return this.#fronts.map((_, front) => this.#board.counts(front));
  }

  get linesDropped(): number {
    return this.#fronts.reduce((sum, _, front) => sum + this.#board.counts(front).linesDropped, 0);
  }

  /** Starts them; resolves when all are up. Rejects where one cannot be. */
  async start(): Promise<void> {
    const { store, count } = this.#options;
    const shared = store.share((block) => {
      this.#blocks.push(block);
      this.#post({ kind: "block", block });
    });
    this.#blocks.push(...shared.blocks);
    for (let front = 0; front < count; front++) {
      const [toHome, fromHome] = [ByteRing.memory(ringBytes.toHome), ByteRing.memory(ringBytes.fromHome)];
      const { member, viaLine, limits, listeners, ticketKeys } = this.#options;
      const board = this.#board.memory;
      const init: FrontInit = {
        front,
        member,
        viaLine,
        limits,
        listeners,
        settings: this.#settings,
        ticketKeys,
        store: shared,
        board,
        toHome,
        fromHome,
      };
      const here = import.meta.url;
      const worker = new Worker(new URL(`./front-thread${here.endsWith(".ts") ? ".ts" : ".js"}`, here), {
        name: `front-${front}`,
        workerData: init,
        resourceLimits: { maxOldGenerationSizeMb: heapMbMax, maxYoungGenerationSizeMb: youngMbMax },
      });
      this.#options.started?.(worker);
      const blocks = new StoreBlocks((block, at) => store.lend(block, at));
      for (const block of shared.blocks) blocks.add(block);
      const { accept, failed, died } = this.#options;
      const end = new HomeEnd(new ByteRing(toHome), new ByteRing(fromHome), blocks, accept, failed);
      this.#fronts.push({ worker, end, blocks, counted: this.#board.counts(front), isDead: false });
      worker.on("message", (message: FromFront) => this.#received(front, message));
      let reason = "";
      worker.on("error", (error) => (reason = `: ${(error as Error).message}`));
      worker.on("exit", (code) => {
        end.close();
        this.#fronts[front]!.isDead = true;
        this.#waiting[front]?.(null);
        if (!this.#isEnding) died(`front thread ${front} has ended with code ${code}${reason}`);
      });
    }
    const up = await Promise.all(this.#fronts.map((_, front) => this.#next(front)));
    if (up.includes(null)) throw new Error("a front thread ended as it started");
  }

  /**
   * All listen at a listener's place, the first alone where it cannot be shared. `redirect`: see there. @returns where.
   * Rejects with the system's error.
   */
  async listen(listener: number, place: Place, redirect: number | null): Promise<HostPort> {
    const first = await this.#listen(0, { kind: "listen", listener, place, redirect });
    if (!("port" in place)) return first;
    const shared = { ...place, port: first.port };
    const rest = this.#fronts.slice(1);
    await Promise.all(
      rest.map((_, index) => this.#listen(index + 1, { kind: "listen", listener, place: shared, redirect })),
    );
    return first;
  }

  publish(now: Published): void {
    this.#board.publish(now);
  }

  follow(settings: FrontSettings): void {
    this.#settings = settings;
    this.#post({ kind: "settings", settings });
  }

  watch(watched: boolean): void {
    this.#post({ kind: "watched", watched });
  }

  /** Adds what they have counted to what is counted here. */
  gather(): void {
    for (const [index, front] of this.#fronts.entries()) {
      const now = this.#board.counts(index);
      this.#options.recorder.absorb(now, front.counted);
      front.counted = now;
    }
  }

  /** Stops accepting, lets answers end; @returns connections cut at the limit. */
  async drain(limitMs: number): Promise<number> {
    const drained = this.#fronts.map((_, front) => this.#next(front));
    this.#post({ kind: "drain", limitMs });
    return (await Promise.all(drained)).reduce((cut, word) => cut + (word?.kind === "drained" ? word.cut : 0), 0);
  }

  /** Ends the threads. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#fronts.map(({ worker }) => worker.terminate()));
    this.gather();
  }

  #post(message: ToFront): void {
    for (const { worker } of this.#fronts) worker.postMessage(message);
  }

  async #listen(front: number, message: ToFront): Promise<HostPort> {
    this.#fronts[front]!.worker.postMessage(message);
    const word = await this.#next(front);
    if (word?.kind === "listening") return word.place;
    if (word?.kind === "not-listening") throw Object.assign(new Error(word.message), { code: word.code });
    throw new Error(`front thread ${front} ended before it listened`);
  }

  /** The next answer of a front; null where it has ended. */
  #next(front: number): Promise<FromFront | null> {
    if (this.#fronts[front]!.isDead) return Promise.resolve(null);
    return new Promise((resolve) => (this.#waiting[front] = resolve));
  }

  #received(index: number, message: FromFront): void {
    const front = this.#fronts[index]!;
    switch (message.kind) {
      case "block-taken":
        return front.blocks.add(this.#blocks[front.blocks.count]!);
      case "lines":
        this.#options.lines(message.text, message.lines);
        return front.worker.postMessage({ kind: "lines-taken", characters: message.text.length } satisfies ToFront);
      case "seen":
        this.#options.seen(message.requests);
        return front.worker.postMessage({ kind: "seen-taken" } satisfies ToFront);
      case "turned-away":
        return message.some.forEach((some) => this.#options.turnedAway(some));
      case "unread":
        this.#options.unread(message.some);
        return front.worker.postMessage({ kind: "unread-taken" } satisfies ToFront);
      case "failed":
        return this.#options.failed(message.error);
      default:
        return this.#waiting[index]?.(message);
    }
  }
}
