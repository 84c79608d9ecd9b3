/**
 * Records in their places: put, found, renewed, taken away, and counted. What has been invalidated is looked up when a
 * record is come by (heard.ts).
 */
import { replaces, uriOfKey, variantsMax, type Keepsake, type StoredResponse } from "../port.ts";
import { Chains } from "./chains.ts";
import { emptyPage } from "./emptying.ts";
import { Ends } from "./ends.ts";
import { Heard, uriHash, type Verdict } from "./heard.ts";
import type { PagePool, QueueName } from "./page-pool.ts";
import { lifetimeSources, PageResponse, type DetachedResponse } from "./page-response.ts";
import { draftOf, tagNames, writeRecord, type Draft } from "./record-writer.ts";
import {
  extentWord,
  flagCopy,
  flagLive,
  flagMoved,
  flagNamed,
  flagOutdated,
  float,
  kindMask,
  kindResponse,
  sourceMask,
  sourceShift,
  word,
  type Records,
} from "./records.ts";
import { roomFor, type Room } from "./room.ts";

/** Responses remembered as objects: a power of two. Those with long heads are not. */
const rememberedMax = 1024;
const rememberedBytesMax = 4096;

/** A stored response of this store. */
export type Kept = PageResponse | DetachedResponse;

/** All records of a store. */
export class Shelf {
  readonly room: Room;
  readonly records: Records;
  readonly pool: PagePool;
  readonly chains: Chains;
  readonly heard: Heard = new Heard();
  readonly ends: Ends = new Ends();
  readonly counts = { evicted: 0, invalidated: 0, stored: 0, refused: 0 };
  responses = 0;
  copies = 0;
  copyUnits = 0;
  readonly #remembered: (PageResponse | undefined)[] = new Array<undefined>(rememberedMax).fill(undefined);

