/**
 * The store's own policy over objects of one size: its pages, queues and ghosts, with records that hold nothing else.
 */
import { mixed } from "../ring/murmur3.ts";
import { emptyPage } from "../store/pages/emptying.ts";
import { Ghosts } from "../store/pages/ghosts.ts";
import { PageMemory } from "../store/pages/page-memory.ts";
import { PagePool } from "../store/pages/page-pool.ts";
import { flagLive, kindResponse, numbersBytes, Records, word } from "../store/pages/records.ts";

/** As many as the store cuts a budget into. */
const pagesWanted = 128;

/** Hits among `ids` with room for `capacity` objects, the page that the store keeps free among them. */
export function pageHits(ids: Uint32Array, capacity: number): number {
  const perPage = Math.max(1, Math.round(capacity / pagesWanted));
  const pages = Math.max(3, Math.round(capacity / perPage));
  const pageBytes = 2 ** Math.ceil(Math.log2(Math.max(1024, perPage * numbersBytes)));
  // One more, since nothing may lie at location 0.
  const memory = new PageMemory(pageBytes, pages + 1);
  const units = Math.floor(memory.pageUnits / perPage);
  const records = new Records(memory);
  const ghosts = new Ghosts(Math.max(1024, capacity * 2));
  const places = new Map<number, number>();
  const pool: PagePool = new PagePool(memory, 0, (page, queue, forced) =>
    emptyPage(
      records,
      pool,
      { page, queue, forced },
      {
        isOver: () => false,
        evicted: (location, from) => {
          const id = records.word(location, word.ringHash);
          if (from === "small") ghosts.add(mixed(id));
          places.delete(id);
          forget(location);
        },
        moved: (from, to) => {
          places.set(records.word(from, word.ringHash), to);
          forget(from);
        },
      },
    ),
  );
  pool.takeApart();
  let hits = 0;
  for (const id of ids) {
    const known = places.get(id);
    if (known !== undefined) {
      hits++;
      records.used(known);
      continue;
    }
    const location = pool.allocate(units, ghosts.take(mixed(id)) ? "main" : "small");
    if (location === 0) continue;
    records.setWord(location, word.units, units);
    records.setWord(location, word.flags, kindResponse | flagLive);
    records.setWord(location, word.ringHash, id);
    records.setWord(location, word.uses, 0);
    records.setWord(location, word.extents, 0);
    places.set(id, location);
  }
  return hits;

  function forget(location: number): void {
    records.clearFlag(location, flagLive);
    pool.release(location, units);
  }
}
