/**
 * What may stand behind the pages: a slower, larger place that responses are written to as they are stored, and brought
 * back from when they are asked for and are not in memory any more. The pages say what becomes of each; what stands
 * behind never changes what is found in memory.
 */
import type { Mode } from "../../invalidation/invalidation.ts";
import type { Body, Pin } from "../body.ts";

/** A response as its record holds it. */
export interface Kept {
  /** Of the key, as the pages have it. */
  readonly hash: number;
  /** Of the names in Vary, and what the request said in them. */
  readonly variant: number;
  /** The record in pieces, without its places in the pages. */
  readonly meta: readonly Buffer[];
  /** Content that does not lie in the record. */
  readonly content: readonly Buffer[];
  readonly contentBytes: number;
}

/** One that has come back. */
export interface Recalled {
  readonly id: number;
  readonly record: Buffer;
  /** Content that does not lie in the record, where it is short; null where it stays behind. */
  readonly content: Buffer | null;
  readonly outdated: boolean;
}

/** What the pages tell, and ask. A response's *id* counts up: a newer one has a higher one. */
export interface Behind {
  /** Bytes that it takes of the budget. */
  readonly memoryBytes: number;
  /** Of the hashes of keys: it has to know them again. */
  readonly seed: number;
  /**
   * Keeps a response as well. `hold` keeps content that does not lie in the record as it is until it has been read.
   * @returns its id, or 0 where it is not kept there.
   */
  keep(kept: Kept, hold: Pin | null): number;
  /** A newer head of a response whose content stays. @returns its new id, or 0. */
  renew(id: number, kept: Omit<Kept, "content" | "contentBytes">): number;
  /** It is not stored any more. */
  gone(id: number, hash: number): void;
  /** Another response has taken the place of all like this one that are not in memory. */
  replaced(hash: number, variant: number): void;
  /** All under such a key that are not in memory have been invalidated. @returns how many those were. */
  invalidated(hash: number, mode: Mode): number;
  /** It is not in memory any more. */
  evicted(id: number, hash: number): void;
  /** It has to be validated before its next use. */
  outdated(id: number, hash: number): void;
  /** Whether it has content of a response that left it there. */
  has(id: number, hash: number): boolean;
  /** That content, and what keeps it there. */
  content(id: number, hash: number, bytes: number): { readonly body: Body; readonly pin: Pin };
  /** How many responses with such a key it has that are not in memory. */
  absent(hash: number): number;
  /**
   * Brings those back that are not in memory. @returns whether there are any: then `back` is called for each that is
   * still stored, and `done` after them.
   */
  recall(hash: number, key: string, back: (recalled: Recalled) => boolean, done: () => void): boolean;
}