  constructor(bytesMax: number, copiesBytesMax: number, seed: number) {
    this.room = roomFor(bytesMax, copiesBytesMax, (page, queue, forced) => this.#empty(page, queue, forced));
    this.records = this.room.records;
    this.pool = this.room.pool;
    this.chains = new Chains(this.records, this.pool, seed);
  }

  variants(key: string): readonly PageResponse[] {
    const found: PageResponse[] = [];
    for (let at = this.chains.newest(key); at !== 0;) {
      const older = this.chains.older(at);
      if (!this.isOver(at)) found.push(this.responseAt(at));
      at = older;
    }
    return found;
  }

  /** All that is stored in pages of these queues. */
  *allIn(queues: readonly QueueName[]): Generator<PageResponse> {
    for (const at of this.#locations(queues)) if (!this.isOver(at)) yield this.responseAt(at);
  }

  /** Holds all records against what they have not heard of yet; yields after each page how many those were so far. */
  *sweeping(): Generator<number> {
    let seen = 0;
    const { records, pool } = this;
    for (const page of this.#pages(["main", "small", "copies"])) {
      const begin = records.memory.begin(page);
      const end = begin + pool.usedUnits(page);
      // A million records are a lot: no generator for each.
      for (let at = begin; at < end; at += records.word(at, word.units)) {
        const flags = records.word(at, word.flags);
        if ((flags & kindMask) !== kindResponse || (flags & flagLive) === 0) continue;
        this.isOver(at);
        seen++;
      }
      yield seen;
    }
  }

  /** Yields after each page how many responses `trial` would end so far. */
  *concerned(trial: Heard): Generator<number> {
    let count = 0;
    for (const page of this.#pages(["main", "small"])) {
      for (const at of this.#inPage(page)) {
        if (this.isOver(at)) continue;
        const { drop, outdate } = trial.verdict(0, this.#allNames(at), () => this.records.key(at));
        if (drop + outdate > 0) count++;
      }
      yield count;
    }
  }

  *#locations(queues: readonly QueueName[]): Generator<number> {
    for (const page of this.#pages(queues)) yield* this.#inPage(page);
  }

  /** Pages as they were when this was begun; one that is not in use any more by then is empty. */
  #pages(queues: readonly QueueName[]): number[] {
    return queues.flatMap((queue) => this.pool.pages(queue));
  }

  *#inPage(page: number): Generator<number> {
    const begin = this.records.memory.begin(page);
    const end = begin + this.pool.usedUnits(page);
    for (let at = begin; at < end; at += this.records.word(at, word.units)) {
      const flags = this.records.word(at, word.flags);
      if ((flags & kindMask) === kindResponse && (flags & flagLive) !== 0) yield at;
    }
  }

  /** Where a response is stored, or 0 where it is not any more. It may have moved since it was looked up. */
  locationOf(stored: StoredResponse): number {
    if (!(stored instanceof PageResponse) || !stored.isThere) return 0;
    const { records, pool } = this;
    let at = stored.location;
    while (records.has(at, flagMoved)) {
      const to = records.word(at, word.older);
      if (pool.generation(records.memory.pageOf(to)) !== records.word(at, word.hits)) return 0;
      at = to;
    }
    return records.has(at, flagLive) ? at : 0;
  }

  /** The response in a record, remembered from before if it may be. */
  responseAt(location: number): PageResponse {
    const place = location & (rememberedMax - 1);
    const known = this.#remembered[place];
    if (known?.location === location && known.isThere) return known;
    const response = new PageResponse(this.records, this.pool, location);
    if (this.records.sections(location).contentAt <= rememberedBytesMax) this.#remembered[place] = response;
    return response;
  }

  /** Holds a record against what has been invalidated since it was looked at last. @returns whether it is gone. */
  isOver(location: number): boolean {
    const records = this.records;
    const since = records.float(location, float.heard);
    if (since === this.heard.now) return false;
    const isNamed = records.has(location, flagNamed);
    if (isNamed || !this.heard.isForNamesAlone(since)) {
      const names = isNamed ? records.names(location) : [];
      const verdict = this.heard.verdict(since, names, () => records.key(location));
      if (this.#carriedOut(location, verdict)) return true;
    }
    records.setFloat(location, float.heard, this.heard.now);
    return false;
  }

  /** What has been found of a record is done to it. @returns whether it is gone. */
  #carriedOut(location: number, { drop, outdate, outdateAt, doubt }: Verdict): boolean {
    if (drop > 0) {
      this.invalidated(location, drop);
      return true;
    }
    if (outdate > 0) this.outlived(location, outdate, outdateAt);
    if (doubt) this.records.setFlag(location, flagOutdated);
    return false;
  }

  /** A record is dropped by what has this position. */
  invalidated(location: number, position: number): void {
    this.counts.invalidated++;
    this.ends.dropped(position, this.records.word(location, word.hash));
    this.drop(location);
  }

  /** A record's lifetime has ended at a time, by what has this position. */
  outlived(location: number, position: number, at: number): void {
    const records = this.records;
    this.ends.outdated(position, records.word(location, word.hash));
    const lifetime = Math.max(0, at - records.float(location, float.born));
    if (lifetime < records.float(location, float.lifetime)) {
      records.setFloat(location, float.lifetime, lifetime);
      const flags = records.word(location, word.flags) & ~(sourceMask << sourceShift);
      records.setWord(location, word.flags, flags | (lifetimeSources.indexOf("ended") << sourceShift));
    }
    records.setFloat(location, float.freshUntil, Math.min(at, records.float(location, float.freshUntil)));
    this.#remembered[location & (rememberedMax - 1)] = undefined;
  }

  /** What has been heard, since a position, of a response with this key and these tags. */
  verdict(since: number, key: string, tags: readonly string[]): Verdict {
    return this.heard.verdict(since, [uriHash(uriOfKey(key)), ...tagNames(key, tags)], () => key);
  }

  /** Of a record: its URI, whether it is its key or not, and its tags. */
  #allNames(location: number): Iterable<number> {
    return [uriHash(uriOfKey(this.records.key(location))), ...this.records.names(location)];
  }

  /**
   * Keeps a response in the place of those that the same requests select, unless it has been invalidated on its way.
   * @returns whether it is kept.
   */
  put(draft: Draft): boolean {
    const { kept } = draft;
    const verdict = this.verdict(kept.position, kept.key, kept.tags);
    if (verdict.drop > 0) return false;
    const others = this.variants(kept.key);
    const kin = others.filter((other) => !replaces(kept, other));
    for (const other of others) if (!kin.includes(other)) this.drop(other.location);
    for (const oldest of kin.slice(variantsMax - 1)) if (this.locationOf(oldest) !== 0) this.drop(oldest.location);
    if (!this.chains.makeRoom(kept.key)) return false;
    const { hash } = this.chains.bytesOf(kept.key);
    const queue = kept.copyUntil !== null ? "copies" : this.room.ghosts.take(hash) ? "main" : "small";
    const location = this.#write(draft, queue);
    if (location !== 0) this.#carriedOut(location, verdict);
    return location !== 0;
  }

