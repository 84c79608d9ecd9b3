/**
 * Stored responses as objects in memory, under a budget in bytes: content, heads, what Vary selected, groups and
 * overhead are counted, and so is content still arriving. One cache key has one or more variants (RFC 9111 §4.1).
 */
import type { StoredHead } from "../http/stored-head.ts";
import { Body } from "./body.ts";
import { Sieve, type EvictionPolicy } from "./eviction.ts";
import { Kept } from "./kept.ts";
import {
  groupKey,
  replaces,
  uriOfKey,
  variantsMax,
  type Keepsake,
  type Lease,
  type Selecting,
  type Selector,
  type Store,
  type StoredResponse,
  type StoreUsage,
  type Writer,
} from "./port.ts";

/** The part of the room for hot copies that they keep when the store is full. */
const copiesKeptShare = 1 / 4;
/** Room asked for at a time for content of unknown length. */
const stepBytes = 256 * 1024;

export interface StoreOptions {
  /** The part of the budget that hot copies may take, in bytes. */
  readonly copiesBytesMax?: number;
  readonly policy?: EvictionPolicy<Kept>;
}

/** The memory store. */
export class MemoryStore implements Store {
  readonly bytesMax: number;
  readonly copiesBytesMax: number;
  readonly #counts = { evicted: 0, invalidated: 0, stored: 0, refused: 0 };
  /** The newest first. Nearly every key has one variant: it stands alone, without a list around it. */
  readonly #variants = new Map<string, Kept | Kept[]>();
  readonly #policy: EvictionPolicy<Kept>;
  /** Hot copies have a bound and a queue of their own: they never push out what this member owns beyond it. */
  readonly #copies = new Set<Kept>();
  readonly #copyPolicy: EvictionPolicy<Kept> = new Sieve<Kept>();
  #copyBytes = 0;
  /** Those that belong to groups, by origin and group. RFC 9875. */
  readonly #groups = new Map<string, Set<Kept>>();
  /** Keys that are more than a URI, by the URI. */
  readonly #longer = new Map<string, Set<string>>();
  #bytes = 0;
  #reserved = 0;
  #count = 0;
  #leases = 0;

  constructor(bytesMax: number, { copiesBytesMax = 0, policy = new Sieve<Kept>() }: StoreOptions = {}) {
    this.bytesMax = bytesMax;
    this.copiesBytesMax = Math.min(copiesBytesMax, bytesMax);
    this.#policy = policy;
  }

  get usage(): StoreUsage {
    return {
      bytes: this.#bytes + this.#reserved,
      responses: this.#count,
      copies: this.#copies.size,
      copyBytes: this.#copyBytes,
      leases: this.#leases,
      counts: this.#counts,
    };
  }

  single(key: string): StoredResponse | undefined {
    const found = this.#variants.get(key);
    return found === undefined || Array.isArray(found) ? undefined : found;
  }

  variants(key: string): readonly Kept[] {
    const found = this.#variants.get(key);
    return found === undefined ? [] : Array.isArray(found) ? found : [found];
  }

  find(key: string, selecting: Selecting, accepts: (stored: StoredResponse) => boolean): Lease | null {
    for (const kept of this.variants(key)) {
      if (kept.head.variant === selecting(kept.head.varyNames) && accepts(kept)) return this.lease(kept);
    }
    return null;
  }

  lease(stored: StoredResponse): Lease {
    this.#leases++;
    let held = true;
    return {
      stored,
      release: () => {
        if (held) this.#leases--;
        held = false;
      },
    };
  }

  used(stored: StoredResponse): void {
    const kept = stored as Kept;
    kept.hits++;
    this.#policyOf(kept).used(kept);
  }

  trust(stored: StoredResponse, epoch: number): void {
    (stored as Kept).trustedEpoch = epoch;
  }

  outdate(stored: StoredResponse): void {
    (stored as Kept).outdated = true;
  }

