/**
 * Which page is written, which is free, and which goes next: S3-FIFO (Yang et al., SOSP '23) with pages in the place of
 * objects, as Segcache (NSDI '21) groups them. What is new is written to pages of the *small* queue, a tenth of all;
 * what was used twice until its page goes moves to the *main* queue, and stays there as long as it is used. Hot copies
 * have pages of their own, under their own bound.
 *
 * A page that is being read from, or that the kernel still has to read, is *pinned*: what goes from it is forgotten at
 * once, its memory is used again when the last pin is gone. Nobody ever waits for a page.
 */
import { unitBytes, type PageMemory } from "./page-memory.ts";
import type { Published } from "./published.ts";

export type QueueName = "small" | "main" | "copies";
/** What is written to: beside the queues, pages for content on its way in, which join the small queue when full. */
export type OpenName = QueueName | "arrivals";
const queueNames: readonly OpenName[] = ["small", "main", "copies", "arrivals"];
const noQueue = 255;

/** Part of the pages for what is new. */
const smallShare = 0.1;
/** The part of the room for hot copies that they keep when the store is full. */
const copiesKeptShare = 1 / 4;
/** The part of all pages that may wait for their last pin. */
const waitingShare = 1 / 4;
/** The part of all pages that content may be arriving in. */
const arrivingShare = 1 / 2;
/** Pages kept free for what moves while another page is emptied. */
const spare = 1;
/** Pages of used responses in a row that are moved on; then one goes whatever it holds, so that no one waits long. */
const movedInRowMax = 8;

interface OpenPage {
  readonly page: number;
  usedUnits: number;
}

/** Empties a page: everything live in it is moved or dropped. `forced`: nothing may be moved. */
export type Vacate = (page: number, queue: QueueName, forced: boolean) => void;

/** All pages of a store. */
export class PagePool {
  readonly memory: PageMemory;
  readonly #copiesMax: number;
  readonly #vacate: Vacate;
  readonly #published: Published | null;
  /** Of free pages: when they were retired, for those who may still read them. */
  readonly #stamps: Int32Array;
  readonly #queues: Record<QueueName, number[]> = { small: [], main: [], copies: [] };
  readonly #open: Record<OpenName, OpenPage | null> = { small: null, main: null, copies: null, arrivals: null };
  readonly #free: number[] = [];
  /** Pages from here on have never been used. */
  #untouched = 0;
  #waiting = 0;
  /** Outside the queues for good: the index lies there. */
  #apart = 0;
  #vacating = -1;
  #movedInRow = 0;
  readonly #pins: Int32Array;
  /** Extents that content is still arriving in: such a page is passed over. */
  readonly #arriving: Int32Array;
  readonly #liveUnits: Int32Array;
  readonly #usedUnits: Int32Array;
  /** Times that a page's memory has been used for something else. */
  readonly #generations: Uint32Array;
  /** 1: emptied, and waiting for its last pin. */
  readonly #emptied: Uint8Array;
  readonly #queueIds: Uint8Array;
  #arrivingPages = 0;
  #live = 0;

  constructor(memory: PageMemory, copiesPagesMax: number, vacate: Vacate, published: Published | null = null) {
    const { pagesMax } = memory;
    this.memory = memory;
    this.#copiesMax = copiesPagesMax;
    this.#vacate = vacate;
    this.#published = published;
    this.#stamps = new Int32Array(published === null ? 0 : pagesMax);
    this.#pins = new Int32Array(pagesMax);
    this.#arriving = new Int32Array(pagesMax);
    this.#liveUnits = new Int32Array(pagesMax);
    this.#usedUnits = new Int32Array(pagesMax);
    this.#generations = new Uint32Array(pagesMax);
    this.#emptied = new Uint8Array(pagesMax);
    this.#queueIds = new Uint8Array(pagesMax).fill(noQueue);
  }

  /** Bytes of what is stored or arriving. */
  get liveBytes(): number {
    return this.#live * unitBytes;
  }

