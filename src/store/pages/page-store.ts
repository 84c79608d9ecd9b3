/**
 * The store: responses in pages of shared memory under a budget in bytes that is what is allocated, whatever lies in
 * it. No stored response is an object on the heap; those that the data plane gets are read from their records, and a
 * few of them remembered.
 *
 *   key → hash → index → newest record of the key → older ones (variants, parts)
 *
 * `docs/store.md` tells the formats and what must always hold.
 */
import type { FieldList } from "../../http/fields.ts";
import { randomInt } from "node:crypto";
import type { StoredHead } from "../../http/stored-head.ts";
import type { Selector } from "../../invalidation/selector.ts";
import type {
  Allowed,
  Ended,
  Glance,
  Invalidating,
  Keepsake,
  Lease,
  Selecting,
  Store,
  StoredResponse,
  StoreMemory,
  StoreUsage,
  Writer,
} from "../port.ts";
import { areOfOneWay } from "../port.ts";
import { outdateBehind } from "./behind-records.ts";
import type { Behind, Recalled } from "./behind.ts";
import { Arrival, type ArrivalRoom } from "./arrival.ts";
import { PageGlance } from "./page-glance.ts";
import { Heard, type HeardState } from "./heard.ts";
import { depthMax } from "./chains.ts";
import { unitBytes } from "./page-memory.ts";
import type { SharedStore } from "./page-reader.ts";
import { Published } from "./published.ts";
import { DetachedResponse, keepsakeOf, PageResponse, type Kept } from "./page-response.ts";
import { draftOf } from "./record-writer.ts";
import { flagOutdated, float, word, type Extent } from "./records.ts";
import { Shelf } from "./shelf.ts";

export interface PageStoreOptions {
  /** The part of the budget that hot copies may take, in bytes. */
  readonly copiesBytesMax?: number;
  /** Of the hash of keys: secret, but for tests. What stands behind has one of its own. */
  readonly seed?: number;
  readonly behind?: Behind | null;
  /** Threads that will read it beside the one that writes. */
  readonly readers?: number;
}

/** The page store. */
export class PageStore implements Store {
  readonly bytesMax: number;
  readonly copiesBytesMax: number;
  readonly #behind: Behind | null;
  readonly #shelf: Shelf;
  readonly #glance: PageGlance;
  readonly #arrivals: ArrivalRoom;
  readonly #shared: { readonly published: Published; readonly seed: number } | null;
  #leases = 0;
  /** Bytes of content on its way in, outside the pages and in them. */
  readonly #arriving = { outside: 0, pages: 0 };
  /** The sweep under way, and the position up to which it will have looked. */
  #sweep: { readonly steps: Generator<number>; readonly to: number; seen: number } | null = null;

