/**
 * The member's two clocks. Ages of what is stored count on a steady one that never goes back, so that a wall clock set
 * back by an hour makes nothing live an hour longer; dates are read and written by the wall clock. Where the wall clock
 * leaps ahead (set right, or the machine slept while the steady one stood still), the steady one follows: then
 * everything is older, which is the safe error.
 */

/** Where time is read. */
export interface TimeSources {
  /** Milliseconds since the epoch, as the system has it. */
  readonly wallMs: () => number;
  /** Milliseconds since whenever, never going back. */
  readonly monotonicMs: () => number;
}

const system: TimeSources = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
/** A difference that no slewing makes between two looks. */
const leapSeconds = 1;
const lookMs = 1000;

/** Steady seconds, and how far the wall clock is from them. */
export class Clock {
  readonly #sources: TimeSources;
  readonly #leapt: (seconds: number) => void;
  /** Steady seconds at monotonic 0. */
  #base: number;
  #lead = 0;
  #timer: NodeJS.Timeout | null = null;

  /** `leapt` hears by how many seconds the wall clock was set, ahead or back. */
  constructor(leapt: (seconds: number) => void, sources: TimeSources = system) {
    this.#sources = sources;
    this.#leapt = leapt;
    this.#base = (sources.wallMs() - sources.monotonicMs()) / 1000;
  }

  readonly nowSeconds = (): number => this.#base + this.#sources.monotonicMs() / 1000;

  /** The wall clock minus the steady one, in seconds. */
  readonly wallLeadSeconds = (): number => this.#lead;

  /** Compares the two from now on, once a second. */
  start(): void {
    this.#timer = setInterval(() => this.look(), lookMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Compares the two now. */
  look(): void {
    const lead = this.#sources.wallMs() / 1000 - this.nowSeconds();
    const change = lead - this.#lead;
    if (lead > leapSeconds) {
      this.#base += lead;
      this.#lead = 0;
    } else this.#lead = lead;
    if (Math.abs(change) > leapSeconds) this.#leapt(change);
  }
}