  /** Pages that have been given memory. */
  get touched(): number {
    return this.#untouched;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Room of so many units in a queue's page, live at once. @returns its location, or 0 where there is none. */
  allocate(units: number, queue: OpenName): number {
    if (units > this.memory.pageUnits || (queue === "copies" && this.#copiesMax === 0)) return 0;
    let open = this.#open[queue];
    if (open === null || open.usedUnits + units > this.memory.pageUnits) {
      const page = this.#vacating === -1 ? this.#freePage(queue) : this.#takeFree(0);
      if (page === -1) return 0;
      // Making room may have moved something into a new page of this queue.
      open = this.#open[queue];
      if (open !== null && open.usedUnits + units <= this.memory.pageUnits) this.#free.push(page);
      else open = this.#opened(queue, page);
    }
    const location = this.memory.begin(open.page) + open.usedUnits;
    open.usedUnits += units;
    this.#usedUnits[open.page] = open.usedUnits;
    this.#liveUnits[open.page]! += units;
    this.#live += units;
    return location;
  }

  /** What is left of the page that a queue is written to. */
  restBytes(queue: OpenName): number {
    const open = this.#open[queue];
    return open === null ? 0 : (this.memory.pageUnits - open.usedUnits) * unitBytes;
  }

  /** What lies there is no longer stored. */
  release(location: number, units: number): void {
    const page = this.memory.pageOf(location);
    this.#live -= units;
    this.#liveUnits[page]! -= units;
    if (this.#liveUnits[page] === 0) this.#unneeded(page);
  }

  /**
   * Gives back the last units of what lies there. @returns whether the memory is free again; else the caller marks the
   * gap.
   */
  shrink(location: number, units: number, by: number): boolean {
    const page = this.memory.pageOf(location);
    this.#live -= by;
    this.#liveUnits[page]! -= by;
    const name = queueNames[this.#queueIds[page]!];
    const open = name === undefined ? null : this.#open[name];
    if (open?.page !== page || location + units - this.memory.begin(page) !== open.usedUnits) return false;
    open.usedUnits -= by;
    this.#usedUnits[page] = open.usedUnits;
    return true;
  }

  /** A page outside the queues, or -1. */
  takeApart(): number {
    const page = this.#freePage("main");
    if (page === -1) return -1;
    this.memory.open(page);
    // Whoever walks the pages that there were before must not take what comes here for records.
    this.#usedUnits[page] = 0;
    this.#apart++;
    return page;
  }

  pin(page: number): void {
    this.#pins[page]!++;
  }

  unpin(page: number): void {
    if (--this.#pins[page]! > 0 || this.#emptied[page] === 0) return;
    this.#emptied[page] = 0;
    this.#waiting--;
    this.#setFree(page);
  }

  /** Whether content may begin to arrive: pages that it arrives in cannot be emptied. */
  get mayArrive(): boolean {
    return this.#arrivingPages < this.memory.pagesMax * arrivingShare;
  }

  arriving(page: number): void {
    if (this.#arriving[page]!++ === 0) this.#arrivingPages++;
  }

  arrived(page: number): void {
    if (--this.#arriving[page]! === 0) this.#arrivingPages--;
  }

  /** Changes when the page's memory is used for something else. */
  generation(page: number): number {
    return this.#generations[page]!;
  }

  queueOf(page: number): QueueName {
    const name = queueNames[this.#queueIds[page]!];
    return name === undefined || name === "arrivals" ? "small" : name;
  }

  /** Units of a page that have been written. */
  usedUnits(page: number): number {
    return this.#usedUnits[page]!;
  }

  /** The pages of a queue, the oldest first. */
  pages(queue: QueueName): number[] {
    const opened = [this.#open[queue], queue === "small" ? this.#open.arrivals : null];
    return [...this.#queues[queue], ...opened.flatMap((open) => (open === null ? [] : [open.page]))];
  }

  #opened(queue: OpenName, page: number): OpenPage {
    this.#close(queue);
    const open = { page, usedUnits: 0 };
    this.#open[queue] = open;
    this.memory.open(page);
    this.#usedUnits[page] = 0;
    this.#queueIds[page] = queueNames.indexOf(queue);
    return open;
  }

  #close(name: OpenName): void {
    const open = this.#open[name];
    if (open === null) return;
    const queue = name === "arrivals" ? "small" : name;
    this.#open[name] = null;
    this.#queues[queue].push(open.page);
    this.#queueIds[open.page] = queueNames.indexOf(queue);
    if (this.#liveUnits[open.page] === 0) this.#unneeded(open.page);
  }

  /** A page to write to, or -1 where none can be had. */
  #freePage(queue: OpenName): number {
    if (queue === "copies" && !this.#makeRoomAmongCopies()) return -1;
    for (let tries = this.memory.pagesMax * 2; tries > 0; tries--) {
      const page = this.#takeFree(spare);
      if (page !== -1) return page;
      // What is free and still read will be there in a moment: nothing has to go for it.
      if (this.#isShort(spare) === false) return -1;
      if (!this.#inTurn().some((name) => this.#empty(name))) return -1;
    }
    return -1;
  }

  #makeRoomAmongCopies(): boolean {
    const { copies } = this.#queues;
    while (copies.length + (this.#open.copies === null ? 0 : 1) >= this.#copiesMax) {
      if (copies.length === 0) this.#close("copies");
      if (copies.length === 0) return true;
      if (!this.#empty("copies")) return false;
    }
    return true;
  }

  #takeFree(kept: number): number {
    if (this.#isShort(kept)) return -1;
    const published = this.#published;
    for (let at = this.#free.length - 1; at >= 0; at--) {
      const page = this.#free[at]!;
      if (published !== null && !published.hasPassed(this.#stamps[page]!)) continue;
      this.#free.splice(at, 1);
      return page;
    }
    return this.#untouched < this.memory.pagesMax ? this.#untouched++ : -1;
  }

  #isShort(kept: number): boolean {
    return this.#free.length + this.memory.pagesMax - this.#untouched <= kept;
  }

  /** The queues in the order in which their oldest pages go. What is owned hits, a copy only spares a hop. */
  #inTurn(): readonly QueueName[] {
    const { small, copies } = this.#queues;
    if (copies.length > this.#copiesMax * copiesKeptShare) return ["copies", "small", "main"];
    const smallMax = Math.max(1, (this.memory.pagesMax - this.#apart) * smallShare);
    return small.length >= smallMax ? ["small", "main", "copies"] : ["main", "small", "copies"];
  }

  /** Empties a queue's oldest page that can be. @returns false where none can. */
  #empty(name: QueueName): boolean {
    const queue = this.#queues[name];
    const mayWait = this.#waiting < this.memory.pagesMax * waitingShare;
    const index = queue.findIndex((page) => this.#arriving[page] === 0 && (mayWait || this.#pins[page] === 0));
    if (index === -1) return false;
    const [page] = queue.splice(index, 1) as [number];
    const freeBefore = this.#free.length;
    this.#vacating = page;
    this.#vacate(page, name, this.#movedInRow >= movedInRowMax);
    this.#vacating = -1;
    this.#queueIds[page] = noQueue;
    this.#unneeded(page);
    this.#movedInRow = this.#free.length > freeBefore ? 0 : this.#movedInRow + 1;
    return true;
  }

  /** Nothing in it is stored any more. */
  #unneeded(page: number): void {
    if (page === this.#vacating || this.#emptied[page] === 1) return;
    const name = queueNames[this.#queueIds[page]!];
    if (name !== undefined) {
      // What is being written to is written to on.
      if (this.#open[name]?.page === page || name === "arrivals") return;
      const queue = this.#queues[name];
      queue.splice(queue.indexOf(page), 1);
      this.#queueIds[page] = noQueue;
    }
    if (this.#pins[page] === 0) return this.#setFree(page);
    this.#emptied[page] = 1;
    this.#waiting++;
  }

  #setFree(page: number): void {
    this.#generations[page]!++;
    if (this.#published !== null) this.#stamps[page] = this.#published.retire();
    this.#free.push(page);
  }
}
