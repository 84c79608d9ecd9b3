/**
 * Emptying a page so that it can be written anew: what was used enough moves to the main queue, the rest goes. S3-FIFO:
 * two uses let a newcomer stay, one keeps what has stayed, at the price of that use.
 */
import type { PagePool, QueueName } from "./page-pool.ts";
import { extentWord, flagLive, kindExtent, kindMask, kindResponse, word, type Records } from "./records.ts";

/** Uses that let a response stay, by the queue that its page is in. Copies are never worth moving. */
const usesNeeded: Readonly<Record<QueueName, number>> = { small: 2, main: 1, copies: Infinity };

/** What happens to a response. */
export interface Fates {
  /** It has been moved. */
  moved(from: number, to: number): void;
  /** It must go for want of room. */
  evicted(location: number, from: QueueName): void;
  /** It has been invalidated, and nobody has come by since. */
  isOver(location: number): boolean;
}

/** Leaves nothing live in a page. */
export function emptyPage(
  records: Records,
  pool: PagePool,
  { page, queue, forced }: { readonly page: number; readonly queue: QueueName; readonly forced: boolean },
  fates: Fates,
): void {
  const begin = records.memory.begin(page);
  const end = begin + pool.usedUnits(page);
  for (let at = begin; at < end; at += records.word(at, word.units)) {
    const flags = records.word(at, word.flags);
    if ((flags & flagLive) === 0) continue;
    if ((flags & kindMask) === kindResponse) emptyResponse(at);
    else if ((flags & kindMask) === kindExtent) emptyExtent(at);
  }

  function emptyResponse(at: number): void {
    if (fates.isOver(at)) return;
    const to = isWorth(at) ? pool.allocate(records.word(at, word.units), "main") : 0;
    if (to === 0) return fates.evicted(at, queue);
    records.copy(at, to);
    // What has proved itself begins anew; what stays on pays with a use.
    records.setWord(to, word.uses, queue === "small" ? 0 : records.word(at, word.uses) - 1);
    for (let index = 0; index < records.word(to, word.extents); index++)
      records.setWord(records.extent(to, index), extentWord.owner, to);
    return fates.moved(at, to);
  }

  function emptyExtent(at: number): void {
    const owner = records.word(at, extentWord.owner);
    const units = records.word(at, word.units);
    if (owner === 0) {
      // Nobody will keep it; who still reads it has pinned the page.
      records.clearFlag(at, flagLive);
      return pool.release(at, units);
    }
    if (fates.isOver(owner)) return;
    const to = isWorth(owner) ? pool.allocate(units, "main") : 0;
    if (to === 0) return fates.evicted(owner, queue);
    records.copy(at, to);
    const index = records.word(at, extentWord.index);
    records.setExtent(owner, index, to, records.extentBytes(owner, index));
    records.clearFlag(at, flagLive);
    pool.release(at, units);
    return fates.moved(owner, owner);
  }

  function isWorth(response: number): boolean {
    // Content shares the fate of its head, wherever that lies.
    const home = pool.queueOf(records.memory.pageOf(response));
    return !forced && records.word(response, word.uses) >= usesNeeded[home];
  }
}