  begin(contentBytes: number | null): Writer | null {
    const body = new Body("keeping", contentBytes);
    let room = contentBytes ?? stepBytes;
    if (!this.#reserve(room)) return null;
    let open = true;
    const close = (): void => {
      if (open) this.#reserved -= room;
      open = false;
    };
    return {
      body,
      grow: (bytes) => {
        if (!open) return false;
        while (body.bytes + bytes > room) {
          if (!this.#reserve(stepBytes)) return false;
          room += stepBytes;
        }
        return true;
      },
      commit: (kept) => {
        if (!open) return false;
        close();
        const stored = this.#put(new Kept(kept, body));
        if (stored) this.#counts.stored++;
        else this.#counts.refused++;
        return stored;
      },
      abandon: close,
    };
  }

  update({ stored }: Lease, head: StoredHead, trustedEpoch: number | null): Lease {
    const before = stored as Kept;
    const kept = new Kept(
      { ...keepsakeOf(before), head, outdated: false, trustedEpoch: trustedEpoch ?? before.trustedEpoch },
      before.body,
    );
    kept.hits = before.hits;
    if (this.#holds(before)) {
      this.#drop(before);
      this.#put(kept);
      kept.used = before.used;
    }
    return this.lease(kept);
  }

  discard(stored: StoredResponse): void {
    if (this.#holds(stored as Kept)) this.#drop(stored as Kept);
  }

  invalidate(selector: Selector, mode: "drop" | "outdate"): number {
    const named = this.#named(selector);
    for (const kept of named) {
      if (mode === "outdate") kept.outdated = true;
      else this.#drop(kept);
    }
    if (mode === "drop") this.#counts.invalidated += named.length;
    return named.length;
  }

  copies(): readonly StoredResponse[] {
    return [...this.#copies];
  }

  *all(): Generator<StoredResponse> {
    for (const found of this.#variants.values()) {
      if (Array.isArray(found)) yield* found;
      else yield found;
    }
  }

  #named(selector: Selector): Kept[] {
    switch (selector.kind) {
      case "uri":
        return [selector.uri, ...(this.#longer.get(selector.uri) ?? [])].flatMap((key) => this.variants(key));
      case "group":
        return [...(this.#groups.get(groupKey(selector.origin, selector.group)) ?? [])];
      case "everything":
        return [...this.#variants.values()].flat();
    }
  }

  #holds(kept: Kept): boolean {
    return this.variants(kept.key).includes(kept);
  }

  #policyOf({ copyUntil }: Kept): EvictionPolicy<Kept> {
    return copyUntil === null ? this.#policy : this.#copyPolicy;
  }

  /** Keeps a response in the place of those that the same requests select. */
  #put(kept: Kept): boolean {
    for (const other of this.variants(kept.key)) if (replaces(kept, other)) this.#drop(other);
    if (!this.#makeRoomFor(kept)) return false;
    for (const oldest of this.variants(kept.key).slice(variantsMax - 1)) this.#drop(oldest);
    const others = this.variants(kept.key);
    this.#variants.set(kept.key, others.length === 0 ? kept : [kept, ...others]);
    this.#policyOf(kept).added(kept);
    if (kept.copyUntil !== null) {
      this.#copies.add(kept);
      this.#copyBytes += kept.bytes;
    }
    this.#bytes += kept.bytes;
    this.#count++;
    for (const group of kept.groups) add(this.#groups, group, kept);
    const uri = uriOfKey(kept.key);
    if (uri !== kept.key) add(this.#longer, uri, kept.key);
    return true;
  }

  #reserve(bytes: number): boolean {
    if (!this.#makeRoom(bytes)) return false;
    this.#reserved += bytes;
    return true;
  }

  #makeRoomFor({ bytes, copyUntil }: Kept): boolean {
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
      this.#counts.evicted++;
    }
    return true;
  }

  #drop(kept: Kept): void {
    const found = this.#variants.get(kept.key);
    if (Array.isArray(found)) {
      const rest = found.filter((other) => other !== kept);
      this.#variants.set(kept.key, rest.length === 1 ? rest[0]! : rest);
    } else {
      this.#variants.delete(kept.key);
      remove(this.#longer, uriOfKey(kept.key), kept.key);
    }
    this.#policyOf(kept).removed(kept);
    if (this.#copies.delete(kept)) this.#copyBytes -= kept.bytes;
    for (const group of kept.groups) remove(this.#groups, group, kept);
    this.#bytes -= kept.bytes;
    this.#count--;
  }
}

function keepsakeOf({ key, hash, head, inner, trustedEpoch, copyUntil, part, outdated }: Kept): Keepsake {
  return { key, hash, head, inner, trustedEpoch, copyUntil, part, outdated };
}

function add<T>(index: Map<string, Set<T>>, name: string, one: T): void {
  const known = index.get(name);
  if (known === undefined) index.set(name, new Set([one]));
  else known.add(one);
}

function remove<T>(index: Map<string, Set<T>>, name: string, one: T): void {
  const known = index.get(name);
  known?.delete(one);
  if (known?.size === 0) index.delete(name);
}
