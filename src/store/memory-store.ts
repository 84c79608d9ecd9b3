/**
 * Stored responses in memory, under a budget in bytes that is never exceeded: content, heads and overhead are counted,
 * and so is content still arriving (reserved). One cache key has one or more variants (RFC 9111 §4.1).
 */
import type { FieldList } from "../http/fields.ts";
import { variantOf } from "../http/vary.ts";
import { Sieve, type EvictionPolicy } from "./eviction.ts";
import { groupKey, type StoredResponse } from "./stored-response.ts";

/** Variants kept side by side for one key: a Vary on a field that clients choose freely must not fill the store. */
export const variantsMax = 32;

/** The part of the room for hot copies that they keep when the store is full. */
const copiesKeptShare = 1 / 4;

export interface StoreCounts {
  evicted: number;
  invalidated: number;
  purged: number;
  stored: number;
  refused: number;
}

export interface StoreOptions {
  /** The part of the budget that hot copies may take, in bytes. */
  readonly copiesBytesMax?: number;
  readonly policy?: EvictionPolicy<StoredResponse>;
}

/** Stored responses under a budget. */
export class MemoryStore {
  readonly bytesMax: number;
  readonly counts: StoreCounts = { evicted: 0, invalidated: 0, purged: 0, stored: 0, refused: 0 };
  /** The newest first. Nearly every key has one variant: it stands alone, without a list around it. */
  readonly #variants = new Map<string, StoredResponse | StoredResponse[]>();
  readonly #policy: EvictionPolicy<StoredResponse>;
  /** Hot copies have a bound and a queue of their own: they never push out what this member owns beyond it. */
  readonly copiesBytesMax: number;
  readonly #copies = new Set<StoredResponse>();
  readonly #copyPolicy: EvictionPolicy<StoredResponse> = new Sieve<StoredResponse>();
  #copyBytes = 0;
  /** Those that belong to groups, by origin and group. RFC 9875. */
  readonly #groups = new Map<string, Set<StoredResponse>>();
  #bytes = 0;
  #reserved = 0;
  #count = 0;

  constructor(bytesMax: number, { copiesBytesMax = 0, policy = new Sieve<StoredResponse>() }: StoreOptions = {}) {
    this.bytesMax = bytesMax;
    this.copiesBytesMax = Math.min(copiesBytesMax, bytesMax);
    this.#policy = policy;
  }

  get bytes(): number {
    return this.#bytes + this.#reserved;
  }

  get count(): number {
    return this.#count;
  }

  /** Hot copies of other members' keys. */
  get copies(): ReadonlySet<StoredResponse> {
    return this.#copies;
  }

  get copyBytes(): number {
    return this.#copyBytes;
  }

  /** The only stored response of a key, where it has just one without Vary: the fast way's question. */
  single(key: string): StoredResponse | undefined {
    const found = this.#variants.get(key);
    return found === undefined || Array.isArray(found) ? undefined : found;
  }

  /** All stored responses of a key, the newest first. */
  variants(key: string): readonly StoredResponse[] {
    const found = this.#variants.get(key);
    return found === undefined ? [] : Array.isArray(found) ? found : [found];
  }

  /** Those that the request's fields select, the newest first. RFC 9111 §4.1. */
  selected(key: string, requestFields: FieldList): StoredResponse[] {
    return this.variants(key).filter(({ head }) => head.variant === variantOf(head.varyNames, requestFields));
  }

  used(stored: StoredResponse): void {
    stored.hits++;
    this.#policyOf(stored).used(stored);
  }

  /**
   * Keeps a response in the place of those that the same requests select. Reserved bytes of its content should have been
   * released just before. @returns false where it is larger than the store may be.
   */
  put(stored: StoredResponse): boolean {
    for (const other of this.variants(stored.key)) {
      if (replaces(stored, other)) this.#drop(other);
    }
    if (!this.#makeRoomFor(stored)) {
      this.counts.refused++;
      return false;
    }
    const others = this.variants(stored.key);
    for (const oldest of others.slice(variantsMax - 1)) this.#drop(oldest);
    const kept = this.variants(stored.key);
    this.#variants.set(stored.key, kept.length === 0 ? stored : [stored, ...kept]);
    this.#policyOf(stored).added(stored);
    if (stored.copyUntil !== null) {
      this.#copies.add(stored);
      this.#copyBytes += stored.bytes;
    }
    this.#bytes += stored.bytes;
    this.#count++;
    this.counts.stored++;
    for (const group of stored.groups) {
      const members = this.#groups.get(group);
      if (members === undefined) this.#groups.set(group, new Set([stored]));
      else members.add(stored);
    }
    return true;
  }

