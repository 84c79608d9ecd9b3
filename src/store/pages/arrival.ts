/**
 * Content that arrives: the first of it in memory of its own, since most of it is short and is copied into one record
 * with its head; what goes beyond that in extents of the pages at once, where it stays when it is kept.
 */
import { Body, type SegmentSource } from "../body.ts";
import type { Keepsake, Writer } from "../port.ts";
import { unitsFor } from "./page-memory.ts";
import type { OpenName, PagePool } from "./page-pool.ts";
import {
  extentHeadBytes,
  extentWord,
  flagLive,
  kindExtent,
  kindGap,
  word,
  type Extent,
  type Records,
} from "./records.ts";

/** The first piece of content of unknown length. */
const firstBytes = 4 * 1024;
const extentBytesMax = 256 * 1024;
/** What is left of a page is used for content if it is at least so much. */
const restBytesMin = 4 * 1024;

/** What an arrival needs of its store. */
export interface ArrivalRoom {
  readonly records: Records;
  readonly pool: PagePool;
  /** Content up to this size lies in its response's record. */
  readonly inlineBytesMax: number;
  /** Asks for so much room, outside the pages or in them. @returns false where too much is arriving already. */
  readonly borrow: (bytes: number, where: "outside" | "pages") => boolean;
  readonly giveBack: (bytes: number, where: "outside" | "pages") => void;
  readonly commit: (kept: Keepsake, arrival: Arrival) => boolean;
}

/** Content of one response on its way in. */
export class Arrival implements Writer, SegmentSource {
  readonly body: Body;
  readonly #room: ArrivalRoom;
  readonly #contentBytes: number | null;
  readonly #queue: OpenName;
  #extents: Extent[] = [];
  /** Segments made and not yet asked for. */
  readonly #ready: Buffer[] = [];
  #capacity = 0;
  #outsideBytes = 0;
  #borrowedInPages = 0;
  /** All that is to come has been borrowed at once. */
  #isBorrowed = false;
  #outside = 0;
  #let = 0;
  #state: "open" | "kept" | "abandoned" = "open";
  #isOver = false;
  /** More has come than was asked for. */
  #overrun = false;

