/**
 * Records in their places: put, found, renewed, taken away, and counted. What has been invalidated is looked up when a
 * record is come by (heard.ts).
 */
import { replaces, uriOfKey, variantsMax, type Keepsake, type StoredResponse } from "../port.ts";
import { isRecord, keepBehind, renewBehind, variantHash } from "./behind-records.ts";
import type { Behind, Recalled } from "./behind.ts";
import { Chains } from "./chains.ts";
import { emptyPage } from "./emptying.ts";
import { Ends } from "./ends.ts";
import { Heard, uriHash, type Verdict } from "./heard.ts";
import { leaveBehind, olderKin } from "./older-kin.ts";
import type { PagePool, QueueName } from "./page-pool.ts";
import { unitsFor } from "./page-memory.ts";
import { lifetimeSources, PageResponse, type Kept } from "./page-response.ts";
import { Remembered } from "./remembered.ts";
import { draftOf, tagNames, writeRecord, type Draft } from "./record-writer.ts";
import { Walk } from "./walk.ts";
import {
  extentWord,
  flagCopy,
  flagElsewhere,
  flagLive,
  flagMoved,
  flagNamed,
  flagOutdated,
  float,
  sourceMask,
  sourceShift,
  word,
  type Records,
} from "./records.ts";
import { roomFor, type Beside, type Room } from "./room.ts";

/** All records of a store. */
export class Shelf {
  readonly room: Room;
  readonly records: Records;
  readonly pool: PagePool;
  readonly chains: Chains;
  readonly heard: Heard;
  readonly ends: Ends = new Ends();
  readonly counts = { evicted: 0, invalidated: 0, stored: 0, refused: 0 };
  responses = 0;
  copies = 0;
  copyUnits = 0;
  readonly #behind: Behind | null;
  readonly #walk: Walk;
  readonly #remembered: Remembered;

  constructor(bytesMax: number, copiesBytesMax: number, { seed, behind, published }: Beside) {
    this.#behind = behind;
    this.heard = new Heard(behind !== null);
    const vacate = (page: number, queue: QueueName, forced: boolean): void => this.#empty(page, queue, forced);
    this.room = roomFor(bytesMax - (behind?.memoryBytes ?? 0), copiesBytesMax, vacate, published);
    this.records = this.room.records;
    this.pool = this.room.pool;
    this.#walk = new Walk(this.records, this.pool);
    this.#remembered = new Remembered(this.records, this.pool, behind);
    this.chains = new Chains(this.records, this.pool, seed, published);
  }

  variants(key: string): readonly PageResponse[] {
    const { records, chains } = this;
    const all: number[] = [];
    for (let at = chains.newest(key); at !== 0; at = chains.older(at)) all.push(at);
    // The end of one may be that of older ones.
    const isThere = (at: number): boolean => records.has(at, flagLive) && !this.isOver(at) && !this.#isLost(at);
    return all.filter(isThere).map((at) => this.responseAt(at));
  }

