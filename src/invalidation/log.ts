/**
 * What one member has heard of all members' invalidations, its own among them: for each teller up to which number
 * without a gap, and the invalidations themselves as long as there is room. Whoever lacks some gets them from
 * whichever member still has them; whoever lacks what is gone everywhere learns that, and trusts nothing from before.
 *
 * Pure: times come in, in seconds. What this does is lived through in test/simulation.
 */
import type { Ahead, Invalidation, Vector } from "./invalidation.ts";
import { shortened } from "./selector.ts";

/** Of one teller. */
interface Heard {
  /** Everything up to this number has been heard. */
  upTo: number;
  /** And these beyond it. */
  readonly ahead: Set<number>;
  /** Up to this number nothing is kept any more. */
  floor: number;
  heardAt: number;
}

/** What another member lacks. */
export interface Lacking {
  readonly entries: readonly Invalidation[];
  /** For each teller, up to which number nobody here can say any more what they were. */
  readonly forgotten: Vector;
  /** For each teller of these, for how long it has been silent: seconds. */
  readonly silences: Vector;
  /** There are more than these. */
  readonly more: boolean;
}

/** All that a log holds, as text can hold it. */
export interface LogState {
  readonly tellers: readonly {
    readonly teller: string;
    readonly upTo: number;
    readonly ahead: readonly number[];
    readonly floor: number;
    readonly heardAt: number;
  }[];
  readonly entries: readonly Invalidation[];
}

/** An entry's cost beside its text. */
const entryBytes = 200;
/**
 * A teller that has been silent for so long and is no member any more is not spoken of, and then forgotten. Seconds.
 */
const spokenOfSeconds = 1800;
const rememberedSeconds = 3600;
/** Of what has come out of order; beyond it the gap is taken for good. */
const aheadMax = 10_000;
/** A gap of a life that is over, which nobody has filled for so long, will not be filled. Seconds. */
const gapSeconds = 10;

/** One member's log. */
export class InvalidationLog {
  readonly teller: string;
  readonly bytesMax: number;
  readonly #tellers = new Map<string, Heard>();
  /** In the order in which they were heard. */
  readonly #entries = new Map<string, Invalidation>();
  #bytes = 0;

