/**
 * The store port: what the data plane may ask of whatever keeps responses, in memory, in shared pages or on a disk.
 * Every implementation passes one contract suite (test/contract/store.ts).
 *
 *   find        → a lease on one stored response: head, content, for as long as the lease is held
 *   begin       → a writer: room for content that is arriving; committed whole, or abandoned
 *   update      → a newer head for what is stored, content unchanged: a lease on the result
 *   invalidate  → what a selector names is dropped, or its lifetime ends
 *
 * A stored response never changes: a newer head makes a newer one that shares its content. What the store knows *of* it
 * (whether it is out of date, how far it can be trusted, how often it was used) does change, and only the store changes
 * it.
 */
import type { FieldList } from "../http/fields.ts";
import type { StoredHead } from "../http/stored-head.ts";
import type { Mode } from "../invalidation/invalidation.ts";
import type { Selector } from "../invalidation/selector.ts";
import type { AnswerBytes, AnswerHead } from "../wire/answer-head.ts";
import type { Body } from "./body.ts";

/** The part of a whole that a stored 206 holds, both ends included. */
export interface Part {
  readonly first: number;
  readonly last: number;
  readonly total: number;
}

/** What is kept of a response, beside its content. */
export interface Keepsake {
  readonly key: string;
  /** The key's position on the ring. */
  readonly hash: number;
  readonly head: StoredHead;
  /** Fetched for the forward proxy from a loopback or private address: not for clients that may not go there. */
  readonly inner: boolean;
  /** What its origin has tagged it with: names by which it can be invalidated. */
  readonly tags: readonly string[];
  /** The position up to which it has heard of every invalidation: the store's when its origin was asked. */
  readonly position: number;
  /** A hot copy of another member's key: seconds until which it may be used; null for what is kept as the owner. */
  readonly copyUntil: number | null;
  /** Null for a whole. */
  readonly part: Part | null;
  /** To be validated before its first use. */
  readonly outdated: boolean;
  /** It may outlive the process: on a disk, where the store has one. */
  readonly lasting: boolean;
}

/**
 * A stored response, as the shortcut of a hit asks for it: numbers, and an answer in bytes. It stands
 * for what was looked up last, until the next look-up.
 */
export interface Glance extends AnswerBytes {
  readonly freshUntil: number;
  readonly inner: boolean;
  readonly isCopy: boolean;
  readonly born: number;
  readonly lifetimeSeconds: number;
  /** What its Date says, in seconds since the epoch. */
  readonly dateSeconds: number;
  /**
   * Forms of request that may be answered by the shortcut, as `allow` was told: under these settings, in a view of this
   * epoch, or none.
   */
  forms(settings: number, epoch: number): number;
  /** Of the settings by which requests of these forms have come to it. */
  readonly way: number;
  /** The stored response itself: to be used in this turn. */
  readonly stored: StoredResponse;
  /** It has answered a request. */
  used(): void;
}

/** Word that the whole way leaves with what it has answered a request with. */
export interface Allowed {
  /** The number of the settings in force. */
  readonly settings: number;
  /** Of the view: who owns the key. */
  readonly epoch: number;
  /** Of those of them that decided this request. */
  readonly way: number;
  /**
   * A bit for the form of the request. Above these four, where the proxy compresses, the number of the order of the
   * codings that it offers (`orderNumber`); above those four bits, what is the same for all requests of the same way.
   */
  readonly form: number;
}

/** Bits of forms above which their way is told. */
const wayShift = 4;

/** Whether forms were allowed for the same way. */
export function areOfOneWay(forms: number, others: number): boolean {
  return forms >>> wayShift === others >>> wayShift;
}

/** A form of request that is answered in one of the codings offered, by the number of their order. */
export function formCoded(form: number, order: number): number {
  return form | (order << wayShift);
}

/** The number of the order of the codings that are offered to requests of these forms; 0 for none. */
export function orderOfForms(forms: number): number {
  return (forms >>> wayShift) & 15;
}

