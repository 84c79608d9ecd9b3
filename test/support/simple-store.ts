/**
 * A store of plain objects, as short as the port allows: what the real one is compared with. The oldest goes first.
 */
import { notModifiedHead } from "../../src/http/conditional.ts";
import { groupsOf } from "../../src/http/groups.ts";
import type { StoredHead } from "../../src/http/stored-head.ts";
import { Body } from "../../src/store/body.ts";
import {
  fieldBytes,
  freshUntilOf,
  groupKey,
  originOfKey,
  replaces,
  uriOfKey,
  variantsMax,
  type Allowed,
  type Glance,
  type Keepsake,
  type Lease,
  type Selecting,
  type Selector,
  type Store,
  type StoredResponse,
  type Writer,
} from "../../src/store/port.ts";
import { AnswerHead } from "../../src/wire/answer-head.ts";

const overheadBytes = 300;

interface Kept extends StoredResponse {
  trustedEpoch: number;
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

  glance(key: string): Glance | null {
    const [only, ...more] = this.variants(key);
    if (only === undefined || more.length > 0 || only.outdated || only.part !== null) return null;
    if (only.head.varyNames.length > 0 || only.body.segments.length > 1) return null;
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
      trustedEpoch: only.trustedEpoch,
      inner: only.inner,
      isCopy: only.copyUntil !== null,
      born: only.head.born,
      lifetimeSeconds: only.head.lifetime.seconds,
      way: only.allowed?.way ?? 0,
      forms: (settings) => (only.allowed?.settings === settings ? only.allowed.form : 0),
      stored: only,
      used: () => this.used(only),
      lend: () => () => {},
    };
  }

  allow(stored: StoredResponse, allowed: Allowed): void {
    const kept = stored as Kept;
    const same = kept.allowed?.settings === allowed.settings && kept.allowed.way === allowed.way;
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

  trust(stored: StoredResponse, epoch: number): void {
    (stored as Kept).trustedEpoch = epoch;
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
        const stored = this.#put({ ...kept, ...ofBody(kept, body), hits: 0, allowed: null });
        this.#counts[stored ? "stored" : "refused"]++;
        return stored;
      },
      abandon: close,
      over: () => {},
    };
  }

  update({ stored }: Lease, head: StoredHead, trustedEpoch: number | null): Lease {
    const before = stored as Kept;
    const epoch = trustedEpoch ?? before.trustedEpoch;
    const keepsake = { ...before, head, outdated: false, trustedEpoch: epoch };
    const kept: Kept = { ...keepsake, ...ofBody(keepsake, before.body), allowed: null };
    if (this.#kept.delete(before)) this.#put(kept);
    return this.lease(kept);
  }

  discard(stored: StoredResponse): void {
    this.#kept.delete(stored as Kept);
  }

  invalidate(selector: Selector, mode: "drop" | "outdate"): void {
    const isNamed = ({ key, groups }: Kept): boolean =>
      selector.kind === "everything" ||
      (selector.kind === "uri"
        ? uriOfKey(key) === selector.uri
        : groups.includes(groupKey(selector.origin, selector.group)));
    for (const kept of [...this.#kept].filter(isNamed)) {
      kept.outdated = true;
      if (mode === "drop" && this.#kept.delete(kept)) this.#counts.invalidated++;
    }
  }

  copies(): readonly Kept[] {
    return [...this.#kept].filter(({ copyUntil }) => copyUntil !== null);
  }

  all(): Iterable<Kept> {
    return [...this.#kept];
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

function ofBody({ key, head, copyUntil }: Keepsake, body: Body) {
  const groups = groupsOf(head.fields).map((group) => groupKey(originOfKey(key), group));
  const named = groups.reduce((sum, group) => sum + group.length + 100, 0);
  return {
    body,
    groups,
    answerHead: AnswerHead.of(head.status, head.fields, body.bytes),
    notModifiedHead: AnswerHead.of(304, notModifiedHead(head.fields), null),
    freshUntil: freshUntilOf(head, copyUntil),
    bytes: body.bytes + fieldBytes(head.fields) + key.length + head.variant.length + named + overheadBytes,
  };
}

function bytesOf(some: readonly Kept[]): number {
  return some.reduce((sum, { bytes }) => sum + bytes, 0);
}
