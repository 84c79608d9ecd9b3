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

/** How far somebody has heard each teller without a gap. */
export type Vector = Readonly<Record<string, number>>;
/** What somebody has heard beyond that. */
export type Ahead = Readonly<Record<string, readonly number[]>>;

/** Far more tellers than any cluster has within the hour. */
const tellersMax = 50_000;
const tellerPattern = /^[A-Za-z0-9._-]{1,64}@[a-z0-9]{1,32}$/;
/** Of a life's beginning, in ms since the epoch, base 36: enough until the year 5188. */
const startedDigits = 9;

/** A new life's name. `chance` is its random part, lower-case letters and digits. */
export function tellerOf(member: string, startedMs: number, chance: string): string {
  return `${member}@${startedMs.toString(36).padStart(startedDigits, "0")}${chance}`;
}

/** The member whose life a teller is, and when that began. */
export function lifeOf(teller: string): { readonly name: string; readonly startedMs: number } {
  const at = teller.lastIndexOf("@");
  return {
    name: teller.slice(0, at),
    startedMs: Number.parseInt(teller.slice(at + 1, at + 1 + startedDigits), 36),
  };
}

/**
 * An invalidation as another member sent it, or null where it has no name. One that names what cannot be read here
 * (longer than this member takes, of a kind that it does not know) is taken for everything: it must not be missed.
 */
export function invalidationOf(value: unknown): Invalidation | null {
  if (typeof value !== "object" || value === null) return null;
  const { teller, number, atMs, selector: named, mode, cause } = value as Record<string, unknown>;
  if (typeof teller !== "string" || !tellerPattern.test(teller)) return null;
  if (!isCount(number) || number === 0) return null;
  const selector = sentSelector(named);
  const isReadable = selector !== null && (mode === "drop" || mode === "outdate");
  return {
    teller,
    number,
    atMs: typeof atMs === "number" ? atMs : 0,
    selector: isReadable ? selector : { kind: "everything" },
    mode: isReadable ? mode : "drop",
    cause: cause === "purge" ? "purge" : "request",
  };
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

/** What somebody has heard beyond its vector, as another member sent it; nothing where it cannot be read. */
export function aheadOf(value: unknown): Ahead {
  if (typeof value !== "object" || value === null) return {};
  const entries = Object.entries(value as Readonly<Record<string, unknown>>).slice(0, tellersMax);
  return Object.fromEntries(
    entries.filter((entry): entry is [string, number[]] => Array.isArray(entry[1]) && entry[1].every(isCount)),
  );
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