/** A stored response. */
export interface StoredResponse extends Keepsake {
  /** The head as answers begin with it. */
  readonly answerHead: AnswerHead;
  /** The head of a 304 in its place. RFC 9110 §15.4.5. */
  readonly notModifiedHead: AnswerHead;
  readonly body: Body;
  /** Seconds up to which it may answer a request without any directive; 0 where it must be validated first. */
  readonly freshUntil: number;
  /** What it costs of the budget. */
  readonly bytes: number;
  readonly hits: number;
}

/** A stored response that stays readable until it is released, whatever becomes of it in the store. */
export interface Lease {
  readonly stored: StoredResponse;
  /** Exactly once. */
  release(): void;
}

/** Room for content that is arriving. Ends by `commit` or `abandon`, whichever comes first. */
export interface Writer {
  /** Content arrives here, and is read from here meanwhile. */
  readonly body: Body;
  /**
   * Makes room for so many bytes more. @returns false where the store has none: the content must pass through unstored.
   */
  grow(bytes: number): boolean;
  /** Keeps it in the place of those that the same requests select. @returns false where there was no room for it. */
  commit(kept: Keepsake): boolean;
  /** It will not be kept. What has come can still be read. */
  abandon(): void;
  /**
   * After either: nobody will begin to read the body any more. Its room is used again when those who do have had it.
   */
  over(): void;
}

/** How an invalidation acts here. */
export interface Invalidating {
  readonly mode: Mode;
  /** Seconds: now. */
  readonly at: number;
  /** What it ends is counted, to be told by `ended`: by itself, or together with what has this position. */
  readonly countedAs?: "itself" | number;
}

/** What an invalidation has ended so far; what nobody has come by yet is not in it before it has been swept. */
export interface Ended {
  readonly dropped: number;
  readonly outdated: number;
  /** All that was stored has been held against it. */
  readonly swept: boolean;
}

/** Puts the selecting fields of a request into one comparable string. RFC 9111 §4.1. */
export type Selecting = (varyNames: readonly string[]) => string;

export interface StoreCounts {
  readonly evicted: number;
  readonly invalidated: number;
  readonly stored: number;
  readonly refused: number;
}

export interface StoreUsage {
  /** Stored, and set aside for what is arriving. */
  readonly bytes: number;
  readonly responses: number;
  readonly copies: number;
  readonly copyBytes: number;
  /** Leases not yet released. */
  readonly leases: number;
  readonly counts: StoreCounts;
}

/** Where the memory of a store is. Bytes. */
export interface StoreMemory {
  /** Given to the store so far, used again and again. */
  readonly given: number;
  readonly index: number;
  /** What has been let go of while somebody still reads it. */
  readonly waiting: number;
}