  /**
   * The newer head of a stored response, which shares its content; null where that is not stored any more, or the head
   * has been invalidated on its way.
   */
  renewed(before: Kept, kept: Keepsake): PageResponse | null {
    const { records } = this;
    const location = this.locationOf(before);
    if (location === 0 || this.isOver(location)) return null;
    const verdict = this.verdict(kept.position, kept.key, kept.tags);
    if (verdict.drop > 0) {
      this.invalidated(location, verdict.drop);
      return null;
    }
    const current = this.responseAt(location);
    const extents = records.extents(location);
    const draft = draftOf(kept, extents.length > 0 ? [] : (current.body.segments as Buffer[]), extents);
    if (draft === null) return null;
    // Room for the new one may be made where the old one lies.
    current.pin.take();
    const marks = [word.uses, word.hits].map((which) => [which, records.word(location, which)] as const);
    const newer = this.chains.makeRoom(kept.key)
      ? this.#write(draft, this.pool.queueOf(records.memory.pageOf(location)), location)
      : 0;
    if (newer === 0 && records.has(location, flagLive)) this.drop(location);
    current.pin.release();
    if (newer === 0) return null;
    for (const [which, value] of marks) records.setWord(newer, which, value);
    this.#carriedOut(newer, verdict);
    return this.responseAt(newer);
  }

  /**
   * Writes and links a record; `before` is one whose content it takes over. @returns 0 where there is no room, or where
   * making it has cost `before` its place.
   */
  #write(draft: Draft, queue: QueueName, before = 0): number {
    const records = this.records;
    const { kept, units } = draft;
    const location = this.pool.allocate(units, queue);
    if (location === 0) return 0;
    const isWhole = (): boolean =>
      records.has(before, flagLive) &&
      draft.extents.every((one, index) => records.extent(before, index) === one.location);
    if (before !== 0 && !isWhole()) {
      this.pool.release(location, units);
      records.setWord(location, word.units, units);
      records.setWord(location, word.flags, 0);
      return 0;
    }
    writeRecord(records, location, draft, { key: this.chains.bytesOf(kept.key), heard: this.heard.now });
    if (before !== 0) this.#forget(before);
    draft.extents.forEach((extent, index) => {
      records.setWord(extent.location, extentWord.owner, location);
      records.setWord(extent.location, extentWord.index, index);
    });
    if (before !== 0) {
      for (const other of this.variants(kept.key)) if (replaces(kept, other)) this.drop(other.location);
    }
    this.chains.link(location, kept.key);
    this.responses++;
    if (records.has(location, flagCopy)) {
      this.copies++;
      this.copyUnits += units;
    }
    return location;
  }

  /** Takes a record away, and its content. */
  drop(location: number): void {
    const records = this.records;
    for (let index = 0; index < records.word(location, word.extents); index++) {
      const extent = records.extent(location, index);
      records.clearFlag(extent, flagLive);
      this.pool.release(extent, records.word(extent, word.units));
    }
    this.#forget(location);
  }

  /** Takes a record away, not its content. */
  #forget(location: number): void {
    const records = this.records;
    const units = records.word(location, word.units);
    this.chains.unlink(location);
    records.clearFlag(location, flagLive);
    this.responses--;
    if (records.has(location, flagCopy)) {
      this.copies--;
      this.copyUnits -= units;
    }
    this.pool.release(location, units);
  }

  #empty(page: number, queue: QueueName, forced: boolean): void {
    const records = this.records;
    emptyPage(
      records,
      this.pool,
      { page, queue, forced },
      {
        isOver: (location) => this.isOver(location),
        evicted: (location, from) => {
          if (from === "small") this.room.ghosts.add(records.word(location, word.hash));
          this.counts.evicted++;
          this.drop(location);
        },
        moved: (from, to) => {
          this.#remembered[from & (rememberedMax - 1)] = undefined;
          if (from === to) return;
          this.chains.moved(from, to);
          records.clearFlag(from, flagLive);
          // Who still holds it will find it: word of where it has gone, and of whose memory that is.
          records.setFlag(from, flagMoved);
          records.setWord(from, word.older, to);
          records.setWord(from, word.hits, this.pool.generation(records.memory.pageOf(to)));
          this.pool.release(from, records.word(from, word.units));
        },
      },
    );
  }
}

/** What is kept of a response, without its content. */
export function keepsakeOf({ key, hash, head, inner, tags, position, copyUntil, part, outdated }: Kept): Keepsake {
  return { key, hash, head, inner, tags, position, copyUntil, part, outdated };
}