  constructor(
    bytesMax: number,
    {
      copiesBytesMax = 0,
      behind = null,
      readers = 0,
      seed = behind?.seed ?? randomInt(2 ** 47),
    }: PageStoreOptions = {},
  ) {
    this.bytesMax = bytesMax;
    this.copiesBytesMax = Math.min(copiesBytesMax, bytesMax);
    this.#behind = behind;
    const published = readers === 0 ? null : Published.for(readers, depthMax);
    this.#shelf = new Shelf(bytesMax, this.copiesBytesMax, { seed, behind, published });
    this.#shared = published === null ? null : { published, seed };
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

  /** What a reading thread needs; `made` is told of blocks of memory that there will be. */
  share(made: (block: SharedArrayBuffer) => void): SharedStore {
    const { memory } = this.#shelf.records;
    const { published, seed } = this.#shared!;
    memory.made = made;
    const { pageBytes, pagesMax, blocks } = memory;
    return { published: published.memory, readers: published.readers, pageBytes, pagesMax, seed, blocks: [...blocks] };
  }

  /** Keeps the page at a place of a block from being used for something else until what is returned is called. */
  lend(block: number, at: number): () => void {
    const { pool, records } = this.#shelf;
    const page = records.memory.pageAt(block, at);
    pool.pin(page);
    return () => pool.unpin(page);
  }

  get copyCount(): number {
    return this.#shelf.copies;
  }

  glance(key: string, asked: FieldList): Glance | null {
    const { chains, records, heard } = this.#shelf;
    const location = PageGlance.selected(records, chains.newest(key), asked);
    if (location === 0) return null;
    if (records.float(location, float.heard) !== heard.now && this.#shelf.isOver(location)) return null;
    return this.#glance.at(location);
  }

  allow(stored: StoredResponse, { settings, epoch, way, form }: Allowed): void {
    const location = this.#shelf.locationOf(stored);
    if (location === 0) return;
    const { records } = this.#shelf;
    const known =
      areOfOneWay(records.word(location, word.forms), form) &&
      records.word(location, word.settings) === settings &&
      records.word(location, word.way) === way &&
      records.word(location, word.epoch) === epoch >>> 0;
    if (known) return records.publishWord(location, word.forms, records.word(location, word.forms) | form);
    // Who reads them meanwhile, in another thread, must not take forms of before for such of now.
    records.publishWord(location, word.forms, 0);
    records.setWord(location, word.way, way);
    records.setWord(location, word.settings, settings);
    records.setWord(location, word.epoch, epoch);
    records.publishWord(location, word.forms, form);
  }

  recall(key: string, done: () => void): boolean {
    const behind = this.#behind;
    if (behind === null) return false;
    return behind.recall(this.#shelf.chains.bytesOf(key).hash, key, (recalled) => this.#recalled(recalled, key), done);
  }

  absent(key: string): number {
    return this.#behind?.absent(this.#shelf.chains.bytesOf(key).hash) ?? 0;
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
    if (this.#behind !== null && location !== 0 && kept instanceof PageResponse)
      kept.knownAs = this.#shelf.records.float(location, float.behind);
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

  outdate(stored: StoredResponse): void {
    const location = this.#found(stored);
    if (location !== 0) {
      this.#shelf.records.setFlag(location, flagOutdated);
      outdateBehind(this.#behind, this.#shelf.records, location);
    } else if (stored instanceof PageResponse && stored.knownAs !== 0)
      this.#behind!.outdated(stored.knownAs, stored.keyHash);
  }

  begin(contentBytes: number | null, as: "own" | "copy" = "own"): Writer | null {
    return Arrival.of(this.#arrivals, contentBytes, as === "copy" ? "copies" : "arrivals");
  }

  update(
    { stored }: Lease,
    head: StoredHead,
    known: { readonly position: number | null; readonly tags: readonly string[] },
  ): Lease {
    const before = stored as Kept;
    const told = { position: known.position ?? before.position, tags: known.tags, outdated: false };
    const kept = { ...keepsakeOf(before), head, ...told };
    return this.lease(this.#shelf.renewed(before, kept) ?? new DetachedResponse(before, head, kept));
  }

  discardAbsent(key: string): void {
    this.#behind?.invalidated(this.#shelf.chains.bytesOf(key).hash, "drop");
  }

  discard(stored: StoredResponse): void {
    const location = this.#found(stored);
    if (location !== 0) this.#shelf.drop(location);
    else if (stored instanceof PageResponse && stored.knownAs !== 0) this.#behind!.gone(stored.knownAs, stored.keyHash);
  }

  get position(): number {
    return this.#shelf.heard.now;
  }
  invalidate(selector: Selector, invalidating: Invalidating): number {
    const { heard, ends, records } = this.#shelf;
    const position = heard.take(selector, invalidating);
    if (invalidating.countedAs !== undefined) ends.count(position, invalidating.countedAs);
    // What lies under the very URI is found at once; what has longer keys when somebody comes by.
    if (selector.kind === "uri") {
      for (const { location } of this.variants(selector.uri)) {
        if (invalidating.mode === "drop") this.#shelf.invalidated(location, position);
        else {
          this.#shelf.outlived(location, position, invalidating.at);
          outdateBehind(this.#behind, records, location);
        }
      }
      const { hash } = this.#shelf.chains.bytesOf(selector.uri);
      for (let absent = this.#behind?.invalidated(hash, invalidating.mode) ?? 0; absent > 0; absent--)
        ends[invalidating.mode === "drop" ? "dropped" : "outdated"](position, hash);
    }
    this.#publishHeard();
    return position;
  }

  /** What has been heard of invalidations: for whoever goes on from what is kept behind. */
  get heardState(): HeardState {
    return this.#shelf.heard.state;
  }

  /**
   * Goes on from what another store had kept behind. `state` null: nobody knows what that had heard, but for the
   * position that it was at; then everything is in doubt.
   */
  goOnFrom(state: HeardState | null, position: number): void {
    const { heard } = this.#shelf;
    if (state !== null) heard.restore(state);
    else {
      heard.now = position;
      heard.doubt();
    }
    this.#publishHeard();
  }

  doubtAll(): void {
    this.#shelf.heard.doubt();
    this.#publishHeard();
  }

  isOver(since: number, key: string, tags: readonly string[] | null): boolean {
    const { heard } = this.#shelf;
    if (since === heard.now) return false;
    if (tags === null && heard.anyTagSince(since)) return true;
    const { drop, outdate, doubt } = this.#shelf.verdict(since, key, tags ?? []);
    return drop > 0 || outdate > 0 || doubt;
  }

  sweep(about: number): boolean {
    const { heard, ends } = this.#shelf;
    this.#sweep ??= { steps: this.#shelf.sweeping(), to: heard.now, seen: 0 };
    const { steps, to, seen } = this.#sweep;
    for (;;) {
      const step = steps.next();
      if (step.done === true) break;
      this.#sweep.seen = step.value;
      if (step.value - seen >= about) return false;
    }
    ends.sweptTo = to;
    heard.swept(to);
    this.#sweep = null;
    return to === heard.now;
  }

  ended(position: number): Ended | null {
    return this.#shelf.ends.of(position);
  }

  endedBy(key: string): number {
    return this.#shelf.ends.by(this.#shelf.chains.bytesOf(key).hash);
  }

  named(selectors: readonly Selector[]): Generator<number> {
    const trial = new Heard();
    for (const selector of selectors) trial.take(selector, { mode: "drop", at: 0 });
    return this.#shelf.concerned(trial);
  }

  copies(): readonly PageResponse[] {
    return [...this.#shelf.allIn(["copies"])];
  }

  all(): Generator<PageResponse> {
    return this.#shelf.allIn(["main", "small", "copies"]);
  }

  /** Tells the threads that read: after what it ends has been carried out as far as it is at once. */
  #publishHeard(): void {
    const { heard } = this.#shelf;
    this.#shared?.published.hear(heard.now, heard.lastBroad);
  }

  /** Where a response is stored now, though it may have been let go of and brought back since it was leased; or 0. */
  #found(stored: StoredResponse): number {
    const location = this.#shelf.locationOf(stored);
    if (location !== 0 || !(stored instanceof PageResponse) || stored.knownAs === 0) return location;
    const { records } = this.#shelf;
    const again = this.variants(stored.key).find(
      (other) => records.float(other.location, float.behind) === stored.knownAs,
    );
    return again?.location ?? 0;
  }

  #recalled(recalled: Recalled, key: string): boolean {
    const shelf = this.#shelf;
    const location = shelf.recalled(recalled, key);
    if (location === 0) return false;
    const { content } = recalled;
    if (content === null) return true;
    const response = shelf.responseAt(location);
    const kept = keepsakeOf(response);
    let isPromoted = false;
    const commit = (_: Keepsake, arrival: Arrival): boolean => {
      const draft = draftOf(kept, ...contentOf(arrival));
      isPromoted = draft !== null && shelf.promoted(response, draft);
      return isPromoted;
    };
    // Room for its content may be made where its record lies. What cannot be had in pages stays where it is.
    response.pin.take();
    const arrival = Arrival.of({ ...this.#arrivals, commit }, content.length, "arrivals");
    if (arrival !== null) {
      arrival.body.append(content);
      arrival.body.finish();
      arrival.commit(kept);
      arrival.over();
    }
    const isThere = isPromoted || shelf.locationOf(response) !== 0;
    response.pin.release();
    return isThere;
  }

  #commit(kept: Keepsake, arrival: Arrival): boolean {
    const { counts } = this.#shelf;
    const draft = draftOf(kept, ...contentOf(arrival));
    const stored = draft !== null && this.#shelf.put(draft);
    counts[stored ? "stored" : "refused"]++;
    return stored;
  }
}

/** Content as a record takes it: within it, or in extents. */
function contentOf({ extents, body }: Arrival): [readonly Buffer[], readonly Extent[]] {
  return [extents.length > 0 ? [] : (body.segments as Buffer[]), extents];
}
