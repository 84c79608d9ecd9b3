/**
 * The store: responses in pages of shared memory under a budget in bytes that is what is allocated, whatever lies in
 * it. No stored response is an object on the heap; those that the data plane gets are read from their records, and a
 * few of them remembered.
 *
 *   key → hash → index → newest record of the key → older ones (variants, parts)
 *
 * `docs/store.md` tells the formats and what must always hold.
 */
import { randomInt } from "node:crypto";
import type { StoredHead } from "../../http/stored-head.ts";
import {
  groupKey,
  type Allowed,
  type Glance,
  type Keepsake,
  type Lease,
  type Selecting,
  type Selector,
  type Store,
  type StoredResponse,
  type StoreMemory,
  type StoreUsage,
  type Writer,
} from "../port.ts";
import { Arrival, type ArrivalRoom } from "./arrival.ts";
import { PageGlance } from "./page-glance.ts";
import { unitBytes } from "./page-memory.ts";
import { DetachedResponse, type PageResponse } from "./page-response.ts";
import { draftOf } from "./record-writer.ts";
import { flagOutdated, flagSelected, float, word } from "./records.ts";
import { keepsakeOf, Shelf, type Kept } from "./shelf.ts";

export interface PageStoreOptions {
  /** The part of the budget that hot copies may take, in bytes. */
  readonly copiesBytesMax?: number;
  /** Of the hash of keys: secret, but for tests. */
  readonly seed?: number;
}

/** The page store. */
export class PageStore implements Store {
  readonly bytesMax: number;
  readonly copiesBytesMax: number;
  readonly #shelf: Shelf;
  readonly #glance: PageGlance;
  readonly #arrivals: ArrivalRoom;
  #leases = 0;
  /** Bytes of content on its way in, outside the pages and in them. */
  readonly #arriving = { outside: 0, pages: 0 };