  /** All that is stored in pages of these queues. */
  *allIn(queues: readonly QueueName[]): Generator<PageResponse> {
    for (const at of this.#walk.locations(queues)) if (!this.isOver(at) && !this.#isLost(at)) yield this.responseAt(at);
  }

  /** Holds all records against what they have not heard of yet; yields after each page how many those were so far. */
  sweeping(): Generator<number> {
    return this.#walk.counting(["main", "small", "copies"], (at) => {
      this.isOver(at);
      return true;
    });
  }

  /** Yields after each page how many responses `trial` would end so far. */
  concerned(trial: Heard): Generator<number> {
    return this.#walk.counting(["main", "small"], (at) => {
      if (this.isOver(at)) return false;
      // Its URI, whether that is its key or not, and its tags.
      const key = this.records.key(at);
      const names = [uriHash(uriOfKey(key)), ...this.records.names(at)];
      const { drop, outdate } = trial.verdict(0, names, () => key);
      return drop + outdate > 0;
    });
  }

  /** Where a response is stored, or 0 where it is not any more. It may have moved since it was looked up. */
  locationOf(stored: StoredResponse): number {
    if (!(stored instanceof PageResponse) || !stored.isThere) return 0;
    const { records, pool } = this;
    let at = stored.location;
    while (records.has(at, flagMoved)) {
      const to = records.word(at, word.older);
      if (pool.generation(records.memory.pageOf(to)) !== records.word(at, word.way)) return 0;
      at = to;
    }
    return records.has(at, flagLive) ? at : 0;
  }

  /** The response in a record, remembered from before if it may be. */
  responseAt(location: number): PageResponse {
    return this.#remembered.at(location);
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
    this.#remembered.forget(location);
  }

  /** What has been heard, since a position, of a response with this key and these tags. */
  verdict(since: number, key: string, tags: readonly string[]): Verdict {
    return this.heard.verdict(since, [uriHash(uriOfKey(key)), ...tagNames(key, tags)], () => key);
  }

  /**
   * Keeps a response in the place of those that the same requests select, unless it has been invalidated on its way.
   * @returns whether it is kept.
   */
  put(draft: Draft): boolean {
    const { kept } = draft;
    const verdict = this.verdict(kept.position, kept.key, kept.tags);
    if (verdict.drop > 0) return false;
    if (kept.part === null) this.#behind?.replaced(this.chains.bytesOf(kept.key).hash, variantHash(kept));
    const others = this.variants(kept.key);
    const kin = others.filter((other) => !replaces(kept, other));
    for (const other of others) if (!kin.includes(other)) this.drop(other.location);
    for (const oldest of kin.slice(variantsMax - 1)) if (this.locationOf(oldest) !== 0) this.drop(oldest.location);
    if (!this.chains.makeRoom(kept.key)) return false;
    const { hash } = this.chains.bytesOf(kept.key);
    const queue = kept.copyUntil !== null ? "copies" : this.room.ghosts.take(hash) ? "main" : "small";
    const location = this.#write(draft, queue);
    if (location === 0) return false;
    // First, so that what stands behind is told it as well.
    this.#carriedOut(location, verdict);
    if (this.#behind !== null) {
      const written = { location, head: kept.head };
      keepBehind(this.#behind, this.records, written, () => this.responseAt(location));
      if (this.records.float(location, float.behind) === 0)
        leaveBehind(this.#behind, this.records, location, this.#kinOf(location));
    }
    return true;
  }

  /** Takes up what has come back from behind. @returns where it is stored, or 0 where it is not. */
  recalled({ id, record, outdated }: Recalled, key: string): number {
    const { records, chains } = this;
    const units = unitsFor(record.length);
    if (!isRecord(record) || !chains.makeRoom(key)) return 0;
    const queue = this.room.ghosts.take(chains.bytesOf(key).hash) ? "main" : "small";
    const location = this.pool.allocate(units, queue);
    if (location === 0) return 0;
    record.copy(records.view(location, 0, record.length));
    records.setWord(location, word.units, units);
    const isOurs = records.sections(location).bytes === record.length && records.isUnder(location, chains.bytesOf(key));
    if (!isOurs) {
      this.#gap(location, units);
      return 0;
    }
    for (const which of [word.older, word.hits, word.uses, word.forms, word.way, word.settings, word.epoch])
      records.setWord(location, which, 0);
    records.setFloat(location, float.behind, id);
    if (outdated) records.setFlag(location, flagOutdated);
    this.#link(location, key, units);
    return this.isOver(location) ? 0 : location;
  }

  /** The content of what came back without it has come as well, into pages. @returns whether it is stored there now. */
  promoted(before: PageResponse, draft: Draft): boolean {
    const there = this.locationOf(before);
    if (there === 0) return false;
    const id = this.records.float(there, float.behind);
    if (!this.chains.makeRoom(draft.kept.key) || this.#write(draft, "small", 0, id) === 0) return false;
    const location = this.locationOf(before);
    if (location !== 0) this.#forget(location);
    return true;
  }

  /**
   * The newer head of a stored response, which shares its content; null where that is not stored any more, or the head
   * has been invalidated on its way.
   */
  renewed(before: Kept, kept: Keepsake): PageResponse | null {
    const { records } = this;
    const behind = this.#behind;
    const location = this.locationOf(before);
    if (location === 0 || this.isOver(location)) return null;
    const verdict = this.verdict(kept.position, kept.key, kept.tags);
    if (verdict.drop > 0) {
      this.invalidated(location, verdict.drop);
      return null;
    }
    const current = this.responseAt(location);
    const extents = records.extents(location);
    const elsewhereBytes = records.has(location, flagElsewhere) ? current.body.bytes : null;
    const draft = draftOf(kept, extents.length > 0 ? [] : (current.body.segments as Buffer[]), extents, elsewhereBytes);
    if (draft === null) return null;
    // Room for the new one may be made where the old one lies.
    current.pin.take();
    const id = records.float(location, float.behind);
    const marks = [word.uses, word.hits].map((which) => [which, records.word(location, which)] as const);
    const newer = this.chains.makeRoom(kept.key)
      ? this.#write(draft, this.pool.queueOf(records.memory.pageOf(location)), location, id)
      : 0;
    if (newer === 0 && records.has(location, flagLive)) this.drop(location);
    const written = { location: newer, head: kept.head, id };
    if (newer !== 0) this.#carriedOut(newer, verdict);
    if (newer !== 0 && behind !== null && !renewBehind(behind, records, written, () => this.responseAt(newer)))
      this.drop(newer);
    current.pin.release();
    if (newer === 0 || !records.has(newer, flagLive)) return null;
    for (const [which, value] of marks) records.setWord(newer, which, value);
    if (behind !== null && records.float(newer, float.behind) === 0)
      leaveBehind(behind, records, newer, this.#kinOf(newer));
    return this.responseAt(newer);
  }

  /**
   * Writes and links a record; `before` is one whose content it takes over. @returns 0 where there is no room, or where
   * making it has cost `before` its place.
   */
  #write(draft: Draft, queue: QueueName, before = 0, id = 0): number {
    const records = this.records;
    const { kept, units } = draft;
    const location = this.pool.allocate(units, queue);
    if (location === 0) return 0;
    const isWhole = (): boolean =>
      records.has(before, flagLive) &&
      draft.extents.every((one, index) => records.extent(before, index) === one.location);
    if (before !== 0 && !isWhole()) {
      this.#gap(location, units);
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
    records.setFloat(location, float.behind, id);
    this.#link(location, kept.key, units);
    return location;
  }

  /** What was to be written there is not. */
  #gap(location: number, units: number): void {
    this.pool.release(location, units);
    this.records.setWord(location, word.units, units);
    this.records.setWord(location, word.flags, 0);
  }

  #link(location: number, key: string, units: number): void {
    const { records } = this;
    const id = records.float(location, float.behind);
    // What is not known behind is newer than what has come back from there.
    const isNewer = (other: number): boolean => {
      const otherId = records.float(other, float.behind);
      return id !== 0 && (otherId === 0 || otherId > id);
    };
    this.chains.insert(location, key, isNewer);
    this.responses++;
    if (records.has(location, flagCopy)) {
      this.copies++;
      this.copyUnits += units;
    }
  }

  /** Whether its content has stayed behind, and is not there any more: then it goes as well. */
  #isLost(location: number): boolean {
    const { records } = this;
    if (!records.has(location, flagElsewhere)) return false;
    if (this.#behind!.has(records.float(location, float.behind), records.word(location, word.hash))) return false;
    for (const other of this.#kinOf(location)) this.drop(other);
    this.drop(location);
    return true;
  }

  /** Takes a record away, and its content. */
  drop(location: number, how: "gone" | "evicted" = "gone"): void {
    if (how === "evicted") this.counts.evicted++;
    const records = this.records;
    const id = records.float(location, float.behind);
    if (id !== 0) this.#behind![how](id, records.word(location, word.hash));
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

  /** What stands behind keeps it. An older one with another Vary must not answer in its place: it goes as well. */
  #evict(location: number): void {
    const behind = this.#behind;
    const kin = behind === null ? [] : this.#kinOf(location);
    if (behind !== null && this.records.float(location, float.behind) === 0)
      leaveBehind(behind, this.records, location, kin);
    for (const other of kin) this.drop(other, "evicted");
    this.drop(location, "evicted");
  }

  #kinOf(location: number): readonly number[] {
    return olderKin(this.chains, location, (at) => this.responseAt(at).head.varyNames.join());
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
          this.#evict(location);
        },
        moved: (from, to) => {
          this.#remembered.forget(from);
          if (from === to) return;
          this.chains.moved(from, to);
          records.clearFlag(from, flagLive);
          // Who still holds it will find it: word of where it has gone, and of whose memory that is.
          records.setFlag(from, flagMoved);
          records.setWord(from, word.older, to);
          records.setWord(from, word.way, this.pool.generation(records.memory.pageOf(to)));
          this.pool.release(from, records.word(from, word.units));
        },
      },
    );
  }
}
