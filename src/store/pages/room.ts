/** How a budget is divided, before anything is stored: pages, and what is remembered beside them. All in bytes. */
import { Ghosts } from "./ghosts.ts";
import { memoryBytesMax, PageMemory } from "./page-memory.ts";
import { PagePool, type Vacate } from "./page-pool.ts";
import type { Behind } from "./behind.ts";
import type { Published } from "./published.ts";
import { Records } from "./records.ts";

/** Pages that a budget is cut into, where their size allows it. */
const pagesWanted = 128;
const pageBytesMin = 64 * 2 ** 10;
const pageBytesMax = 2 ** 20;
/** The least that S3-FIFO can work with: the index, a page being written in each queue, and one to move to. */
const pagesMin = 4;
/** One fingerprint, of two bytes, for so much of the budget. */
const bytesPerGhost = 512;
/** The part of the budget for short content on its way in. */
const outsideShare = 1 / 16;
const outsideBytesMax = 64 * 2 ** 20;
/** The part of the pages that content on its way in may take. */
const arrivingShare = 1 / 2;
/** Content up to this size lies with its head: it is copied when it is kept, and whenever its page is emptied. */
const inlineBytesMax = 16 * 2 ** 10;
const inlinePageShare = 1 / 8;

/** The least budget that a store can have. */
export const storeBytesMin: number = Math.ceil(
  ((pagesMin + 1) * pageBytesMin) / (1 - outsideShare - 2 / bytesPerGhost),
);

/** What a store has beside its pages. */
export interface Beside {
  /** Of the hash of keys. */
  readonly seed: number;
  readonly behind: Behind | null;
  /** For threads that read it; null where there are none. */
  readonly published: Published | null;
}

/** A store's memory, empty. */
export interface Room {
  readonly records: Records;
  readonly pool: PagePool;
  readonly ghosts: Ghosts;
  readonly inlineBytesMax: number;
  readonly outsideBytesMax: number;
  readonly arrivingBytesMax: number;
}

/** Divides a budget. */
export function roomFor(bytesMax: number, copiesBytesMax: number, vacate: Vacate, published: Published | null): Room {
  const ghosts = new Ghosts(bytesMax / bytesPerGhost);
  const outside = Math.min(outsideBytesMax, Math.floor(bytesMax * outsideShare));
  const left = bytesMax - ghosts.bytes - outside;
  const wanted = 2 ** Math.floor(Math.log2(Math.max(1, left / pagesWanted)));
  const pageBytes = Math.min(pageBytesMax, Math.max(pageBytesMin, wanted));
  const pages = Math.min(Math.max(pagesMin, Math.floor(left / pageBytes)), Math.floor(memoryBytesMax / pageBytes));
  const memory = new PageMemory(pageBytes, pages);
  const copiesPagesMax = copiesBytesMax === 0 ? 0 : Math.max(1, Math.floor(copiesBytesMax / pageBytes));
  return {
    records: new Records(memory),
    pool: new PagePool(memory, copiesPagesMax, vacate, published),
    ghosts,
    inlineBytesMax: Math.min(inlineBytesMax, pageBytes * inlinePageShare),
    outsideBytesMax: outside,
    arrivingBytesMax: memory.pagesMax * pageBytes * arrivingShare,
  };
}
