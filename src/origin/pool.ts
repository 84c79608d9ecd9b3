/**
 * Connections to origins under one policy: those that are idle are used again, the last one first; those that are not
 * used are closed before the origin would.
 */
import { lookEvery } from "../base/look-every.ts";
import { Reading } from "./reading.ts";
import {
  dial,
  dialContext,
  type ConnectOptions,
  type ConnectPolicy,
  type Dialled,
  type Dialling,
} from "./connector.ts";
import { dialThrough } from "./dial-through.ts";
import type { Parent } from "./parent.ts";
import { placeOf } from "./place.ts";
import { OriginConnection, type ConnectionTimes } from "./origin-connection.ts";

/** An idle connection is kept for so long, where the origin does not say less. */
const keepMs = 10_000;
/**
 * A connection that is always in use is given up after so long: a name may lead to another place by then. Up to a fifth
 * earlier, each at a time of its own: those that a burst has opened must not all be opened anew at once.
 */
const ageMaxMs = 300_000;
const ageSpread = 1 / 5;
/** Idle connections in all. */
const idleMax = 1024;
/** A request that must not be sent twice goes out on a connection that was in use so lately, or on a new one. */
const recentMs = 500;

export interface PoolOptions extends ConnectOptions, ConnectionTimes {
  /** Another proxy on the way, or null. */
  readonly parent: Parent | null;
}

/** Who waits for a connection. One of them is called, never within `take`. */
export interface Wanting {
  connected(connection: OriginConnection): void;
  failed(error: Error): void;
}

/** The connections of one policy. */
export class Pool {
  readonly #context: ReturnType<typeof dialContext>;
  readonly #options: PoolOptions;
  readonly #idle = new Map<string, OriginConnection[]>();
  readonly #all = new Set<OriginConnection>();
  readonly #places = new Map<OriginConnection, string>();
  #idleCount = 0;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(policy: ConnectPolicy, options: PoolOptions) {
    this.#context = dialContext(policy, options);
    this.#options = options;
  }

  /** An idle connection to an origin, or null. */
  idle(origin: string, which: "any" | "recent"): OriginConnection | null {
    const idle = this.#idle.get(origin);
    if (idle === undefined) return null;
    const now = performance.now();
    // The one used last may be the oldest, and those below it are as good as ever.
    for (let last = idle.at(-1); last !== undefined && last.keepUntil <= now; last = idle.at(-1)) last.destroy();
    const connection = idle.at(-1);
    if (connection === undefined) return null;
    if (which === "recent" && connection.idleSince + recentMs < now) return null;
    idle.pop();
    if (idle.length === 0) this.#idle.delete(origin);
    this.#idleCount--;
    return connection;
  }

  /** A new connection; a `stream` may become another protocol's. */
  dial(origin: string, wanting: Wanting, as: "answers" | "stream" = "answers"): Dialling {
    const place = placeOf(origin);
    if (place === null) {
      let cancelled = false;
      const error = Object.assign(new Error(`${origin} is no origin`), { code: "EBADNAME" });
      process.nextTick(() => cancelled || wanting.failed(error));
      return { cancel: () => void (cancelled = true) };
    }
    let connection: OriginConnection | null = null;
    const reading = as === "stream" ? null : new Reading((bytes) => connection?.received(bytes));
    const { parent } = this.#options;
    const via = parent === null || place.path !== undefined || parent.spares(place.host) ? null : parent;
    const dialled: Dialled = (error, socket, inside) => {
      if (error !== null || socket === null) return wanting.failed(error ?? new Error("no connection"));
      const owner = {
        idle: (one: OriginConnection): void => this.#keep(origin, one),
        gone: (one: OriginConnection): void => this.#forget(one),
      };
      connection = new OriginConnection(socket, inside, this.#options, owner, reading);
      connection.usedUntil = performance.now() + ageMaxMs * (1 - ageSpread * Math.random());
      this.#all.add(connection);
      this.#places.set(connection, origin);
      if (via !== null && !place.secure && as === "answers") connection.via = via;
      this.#sweep();
      return wanting.connected(connection);
    };
    return via === null
      ? dial(place, this.#context, reading, dialled)
      : dialThrough(via, place, this.#context, reading, dialled);
  }

  /** Idle ones are closed now, those in use when their answers have ended. */
  retire(): void {
    this.#closed = true;
    for (const idle of this.#idle.values()) for (const connection of idle.slice()) connection.destroy();
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#all) connection.destroy();
  }

  #keep(origin: string, connection: OriginConnection): void {
    const { keptSeconds } = connection;
    // A second less than the origin says: a request must not meet its end on the way.
    const ms = keptSeconds === null ? keepMs : Math.min(keepMs, (keptSeconds - 1) * 1000);
    const now = performance.now();
    if (this.#closed || ms <= 0 || now >= connection.usedUntil) return connection.destroy();
    if (this.#idleCount >= idleMax) this.#idle.values().next().value?.[0]?.destroy();
    connection.idleSince = now;
    connection.keepUntil = Math.min(now + ms, connection.usedUntil);
    const idle = this.#idle.get(origin);
    if (idle === undefined) this.#idle.set(origin, [connection]);
    else idle.push(connection);
    this.#idleCount++;
    return undefined;
  }

  #forget(connection: OriginConnection): void {
    this.#all.delete(connection);
    const origin = this.#places.get(connection);
    this.#places.delete(connection);
    const idle = origin === undefined ? undefined : this.#idle.get(origin);
    const index = idle?.indexOf(connection) ?? -1;
    if (idle === undefined || index === -1) return;
    idle.splice(index, 1);
    if (idle.length === 0) this.#idle.delete(origin!);
    this.#idleCount--;
  }

  /** While there are connections: who is too late is told, who was idle for too long goes. */
  #sweep(): void {
    if (this.#timer !== null) return;
    const { headMs, bodyMs } = this.#options;
    const everyMs = Math.max(20, Math.min(250, headMs / 4, bodyMs / 4));
    const heldUp = (lostMs: number): void => {
      for (const connection of this.#all) connection.heldUp(lostMs);
    };
    const look = (): void => {
      const now = performance.now();
      for (const connection of this.#all) connection.sweep(now);
      for (const idle of this.#idle.values())
        for (const connection of idle.filter(({ keepUntil }) => keepUntil <= now)) connection.destroy();
      if (this.#all.size > 0) return;
      clearInterval(this.#timer!);
      this.#timer = null;
    };
    this.#timer = lookEvery(everyMs, look, heldUp);
  }
}