  /** `teller`: the life that makes its own here. */
  constructor(teller: string, bytesMax: number) {
    this.teller = teller;
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get tellers(): number {
    return this.#tellers.size;
  }

  get state(): LogState {
    const tellers = [...this.#tellers].map(([teller, { ahead, ...heard }]) => ({
      teller,
      ahead: [...ahead],
      ...heard,
    }));
    return { tellers, entries: [...this.#entries.values()] };
  }

  /** Goes on from what another life of this member had heard. */
  restore({ tellers, entries }: LogState): void {
    for (const { teller, ahead, ...heard } of tellers) this.#tellers.set(teller, { ...heard, ahead: new Set(ahead) });
    for (const entry of entries) this.#keep(entry);
  }

  /** A new one of this member's own. */
  make(what: Pick<Invalidation, "selector" | "mode" | "cause" | "atMs">, now: number): Invalidation {
    const { selector, ...rest } = what;
    const number = this.upTo(this.teller) + 1;
    const made = { ...rest, selector: shortened(selector), teller: this.teller, number };
    this.hear(made, now);
    return made;
  }

  /**
   * Takes in an invalidation. @returns whether it is new here, and so has to be applied. `silence`: for how long its
   * teller has been silent to whoever hands it on, in seconds: what is handed on is no sign of its life.
   */
  hear(invalidation: Invalidation, now: number, silence = 0): boolean {
    const { teller, number } = invalidation;
    const heard = this.#of(teller, now - silence);
    if (number <= heard.upTo || heard.ahead.has(number)) return false;
    this.#keep(invalidation);
    heard.heardAt = Math.max(heard.heardAt, now - silence);
    heard.ahead.add(number);
    settle(heard);
    return true;
  }

  /**
   * Takes in that nobody can say any more what there was up to these numbers. @returns whether that is news: then
   * everything stored up to now is in doubt.
   */
  forget(forgotten: Vector, now: number, silences: Vector = {}): boolean {
    let news = false;
    for (const [teller, number] of Object.entries(forgotten)) {
      const at = now - (silences[teller] ?? 0);
      const heard = this.#of(teller, at);
      if (number <= heard.upTo) continue;
      news = true;
      heard.heardAt = Math.max(heard.heardAt, at);
      skip(heard, number);
    }
    return news;
  }

  /**
   * Gives gaps up that nobody is going to fill: of lives that are over, or wider than what is remembered. @returns
   * whether there were any: then everything stored up to now is in doubt.
   */
  giveUpGaps(now: number, isLiving: (teller: string) => boolean): boolean {
    let news = false;
    for (const [teller, heard] of this.#tellers) {
      if (heard.ahead.size === 0) continue;
      const isOver = !isLiving(teller) && now - heard.heardAt > gapSeconds;
      if (!isOver && heard.ahead.size <= aheadMax) continue;
      news = true;
      skip(heard, maxOf(heard.ahead));
    }
    return news;
  }

  /** Up to which number a teller has been heard without a gap. */
  upTo(teller: string): number {
    return this.#tellers.get(teller)?.upTo ?? 0;
  }

  /** Whether this very invalidation has been heard. */
  has({ teller, number }: Pick<Invalidation, "teller" | "number">): boolean {
    const heard = this.#tellers.get(teller);
    return heard !== undefined && (number <= heard.upTo || heard.ahead.has(number));
  }

  /** How far each teller has been heard; `living` are the members of the view. */
  vector(now: number, isLiving: (teller: string) => boolean): Vector {
    const vector: Record<string, number> = {};
    for (const [teller, heard] of this.#tellers)
      if (heard.upTo > 0 && this.#isSpokenOf(teller, heard, now, isLiving)) vector[teller] = heard.upTo;
    return vector;
  }

  /** What has been heard beyond the vector. */
  ahead(now: number, isLiving: (teller: string) => boolean): Ahead {
    const ahead: Record<string, readonly number[]> = {};
    for (const [teller, heard] of this.#tellers)
      if (heard.ahead.size > 0 && this.#isSpokenOf(teller, heard, now, isLiving)) ahead[teller] = [...heard.ahead];
    return ahead;
  }

  /** Tellers that have been heard since a time. */
  heardSince(time: number): string[] {
    return [...this.#tellers].filter(([, { heardAt }]) => heardAt >= time).map(([teller]) => teller);
  }

  /** Whether everything that somebody has heard has been heard here too. */
  covers(vector: Vector, ahead: Ahead = {}): boolean {
    for (const teller in vector) if (vector[teller]! > this.upTo(teller)) return false;
    for (const teller in ahead) for (const number of ahead[teller]!) if (!this.has({ teller, number })) return false;
    return true;
  }

  /** What somebody lacks who has heard this, up to so many bytes at a time. */
  lacking(
    { vector, ahead }: { readonly vector: Vector; readonly ahead: Ahead },
    now: number,
    isLiving: (teller: string) => boolean,
    bytesMax: number,
  ): Lacking {
    const entries: Invalidation[] = [];
    const forgotten: Record<string, number> = {};
    const silences: Record<string, number> = {};
    let bytes = 0;
    for (const [teller, heard] of this.#tellers) {
      if (!this.#isSpokenOf(teller, heard, now, isLiving)) continue;
      const has = vector[teller] ?? 0;
      const beyond = new Set(ahead[teller]);
      if (has < heard.floor) forgotten[teller] = heard.floor;
      if (has < heard.upTo || heard.ahead.size > 0) silences[teller] = Math.max(0, now - heard.heardAt);
      for (const number of [...range(Math.max(has, heard.floor) + 1, heard.upTo), ...heard.ahead]) {
        const entry = this.#entries.get(nameOf(teller, number));
        if (entry === undefined || number <= has || beyond.has(number)) continue;
        if (bytes > bytesMax) return { entries, forgotten, silences, more: true };
        entries.push(entry);
        bytes += bytesOf(entry);
      }
    }
    return { entries, forgotten, silences, more: false };
  }

  /** One that is still kept, or null. */
  find({ teller, number }: Pick<Invalidation, "teller" | "number">): Invalidation | null {
    return this.#entries.get(nameOf(teller, number)) ?? null;
  }

  /** Forgets lives that are long over. */
  prune(now: number, isLiving: (teller: string) => boolean): void {
    const over = new Set<string>();
    for (const [teller, { heardAt }] of this.#tellers)
      if (teller !== this.teller && !isLiving(teller) && now - heardAt >= rememberedSeconds) over.add(teller);
    if (over.size === 0) return;
    for (const [name, { teller }] of this.#entries) if (over.has(teller)) this.#drop(name);
    for (const teller of over) this.#tellers.delete(teller);
  }

  #isSpokenOf(teller: string, { heardAt }: Heard, now: number, isLiving: (teller: string) => boolean): boolean {
    return now - heardAt < spokenOfSeconds || isLiving(teller);
  }

  #of(teller: string, now: number): Heard {
    let heard = this.#tellers.get(teller);
    if (heard === undefined) {
      heard = { upTo: 0, ahead: new Set(), floor: 0, heardAt: now };
      this.#tellers.set(teller, heard);
    }
    return heard;
  }

  #keep(invalidation: Invalidation): void {
    this.#entries.set(nameOf(invalidation.teller, invalidation.number), invalidation);
    this.#bytes += bytesOf(invalidation);
    for (const [name, { teller, number }] of this.#entries) {
      if (this.#bytes <= this.bytesMax) break;
      this.#drop(name);
      const heard = this.#tellers.get(teller);
      if (heard !== undefined) heard.floor = Math.max(heard.floor, number);
    }
  }

  #drop(name: string): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    this.#bytes -= bytesOf(entry);
    return this.#entries.delete(name);
  }
}

/** What has been heard without a gap grows by what had come before its turn. */
function settle(heard: Heard): void {
  while (heard.ahead.delete(heard.upTo + 1)) heard.upTo++;
}

/** What there was up to a number will not be known any more. */
function skip(heard: Heard, to: number): void {
  heard.upTo = to;
  heard.floor = Math.max(heard.floor, to);
  for (const one of heard.ahead) if (one <= to) heard.ahead.delete(one);
  settle(heard);
}

function maxOf(numbers: ReadonlySet<number>): number {
  let most = 0;
  for (const number of numbers) most = Math.max(most, number);
  return most;
}

function nameOf(teller: string, number: number): string {
  return `${teller} ${number}`;
}

function bytesOf({ selector, teller }: Invalidation): number {
  const texts = Object.values(selector) as readonly (string | null)[];
  return entryBytes + teller.length * 2 + texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
}

function* range(from: number, to: number): Generator<number> {
  for (let number = from; number <= to; number++) yield number;
}