  constructor(bytesMax: number, { copiesBytesMax = 0, seed = randomInt(2 ** 31) }: PageStoreOptions = {}) {
    this.bytesMax = bytesMax;
    this.copiesBytesMax = Math.min(copiesBytesMax, bytesMax);
    this.#shelf = new Shelf(bytesMax, this.copiesBytesMax, seed);
    const { records, pool, room } = this.#shelf;
    this.#glance = new PageGlance(records, pool, (location) => this.#shelf.responseAt(location));
    const arriving = this.#arriving;
    this.#arrivals = {
      records,
      pool,
      inlineBytesMax: room.inlineBytesMax,
      borrow: (bytes, where) => {
        if (arriving[where] + bytes > (where === "outside" ? room.outsideBytesMax : room.arrivingBytesMax))
          return false;
        arriving[where] += bytes;
        return true;
      },
      giveBack: (bytes, where) => void (arriving[where] -= bytes),
      commit: (kept, arrival) => this.#commit(kept, arrival),
    };
  }

  get usage(): StoreUsage {
    const { pool, responses, copies, copyUnits, counts } = this.#shelf;
    return {
      bytes: pool.liveBytes + this.#arriving.outside,
      responses,
      copies,
      copyBytes: copyUnits * unitBytes,
      leases: this.#leases,
      counts,
    };
  }

  get memory(): StoreMemory {
    const { pool, records, chains } = this.#shelf;
    const { pageBytes } = records.memory;
    return { given: pool.touched * pageBytes, index: chains.indexBytes, waiting: pool.waiting * pageBytes };
  }

  get copyCount(): number {
    return this.#shelf.copies;
  }

  glance(key: string): Glance | null {
    const { chains, records, heard } = this.#shelf;
    const location = chains.newest(key);
    if (location === 0) return null;
    if (records.float(location, float.heard) !== heard.now && this.#shelf.isOver(location)) return null;
    return PageGlance.suits(records, location, flagSelected | flagOutdated) ? this.#glance.at(location) : null;
  }

  allow(stored: StoredResponse, { settings, way, form }: Allowed): void {
    const location = this.#shelf.locationOf(stored);
    if (location === 0) return;
    const { records } = this.#shelf;
    const known = records.word(location, word.settings) === settings && records.word(location, word.way) === way;
    records.setWord(location, word.forms, known ? records.word(location, word.forms) | form : form);
    records.setWord(location, word.way, way);
    records.setWord(location, word.settings, settings);
  }

  variants(key: string): readonly PageResponse[] {
    return this.#shelf.variants(key);
  }

  find(key: string, selecting: Selecting, accepts: (stored: StoredResponse) => boolean): Lease | null {
    for (const kept of this.variants(key)) {
      const selected = kept.head.variant === selecting(kept.head.varyNames);
      if (selected && accepts(kept)) return this.lease(kept);
    }
    return null;
  }

  lease(stored: StoredResponse): Lease {
    const location = this.#shelf.locationOf(stored);
    // Its content may have moved since it was looked up.
    const kept = location === 0 ? (stored as Kept) : this.#shelf.responseAt(location);
    const { pin } = kept;
    pin.take();
    this.#leases++;
    let held = true;
    return {
      stored: kept,
      release: () => {
        if (!held) return;
        held = false;
        this.#leases--;
        pin.release();
      },
    };
  }

  used(stored: StoredResponse): void {
    const location = this.#shelf.locationOf(stored);
    if (location !== 0) this.#shelf.records.used(location);
  }

  trust(stored: StoredResponse, epoch: number): void {
    const location = this.#shelf.locationOf(stored);
    if (location !== 0) this.#shelf.records.setFloat(location, float.trustedEpoch, epoch);
  }

  outdate(stored: StoredResponse): void {
    const location = this.#shelf.locationOf(stored);
    if (location !== 0) this.#shelf.records.setFlag(location, flagOutdated);
  }

  begin(contentBytes: number | null, as: "own" | "copy" = "own"): Writer | null {
    return Arrival.of(this.#arrivals, contentBytes, as === "copy" ? "copies" : "arrivals");
  }

  update({ stored }: Lease, head: StoredHead, trustedEpoch: number | null): Lease {
    const before = stored as Kept;
    const epoch = trustedEpoch ?? before.trustedEpoch;
    const kept = { ...keepsakeOf(before), head, trustedEpoch: epoch, outdated: false };
    return this.lease(this.#shelf.renewed(before, kept) ?? new DetachedResponse(before, head, epoch));
  }

  discard(stored: StoredResponse): void {
    const location = this.#shelf.locationOf(stored);
    if (location !== 0) this.#shelf.drop(location);
  }

  invalidate(selector: Selector, mode: "drop" | "outdate"): void {
    const { heard, named } = this.#shelf;
    switch (selector.kind) {
      case "everything":
        if (mode === "outdate") heard.outdateAll();
        else for (const stored of this.all()) this.#shelf.invalidated(stored.location, mode);
        return;
      case "uri":
        for (const stored of this.variants(selector.uri)) this.#shelf.invalidated(stored.location, mode);
        if (named > 0) heard.name(selector.uri, mode);
        return;
      case "group":
        if (named > 0) heard.name(groupKey(selector.origin, selector.group), mode);
    }
  }

  copies(): readonly PageResponse[] {
    return [...this.#shelf.allIn(["copies"])];
  }

  all(): Generator<PageResponse> {
    return this.#shelf.allIn(["main", "small", "copies"]);
  }

  #commit(kept: Keepsake, arrival: Arrival): boolean {
    const { counts } = this.#shelf;
    const segments = arrival.extents.length > 0 ? [] : (arrival.body.segments as Buffer[]);
    const draft = draftOf(kept, segments, arrival.extents);
    const stored = draft !== null && this.#shelf.put(draft);
    counts[stored ? "stored" : "refused"]++;
    return stored;
  }
}
