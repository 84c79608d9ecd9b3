/** An invalidation as it is numbered, kept and handed on. Pure. */
import { sentSelector, type Selector } from "./selector.ts";

/**
 * `drop`: gone at once. `outdate` (a soft purge): its freshness lifetime ends now, so that the next use validates it,
 * or answers with it stale where stale-while-revalidate or stale-if-error allow that.
 */
export type Mode = "drop" | "outdate";

export type Cause = "request" | "purge";

/** One invalidation. */
export interface Invalidation {
  /** Whose it is: one life of one member, as in `m1@k3x9…`. */
  readonly teller: string;
  /** Counted by the teller, from 1. */
  readonly number: number;
  /** When it was made, by the teller's wall clock: ms since the epoch, for people. */
  readonly atMs: number;
  readonly selector: Selector;
  readonly mode: Mode;
  /** A request that has changed something, or somebody's wish. */
  readonly cause: Cause;
}

/** How far somebody has heard each teller. */
export type Vector = Readonly<Record<string, number>>;

/** More tellers than any cluster has had within the hour. */
const tellersMax = 4096;
const tellerPattern = /^[A-Za-z0-9._-]{1,64}@[a-z0-9]{1,32}$/;

/** A new life's name. `chance` is its random part, lower-case letters and digits. */
export function tellerOf(member: string, chance: string): string {
  return `${member}@${chance}`;
}

/** The member whose life a teller is. */
export function memberOfTeller(teller: string): string {
  return teller.slice(0, teller.lastIndexOf("@"));
}

/** An invalidation as another member sent it, or null where it is none. */
export function invalidationOf(value: unknown): Invalidation | null {
  if (typeof value !== "object" || value === null) return null;
  const { teller, number, atMs, selector: named, mode, cause } = value as Record<string, unknown>;
  if (typeof teller !== "string" || !tellerPattern.test(teller)) return null;
  if (!isCount(number) || number === 0 || typeof atMs !== "number") return null;
  if ((mode !== "drop" && mode !== "outdate") || (cause !== "request" && cause !== "purge")) return null;
  const selector = sentSelector(named);
  return selector === null ? null : { teller, number, atMs, selector, mode, cause };
}

/** Several of them; one that cannot be read spoils all: it would be missed for good. */
export function invalidationsOf(value: unknown): readonly Invalidation[] | null {
  if (!Array.isArray(value)) return null;
  const read = value.map(invalidationOf);
  return read.includes(null) ? null : (read as Invalidation[]);
}

/** A vector as another member sent it, or null. */
export function vectorOf(value: unknown): Vector | null {
  if (typeof value !== "object" || value === null) return null;
  const entries = Object.entries(value);
  if (entries.length > tellersMax) return null;
  return entries.every(([teller, upTo]) => tellerPattern.test(teller) && isCount(upTo)) ? (value as Vector) : null;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
