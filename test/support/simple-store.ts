/**
 * A store of plain objects, as short as the port allows: what the real one is compared with. The oldest goes first.
 */
import { notModifiedHead } from "../../src/http/conditional.ts";
import { beyondTags } from "../../src/http/tags.ts";
import type { FieldList } from "../../src/http/fields.ts";
import { variantOf } from "../../src/http/vary.ts";
import type { StoredHead } from "../../src/http/stored-head.ts";
import { namesKey, type Selector } from "../../src/invalidation/selector.ts";
import { Body } from "../../src/store/body.ts";
import {
  fieldBytes,
  freshUntilOf,
  originOfKey,
  replaces,
  uriOfKey,
  variantsMax,
  type Allowed,
  type Ended,
  type Glance,
  type Invalidating,
  type Keepsake,
  type Lease,
  type Selecting,
  type Store,
  type StoredResponse,
  type Writer,
} from "../../src/store/port.ts";
import { AnswerHead } from "../../src/wire/answer-head.ts";

const overheadBytes = 300;

interface Kept extends StoredResponse {
  head: StoredHead;
  freshUntil: number;
  position: number;
  outdated: boolean;
  hits: number;
  allowed: Allowed | null;
}

/** The simple store. */
export class SimpleStore implements Store {
  readonly bytesMax: number;
  readonly copiesBytesMax: number;
  readonly memory = { given: 0, index: 0, waiting: 0 };
  readonly #counts = { evicted: 0, invalidated: 0, stored: 0, refused: 0 };
  /** The oldest first. */
  readonly #kept = new Set<Kept>();
  #reserved = 0;
  #leases = 0;
  readonly #heard: { readonly selector: Selector | null; readonly invalidating: Invalidating; ended: number }[] = [];

  constructor(bytesMax: number, copiesBytesMax = 0) {
    this.bytesMax = bytesMax;
    this.copiesBytesMax = copiesBytesMax;
  }

  get usage() {
    const copies = this.copies();
    return {
      bytes: this.#reserved + bytesOf([...this.#kept]),
      responses: this.#kept.size,
      copies: copies.length,
      copyBytes: bytesOf(copies),
      leases: this.#leases,
      counts: this.#counts,
    };
  }

  get copyCount(): number {
    return this.copies().length;
  }

  recall(): boolean {
    return false;
  }

  discardAbsent(): void {}

  absent(): number {
    return 0;
  }

  glance(key: string, asked: FieldList): Glance | null {
    const only = this.variants(key).find(({ head }) => head.variant === variantOf(head.varyNames, asked));
    if (only === undefined || only.outdated || only.part !== null || only.body.segments.length > 1) return null;
    const { bytes, fieldsAt, lengthAt } = only.answerHead.encoded;
    const memory = Buffer.concat([bytes, ...(only.body.segments as Buffer[])]);
    return {
      status: only.head.status,
      memory,
      headAt: 0,
      fieldsAt,
      lengthAt,
      headEnd: bytes.length,
      contentAt: bytes.length,
      contentEnd: memory.length,
      freshUntil: only.freshUntil,
      inner: only.inner,
      isCopy: only.copyUntil !== null,
      born: only.head.born,
      lifetimeSeconds: only.head.lifetime.seconds,
      dateSeconds: only.head.dateSeconds,
      way: only.allowed?.way ?? 0,
      forms: (settings, epoch) =>
        only.allowed?.settings === settings && only.allowed.epoch === epoch ? only.allowed.form : 0,
      stored: only,
      used: () => this.used(only),
      lend: () => () => {},
    };
  }

  allow(stored: StoredResponse, allowed: Allowed): void {
    const kept = stored as Kept;
    const before = kept.allowed;
    const same = before?.settings === allowed.settings && before.way === allowed.way && before.epoch === allowed.epoch;
    kept.allowed = same ? { ...allowed, form: allowed.form | kept.allowed!.form } : allowed;
  }

