/**
 * What front threads go by, and what they count, in memory that all threads share. Home writes the first part, each
 * front its own counters: nobody waits for anybody.
 */
import { bucketOf, durationBoundsMs } from "../proxy/request/durations.ts";
import type { CountedHits } from "../proxy/request/recorder.ts";
import { countRoute, routeFloats, routeNumbersMax } from "../proxy/request/route-counts.ts";

/** Words that home writes. */
const settingsWord = 0;
const epochWord = 1;
const joinedWord = 2;
/** Words that all write. */
const connectionsWord = 16;
const wordsCount = 32;
/** Connections are counted for each client in one of so many places, chosen by a hash of its address. */
const clientPlaces = 2 ** 16;

/** Numbers of 64 bits that home writes. */
const clockBase = 0;
const trustedUntil = 1;
const floatsCount = 8;
/** What a front counts: hits, their bytes, hits of copies, sum of durations, log lines dropped; then three tables. */
const hits = 0;
const hitBytes = 1;
const copyHits = 2;
const durationSum = 3;
const linesDropped = 4;
const delay = 5;
const durationsAt = 8;
const statusesAt: number = durationsAt + durationBoundsMs.length + 1;
const statuses = 1000; // as many as the recorder has
const routesAt: number = statusesAt + statuses;
const routesFloats: number = routeNumbersMax * routeFloats;
const counterFloats: number = (routesAt + routesFloats + 15) & ~15;

const floatsAt = wordsCount * 4 + clientPlaces * 4;

/** What a front has counted. */
export interface FrontCounts extends CountedHits {
  readonly linesDropped: number;
  /** How late its event loop was, 99th percentile of the last second. */
  readonly delaySeconds: number;
}

/** The board, from either side. */
export class Board {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #clients: Int32Array;
  readonly #floats: Float64Array;
  readonly #counters: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, wordsCount);
    this.#clients = new Int32Array(memory, wordsCount * 4, clientPlaces);
    this.#floats = new Float64Array(memory, floatsAt, floatsCount);
    this.#counters = new Float64Array(memory, floatsAt + floatsCount * 8);
  }

  /** For so many fronts. */
  static memory(fronts: number): SharedArrayBuffer {
    return new SharedArrayBuffer(floatsAt + (floatsCount + fronts * counterFloats) * 8);
  }

  // ---- home -------------------------------------------------------------------------------------------------------

  /** What answers from the store depend on. `baseSeconds`: steady seconds at the system's monotonic 0. */
  publish(now: {
    readonly settings: number;
    readonly epoch: number;
    readonly joined: boolean;
    readonly baseSeconds: number;
    readonly trustedUntil: number;
  }): void {
    this.#floats[clockBase] = now.baseSeconds;
    this.#floats[trustedUntil] = now.trustedUntil;
    Atomics.store(this.#words, settingsWord, now.settings | 0);
    Atomics.store(this.#words, epochWord, now.epoch | 0);
    Atomics.store(this.#words, joinedWord, now.joined ? 1 : 0);
  }

  counts(front: number): FrontCounts {
    const at = front * counterFloats;
    const counters = this.#counters;
    return {
      hits: counters[at + hits]!,
      hitBytes: counters[at + hitBytes]!,
      copyHits: counters[at + copyHits]!,
      durationSumMs: counters[at + durationSum]!,
      linesDropped: counters[at + linesDropped]!,
      delaySeconds: counters[at + delay]!,
      durations: [...counters.subarray(at + durationsAt, at + statusesAt)],
      statuses: [...counters.subarray(at + statusesAt, at + routesAt)],
      routes: counters.slice(at + routesAt, at + routesAt + routesFloats),
    };
  }

  get connections(): number {
    return Atomics.load(this.#words, connectionsWord);
  }

  // ---- fronts -----------------------------------------------------------------------------------------------------

  get isJoined(): boolean {
    return Atomics.load(this.#words, joinedWord) === 1;
  }

  /** The number of the settings in force. */
  get settings(): number {
    return Atomics.load(this.#words, settingsWord);
  }

  /** The epoch of the view in force. */
  get epoch(): number {
    return Atomics.load(this.#words, epochWord);
  }

  get baseSeconds(): number {
    return this.#floats[clockBase]!;
  }

  /** Until when what is stored may be answered with, in steady seconds. */
  get trustedUntil(): number {
    return this.#floats[trustedUntil]!;
  }

  /** A front has answered with a hit; `route` is the number of its route. */
  hit(front: number, status: number, bytes: number, durationMs: number, isCopy: boolean, route: number): void {
    const counters = this.#counters;
    const at = front * counterFloats;
    counters[at + hits]! += 1;
    counters[at + hitBytes]! += bytes;
    if (isCopy) counters[at + copyHits]! += 1;
    counters[at + durationSum]! += durationMs;
    const bucket = bucketOf(durationMs);
    counters[at + durationsAt + bucket]! += 1;
    counters[at + statusesAt + status]! += 1;
    countRoute(counters, at + routesAt + route * routeFloats, bytes, durationMs, bucket, true);
  }

  delayed(front: number, seconds: number): void {
    this.#counters[front * counterFloats + delay] = seconds;
  }

  dropped(front: number, lines: number): void {
    this.#counters[front * counterFloats + linesDropped]! += lines;
  }

  /** Counts a connection, unless there are as many as there may be. */
  entered(client: number, connectionsMax: number, ofClientMax: number): boolean {
    if (Atomics.add(this.#words, connectionsWord, 1) >= connectionsMax) {
      Atomics.sub(this.#words, connectionsWord, 1);
      return false;
    }
    if (Atomics.add(this.#clients, client & (clientPlaces - 1), 1) < ofClientMax) return true;
    this.left(client);
    return false;
  }

  left(client: number): void {
    Atomics.sub(this.#words, connectionsWord, 1);
    Atomics.sub(this.#clients, client & (clientPlaces - 1), 1);
  }
}