  /** Runs a change of a stored response's head and keeps the books right. */
  freshen(stored: StoredResponse, change: (stored: StoredResponse) => void): void {
    const before = stored.bytes;
    change(stored);
    if (this.holds(stored)) {
      this.#bytes += stored.bytes - before;
      if (stored.copyUntil !== null) this.#copyBytes += stored.bytes - before;
    }
    this.#makeRoom(0);
  }

  holds(stored: StoredResponse): boolean {
    return this.variants(stored.key).includes(stored);
  }

  /** Sets bytes aside for content that is arriving. @returns false where the budget has no such room. */
  reserve(bytes: number): boolean {
    if (!this.#makeRoom(bytes)) return false;
    this.#reserved += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reserved -= bytes;
  }

  /** Drops everything kept for a key, for a reason of one of the three kinds. @returns how many were dropped. */
  remove(key: string, why: "invalidated" | "purged"): number {
    const gone = this.variants(key);
    for (const stored of gone) this.#drop(stored);
    this.counts[why] += gone.length;
    return gone.length;
  }

  /** Drops everything kept of the given groups of an origin. @returns how many were dropped. RFC 9875 §3. */
  removeGroups(origin: string, groups: readonly string[]): number {
    let count = 0;
    for (const group of groups) {
      for (const stored of this.#groups.get(groupKey(origin, group)) ?? []) {
        this.#drop(stored);
        count++;
      }
    }
    this.counts.invalidated += count;
    return count;
  }

  /** Drops one stored response that turned out unusable. */
  discard(stored: StoredResponse): void {
    if (this.holds(stored)) this.#drop(stored);
  }

  /** All stored responses. */
  *all(): Generator<StoredResponse> {
    for (const found of this.#variants.values()) {
      if (Array.isArray(found)) yield* found;
      else yield found;
    }
  }

  #policyOf({ copyUntil }: StoredResponse): EvictionPolicy<StoredResponse> {
    return copyUntil === null ? this.#policy : this.#copyPolicy;
  }

  #makeRoomFor({ bytes, copyUntil }: StoredResponse): boolean {
    if (copyUntil !== null) {
      if (bytes > this.copiesBytesMax) return false;
      while (this.#copyBytes + bytes > this.copiesBytesMax) this.#drop(this.#copyPolicy.victim()!);
    }
    return this.#makeRoom(bytes);
  }

  #makeRoom(bytes: number): boolean {
    // What no eviction can make room for must not empty the store on the way to finding that out.
    if (this.#reserved + bytes > this.bytesMax) return false;
    while (this.#bytes + this.#reserved + bytes > this.bytesMax) {
      // What is owned hits; a copy only spares a hop: where room is short, copies give way first, but for the hottest.
      const copy = this.#copyBytes > this.copiesBytesMax * copiesKeptShare ? this.#copyPolicy.victim() : null;
      const victim = copy ?? this.#policy.victim() ?? this.#copyPolicy.victim();
      if (victim === null) return false;
      this.#drop(victim);
      this.counts.evicted++;
    }
    return true;
  }

  #drop(stored: StoredResponse): void {
    const found = this.#variants.get(stored.key);
    if (Array.isArray(found)) {
      const rest = found.filter((other) => other !== stored);
      this.#variants.set(stored.key, rest.length === 1 ? rest[0]! : rest);
    } else this.#variants.delete(stored.key);
    this.#policyOf(stored).removed(stored);
    if (this.#copies.delete(stored)) this.#copyBytes -= stored.bytes;
    for (const group of stored.groups) {
      const members = this.#groups.get(group);
      members?.delete(stored);
      if (members?.size === 0) this.#groups.delete(group);
    }
    this.#bytes -= stored.bytes;
    this.#count--;
  }
}

/** Whether a newer response takes an older one's place: the same requests select both. Parts stand beside each other. */
function replaces(newer: StoredResponse, older: StoredResponse): boolean {
  const sameVary = newer.head.varyNames.join() === older.head.varyNames.join();
  if (!sameVary || newer.head.variant !== older.head.variant) return false;
  return newer.part === null || older.part !== null;
}