  /** The arrival, or null where there is no room for it. */
  static of(room: ArrivalRoom, contentBytes: number | null, queue: OpenName): Arrival | null {
    const arrival = new Arrival(room, contentBytes, queue);
    if (contentBytes === null || (arrival.#borrow(contentBytes) && arrival.#fill(contentBytes))) return arrival;
    arrival.abandon();
    arrival.over();
    return null;
  }

  private constructor(room: ArrivalRoom, contentBytes: number | null, queue: OpenName) {
    this.#room = room;
    this.#contentBytes = contentBytes;
    this.#queue = queue;
    this.body = new Body("keeping", contentBytes, this);
  }

  get lentFrom(): number {
    return this.#outside;
  }

  /** The pieces of its content that lie in the pages, in order. */
  get extents(): readonly Extent[] {
    return this.#extents;
  }

  grow(bytes: number): boolean {
    return this.#state === "open" && this.#fill(this.body.bytes + bytes);
  }

  next(): Buffer {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    this.#overrun = true;
    return Buffer.allocUnsafeSlow(firstBytes);
  }

  let(): void {
    if (this.#let++ < this.#outside) return;
    const extent = this.#extents.shift();
    if (extent !== undefined) this.#free(extent);
  }

  commit(kept: Keepsake): boolean {
    if (this.#state !== "open") return false;
    const stored = !this.#overrun && this.#gathered() && this.#room.commit(kept, this);
    this.#settle(stored ? "kept" : "abandoned");
    return stored;
  }

  abandon(): void {
    if (this.#state === "open") this.#settle("abandoned");
  }

  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.abandon();
    this.body.whenUnread(() => {
      for (const extent of this.#extents.splice(0)) this.#free(extent);
    });
  }

  /** Nothing arrives any more: what was borrowed is given back, and pages with its content may be emptied. */
  #settle(state: "kept" | "abandoned"): void {
    const { pool, records, giveBack } = this.#room;
    this.#state = state;
    giveBack(this.#outsideBytes, "outside");
    giveBack(this.#borrowedInPages, "pages");
    for (const { location } of this.#extents) pool.arrived(records.memory.pageOf(location));
  }

  /**
   * Extents that hold all of the content and nothing else; none where it is short enough for a record. @returns false
   * where there is no room for what came first.
   */
  #gathered(): boolean {
    const { segments } = this.body;
    const extents = this.#extents;
    let left = this.body.bytes;
    const first: Buffer[] = [];
    for (const segment of segments.slice(0, this.#outside)) {
      first.push(segment!);
      left -= segment!.length;
    }
    const kept: Extent[] = [];
    for (const extent of extents) {
      const bytes = Math.min(extent.bytes, left);
      left -= bytes;
      if (bytes > 0) kept.push(this.#shortened(extent, bytes));
      else {
        this.#room.pool.arrived(this.#room.records.memory.pageOf(extent.location));
        this.#free(extent);
      }
    }
    this.#extents = kept;
    if (kept.length === 0 || first.length === 0) return true;
    const bytes = first.reduce((sum, piece) => sum + piece.length, 0);
    const extent = this.#extent(bytes, "whole");
    if (extent === null) return false;
    this.#extents = [extent, ...kept];
    const view = this.#view(extent);
    let at = 0;
    for (const piece of first) at += piece.copy(view, at);
    return true;
  }

  /** What is known to come is asked for before anything has to go for it. */
  #borrow(contentBytes: number): boolean {
    const { inlineBytesMax, borrow } = this.#room;
    if (contentBytes <= inlineBytesMax) return true;
    if (!borrow(contentBytes, "pages")) return false;
    this.#borrowedInPages = contentBytes;
    this.#isBorrowed = true;
    return true;
  }

  /** Makes segments until so many bytes fit. */
  #fill(bytes: number): boolean {
    while (this.#capacity < bytes) {
      const wanted = bytes - this.#capacity;
      const segment = this.#segment(
        this.#contentBytes === null ? Math.max(wanted, this.#capacity, firstBytes) : wanted,
      );
      if (segment === null) return false;
      this.#capacity += segment.length;
      this.#ready.push(segment);
    }
    return true;
  }

  #segment(wanted: number): Buffer | null {
    const { inlineBytesMax, borrow } = this.#room;
    const outsideMax = (this.#contentBytes ?? 0) > inlineBytesMax ? 0 : inlineBytesMax;
    const outside = Math.min(outsideMax - this.#outsideBytes, wanted);
    if (outside > 0) {
      if (!borrow(outside, "outside")) return null;
      this.#outsideBytes += outside;
      this.#outside++;
      return Buffer.allocUnsafe(outside);
    }
    const extent = this.#extent(Math.min(wanted, extentBytesMax), "part");
    if (extent === null) return null;
    this.#extents.push(extent);
    return this.#view(extent);
  }

  /** Room in a page for so much content, or, for a `part` of it, for what the page has left. */
  #extent(wanted: number, as: "whole" | "part"): Extent | null {
    const { pool, records, borrow } = this.#room;
    const queue = this.#queue;
    const rest = pool.restBytes(queue) - extentHeadBytes;
    const most = Math.min(wanted, records.memory.pageBytes - extentHeadBytes);
    const bytes = as === "part" && most > rest && rest >= restBytesMin ? rest : most;
    if (!this.#isBorrowed) {
      if (!borrow(bytes, "pages")) return null;
      this.#borrowedInPages += bytes;
    }
    const units = unitsFor(bytes + extentHeadBytes);
    const location = pool.mayArrive ? pool.allocate(units, queue) : 0;
    if (location === 0) return null;
    records.setWord(location, word.units, units);
    records.setWord(location, word.flags, kindExtent | flagLive);
    records.setWord(location, extentWord.owner, 0);
    const page = records.memory.pageOf(location);
    pool.pin(page);
    pool.arriving(page);
    return { location, bytes };
  }

  #view({ location, bytes }: Extent): Buffer {
    return this.#room.records.view(location, extentHeadBytes, bytes);
  }

  #shortened({ location }: Extent, bytes: number): Extent {
    const { records, pool } = this.#room;
    const units = records.word(location, word.units);
    const needed = unitsFor(bytes + extentHeadBytes);
    if (needed < units) {
      records.setWord(location, word.units, needed);
      if (!pool.shrink(location, units, units - needed)) {
        records.setWord(location + needed, word.units, units - needed);
        records.setWord(location + needed, word.flags, kindGap);
      }
    }
    return { location, bytes };
  }

  /** Nobody reads it any more. What is kept is its response's, and may have moved. */
  #free({ location }: Extent): void {
    const { records, pool } = this.#room;
    if (this.#state !== "kept" && records.has(location, flagLive)) {
      records.clearFlag(location, flagLive);
      pool.release(location, records.word(location, word.units));
    }
    pool.unpin(records.memory.pageOf(location));
  }
}
