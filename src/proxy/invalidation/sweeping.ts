/**
 * Holding everything stored against what has been invalidated, a little at a time: what has been ended frees its room,
 * and is counted, though nobody asks for it. Hits go on meanwhile: of a busy thread a hundredth is taken, of an idle
 * one a twentieth.
 */
import { performance } from "node:perf_hooks";
import type { Store } from "../../store/port.ts";

const stepMs = 1;
const idlePauseMs = 20;
const busyPauseMs = 100;
/** A thread is busy that works for this part of its time. */
const busyPart = 0.1;
/** Responses between two looks at the clock. */
const atOnce = 500;

/** The sweeps of one store. */
export class Sweeping {
  readonly #store: Pick<Store, "sweep">;
  readonly #failed: (error: Error) => void;
  #timer: NodeJS.Timeout | null = null;
  #looked = performance.eventLoopUtilization();

  constructor(store: Pick<Store, "sweep">, failed: (error: Error) => void) {
    this.#store = store;
    this.#failed = failed;
  }

  /** There is something new to look for. */
  soon(): void {
    this.#timer ??= setTimeout(() => this.#step(), 0).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #step(): void {
    this.#timer = null;
    const until = performance.now() + stepMs;
    try {
      do if (this.#store.sweep(atOnce)) return;
      while (performance.now() < until);
    } catch (error) {
      return this.#failed(error as Error);
    }
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#looked);
    this.#looked = now;
    this.#timer = setTimeout(() => this.#step(), utilization > busyPart ? busyPauseMs : idlePauseMs).unref();
  }
}
