/** What members say to each other when they compare their logs, and how it is read as it comes. Pure. */
import { aheadOf, invalidationsOf, vectorOf, type Ahead, type Invalidation, type Vector } from "./invalidation.ts";
import type { Ages } from "./touch.ts";

/** Lives that are remembered one after the other. */
export const livesMax = 16;
/** Members that one awaits. */
const fellowsMax = 1000;

/** A member as a view has it: which of its lives is meant. */
export interface Fellow {
  readonly name: string;
  readonly startedMs: number;
}

/** What both sides say of themselves. */
export interface Said {
  readonly epoch: number;
  /** Of the life that speaks. */
  readonly startedMs: number;
  /** Whether the other is in the speaker's view. */
  readonly knows: boolean;
  readonly vector: Vector;
  /** What has been heard beyond the vector. */
  readonly ahead: Ahead;
  readonly ages: Ages;
  /** For how long the speaker goes on telling whoever it has told that it may count on it: seconds. */
  readonly limit: number;
  /**
   * Earlier lives that the speaker goes on from, with all that they had heard: when they began. Null: not known yet.
   */
  readonly continues: readonly number[] | null;
  /** As long as that is not known: what it would be, and on whom it depends. */
  readonly awaiting: { readonly continues: readonly number[]; readonly fellows: readonly Fellow[] } | null;
}

/** What one asks another. */
export interface Request extends Said {
  /** The last time that the other has named, by its own clock, in the life that it has begun then; null for none. */
  readonly echo: { readonly stamp: number; readonly startedMs: number } | null;
}

/** What that answers. */
export interface Reply extends Said {
  readonly stamp: number;
  readonly entries: readonly Invalidation[];
  readonly forgotten: Vector;
  readonly silences: Vector;
  readonly more: boolean;
}

/** A request as it came, or null. */
export function requestOf(value: unknown): Request | null {
  const said = saidOf(value);
  if (said === null) return null;
  const { echo } = value as { echo?: unknown };
  const { stamp, startedMs } = (echo ?? {}) as Record<string, unknown>;
  const isEcho = typeof stamp === "number" && typeof startedMs === "number";
  return { ...said, echo: isEcho ? { stamp, startedMs } : null };
}

/** A reply as it came, or null. */
export function replyOf(value: unknown): Reply | null {
  const said = saidOf(value);
  if (said === null) return null;
  const { stamp, entries, forgotten, silences, more } = value as Record<string, unknown>;
  const [read, lost] = [invalidationsOf(entries), vectorOf(forgotten)];
  if (typeof stamp !== "number" || read === null || lost === null) return null;
  return { ...said, stamp, entries: read, forgotten: lost, silences: silencesOf(silences), more: more === true };
}

function saidOf(value: unknown): Said | null {
  if (typeof value !== "object" || value === null) return null;
  const { epoch, startedMs, knows, vector, ahead, ages, limit, continues, awaiting } = value as Record<string, unknown>;
  const read = vectorOf(vector);
  if (typeof epoch !== "number" || typeof startedMs !== "number" || typeof limit !== "number" || read === null)
    return null;
  const isAges =
    typeof ages === "object" && ages !== null && Object.values(ages).every((age) => typeof age === "number");
  return isAges
    ? {
        epoch,
        startedMs,
        knows: knows === true,
        vector: read,
        ahead: aheadOf(ahead),
        ages: ages as Ages,
        limit,
        continues: continues === null ? null : livesOf(continues),
        awaiting: continues === null ? awaitingOf(awaiting) : null,
      }
    : null;
}

/** What cannot be read is not known. */
function awaitingOf(value: unknown): Said["awaiting"] {
  if (typeof value !== "object" || value === null) return null;
  const { continues, fellows } = value as Record<string, unknown>;
  const isFellow = (one: unknown): one is Fellow =>
    typeof one === "object" &&
    one !== null &&
    typeof (one as Partial<Fellow>).name === "string" &&
    typeof (one as Partial<Fellow>).startedMs === "number";
  if (!Array.isArray(fellows) || fellows.length > fellowsMax || !fellows.every(isFellow)) return null;
  return { continues: livesOf(continues), fellows };
}

function livesOf(value: unknown): readonly number[] {
  return Array.isArray(value) && value.length <= livesMax && value.every((one) => typeof one === "number") ? value : [];
}

/** For how long tellers have been silent, as another member sent it; what cannot be read is no silence. */
export function silencesOf(value: unknown): Vector {
  if (typeof value !== "object" || value === null) return {};
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === "number"));
}