  variants(key: string): readonly Kept[] {
    return [...this.#kept].filter((kept) => kept.key === key).reverse();
  }

  find(key: string, selecting: Selecting, accepts: (stored: StoredResponse) => boolean): Lease | null {
    const found = this.variants(key).find(
      (kept) => kept.head.variant === selecting(kept.head.varyNames) && accepts(kept),
    );
    return found === undefined ? null : this.lease(found);
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
    (stored as Kept).hits++;
  }

  outdate(stored: StoredResponse): void {
    (stored as Kept).outdated = true;
  }

  begin(contentBytes: number | null): Writer | null {
    const body = new Body("keeping", contentBytes);
    let room = contentBytes ?? 0;
    if (!this.#makeRoom(room)) return null;
    this.#reserved += room;
    let open = true;
    const close = (): void => {
      if (open) this.#reserved -= room;
      open = false;
    };
    return {
      body,
      grow: (bytes) => {
        const more = Math.max(0, body.bytes + bytes - room);
        if (!open || !this.#makeRoom(more)) return false;
        room += more;
        this.#reserved += more;
        return true;
      },
      commit: (kept) => {
        if (!open) return false;
        close();
        const stored = this.#arrived({ ...kept, ...ofBody(kept, body), hits: 0, allowed: null });
        this.#counts[stored ? "stored" : "refused"]++;
        return stored;
      },
      abandon: close,
      over: () => {},
    };
  }

  update(
    { stored }: Lease,
    head: StoredHead,
    known: { readonly position: number | null; readonly tags: readonly string[] },
  ): Lease {
    const before = stored as Kept;
    const position = known.position ?? before.position;
    const keepsake = { ...before, head, outdated: false, position, tags: known.tags };
    const kept: Kept = { ...keepsake, ...ofBody(keepsake, before.body), allowed: null };
    if (this.#kept.delete(before)) this.#arrived(kept);
    return this.lease(kept);
  }

  discard(stored: StoredResponse): void {
    this.#kept.delete(stored as Kept);
  }

  get position(): number {
    return this.#heard.length;
  }

  invalidate(selector: Selector, invalidating: Invalidating): number {
    this.#heard.push({ selector, invalidating, ended: 0 });
    this.#look();
    return this.position;
  }

  doubtAll(): void {
    this.#heard.push({ selector: null, invalidating: { mode: "outdate", at: 0 }, ended: 0 });
    this.#look();
  }

  isOver(since: number, key: string, tags: readonly string[] | null): boolean {
    return this.#heard
      .slice(since)
      .some(({ selector }) => (tags === null && selector?.kind === "tag") || concerns(selector, key, tags ?? []));
  }

  sweep(): boolean {
    return true;
  }

  ended(position: number): Ended | null {
    const { invalidating, ended } = this.#heard[position - 1]!;
    if (invalidating.countedAs === undefined) return null;
    return { dropped: 0, outdated: 0, [invalidating.mode === "drop" ? "dropped" : "outdated"]: ended, swept: true };
  }

  endedBy(): number {
    return 0;
  }

  named(selectors: readonly Selector[]): Iterable<number> {
    const concerned = [...this.#kept].filter(({ key, tags }) => selectors.some((one) => concerns(one, key, tags)));
    return [concerned.length];
  }

  copies(): readonly Kept[] {
    return [...this.#kept].filter(({ copyUntil }) => copyUntil !== null);
  }

  all(): Iterable<Kept> {
    return [...this.#kept];
  }

  /** Whatever there is is held against everything that it has not heard of. */
  #look(): void {
    for (const kept of this.#kept) if (this.#isGone(kept)) this.#kept.delete(kept);
  }

  #isGone(kept: Kept): boolean {
    for (const heard of this.#heard.slice(kept.position)) {
      if (!concerns(heard.selector, kept.key, kept.tags)) continue;
      heard.ended++;
      if (heard.selector === null) kept.outdated = true;
      else if (heard.invalidating.mode === "drop") {
        this.#counts.invalidated++;
        return true;
      } else endLifetime(kept, heard.invalidating.at);
    }
    kept.position = this.position;
    return false;
  }

  #arrived(kept: Kept): boolean {
    return !this.#isGone(kept) && this.#put(kept);
  }

  #put(kept: Kept): boolean {
    const others = this.variants(kept.key);
    for (const other of others) if (replaces(kept, other)) this.#kept.delete(other);
    for (const oldest of this.variants(kept.key).slice(variantsMax - 1)) this.#kept.delete(oldest);
    if (kept.copyUntil !== null) {
      if (kept.bytes > this.copiesBytesMax) return false;
      while (bytesOf(this.copies()) + kept.bytes > this.copiesBytesMax) this.#kept.delete(this.copies()[0]!);
    }
    if (!this.#makeRoom(kept.bytes)) return false;
    this.#kept.add(kept);
    return true;
  }

  #makeRoom(bytes: number): boolean {
    if (this.#reserved + bytes > this.bytesMax) return false;
    while (this.usage.bytes + bytes > this.bytesMax) {
      const copies = this.copies();
      const first = bytesOf(copies) > this.copiesBytesMax / 4 ? copies[0] : undefined;
      this.#kept.delete(first ?? this.#kept.values().next().value!);
      this.#counts.evicted++;
    }
    return true;
  }
}

function concerns(selector: Selector | null, key: string, tags: readonly string[]): boolean {
  if (selector === null || namesKey(selector, key)) return true;
  if (selector.kind === "uri") return uriOfKey(key) === selector.uri;
  return (
    selector.kind === "tag" &&
    (tags.includes(selector.tag) || tags.includes(beyondTags)) &&
    (selector.origin ?? originOfKey(key)) === originOfKey(key)
  );
}

function endLifetime(kept: Kept, at: number): void {
  const { head } = kept;
  const seconds = Math.max(0, at - head.born);
  if (seconds < head.lifetime.seconds) kept.head = { ...head, lifetime: { seconds, source: "ended" } };
  kept.freshUntil = Math.min(kept.freshUntil, at);
}

function ofBody({ key, head, tags, copyUntil }: Keepsake, body: Body) {
  const named = tags.reduce((sum, tag) => sum + tag.length + 100, 0);
  return {
    body,
    answerHead: AnswerHead.of(head.status, head.fields, body.bytes),
    notModifiedHead: AnswerHead.of(304, notModifiedHead(head.fields), null),
    freshUntil: freshUntilOf(head, copyUntil),
    bytes: body.bytes + fieldBytes(head.fields) + key.length + head.variant.length + named + overheadBytes,
  };
}

function bytesOf(some: readonly Kept[]): number {
  return some.reduce((sum, { bytes }) => sum + bytes, 0);
}