/** Keeps responses under a budget in bytes. */
export interface Store {
  readonly bytesMax: number;
  /** The part of it that hot copies may take. */
  readonly copiesBytesMax: number;
  readonly usage: StoreUsage;
  readonly memory: StoreMemory;
  /** Hot copies kept. */
  readonly copyCount: number;
  /**
   * The stored response of a key that a request with these fields selects by what they say, where it is whole, in one
   * piece, and not out of date.
   */
  glance(key: string, asked: FieldList): Glance | null;
  /** Lets the shortcut answer such requests with it. */
  allow(stored: StoredResponse, allowed: Allowed): void;
  /**
   * Brings back what is stored under a key and is not in memory. @returns whether there is anything: then `done` is
   * called later, once, when it can be found, or cannot be had in time.
   */
  recall(key: string, done: () => void): boolean;
  /** How many responses are stored under such a key and are not in memory. */
  absent(key: string): number;
  /** All stored responses of a key, the newest first: to be looked at before this turn ends. */
  variants(key: string): readonly StoredResponse[];
  /** The newest of those that a request selects and `accepts` takes, or null. */
  find(key: string, selecting: Selecting, accepts: (stored: StoredResponse) => boolean): Lease | null;
  /** A lease on one that was just looked at. */
  lease(stored: StoredResponse): Lease;
  /** It has answered a request. */
  used(stored: StoredResponse): void;
  /**
   * Room for content, or null where the budget has none (any more). `contentBytes` null where only the end will tell.
   */
  begin(contentBytes: number | null, as?: "own" | "copy"): Writer | null;
  /**
   * A newer head after a validation. Where what was leased is no longer stored (invalidated, evicted, replaced
   * meanwhile) nothing is stored, and the lease is on something that serves whoever waited for it alone. The old lease
   * is the caller's to release. `position` null: what was known before goes on to count.
   */
  update(
    lease: Lease,
    head: StoredHead,
    known: { readonly position: number | null; readonly tags: readonly string[] },
  ): Lease;
  /** Validated before its next use. */
  outdate(stored: StoredResponse): void;
  /** Drops one that turned out unusable. */
  discard(stored: StoredResponse): void;
  /** The same of all under a key that are not in memory. */
  discardAbsent(key: string): void;
  /** The position of the last invalidation. */
  readonly position: number;
  /**
   * From now on, nothing that it names is found as it was; the room is free at once, or when somebody comes by, or when
   * it is swept. @returns its position.
   */
  invalidate(selector: Selector, invalidating: Invalidating): number;
  /** Nobody knows what has been missed: all that is stored is validated before its next use. */
  doubtAll(): void;
  /**
   * Whether what was asked of an origin when the store was at that position may be older than an invalidation since.
   * `tags` null: not known yet.
   */
  isOver(since: number, key: string, tags: readonly string[] | null): boolean;
  /** Holds stored responses against what they have not heard of yet, about so many. @returns whether all have been. */
  sweep(about: number): boolean;
  /** What a counted invalidation has ended, or null where that is not known (any more). */
  ended(position: number): Ended | null;
  /** The position of what ended what was stored under a key last, as far as that is remembered; else 0. */
  endedBy(key: string): number;
  /** How many responses selectors name: yields the number so far, to be gone on with when there is time. */
  named(selectors: readonly Selector[]): Iterable<number>;
  /** Hot copies of other members' keys; to be looked at before this turn ends. */
  copies(): readonly StoredResponse[];
  /** All stored responses; what comes and goes meanwhile may be among them or not. */
  all(): Iterable<StoredResponse>;
}

/** Variants kept side by side for one key: a Vary on a field that clients choose freely must not fill the store. */
export const variantsMax = 32;

/** The URI that a key is for: what settings and contents add to a key stands behind it, on lines of its own. */
export function uriOfKey(key: string): string {
  const end = key.indexOf("\n");
  return end === -1 ? key : key.slice(0, end);
}

/** Scheme, host and port at the beginning of a key. */
export function originOfKey(key: string): string {
  return key.slice(0, key.indexOf("/", key.indexOf("//") + 2));
}

/** Seconds up to which a head may answer a request without any directive; 0 where it must be validated first. */
export function freshUntilOf(head: StoredHead, copyUntil: number | null): number {
  const own = head.directives.directives.has("no-cache") ? 0 : head.born + head.lifetime.seconds;
  return Math.min(own, copyUntil ?? Infinity);
}

/**
 * Whether a newer response takes an older one's place: the same requests select both. Parts stand beside each other.
 */
export function replaces(newer: Keepsake, older: Keepsake): boolean {
  const sameVary = newer.head.varyNames.join() === older.head.varyNames.join();
  if (!sameVary || newer.head.variant !== older.head.variant) return false;
  return newer.part === null || older.part !== null;
}

/** Fields as they cost memory: two strings and a place in a list each. */
export function fieldBytes(fields: FieldList): number {
  let bytes = 0;
  for (const text of fields) bytes += text.length + 40;
  return bytes;
}
