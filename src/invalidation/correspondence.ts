/**
 * How members keep each other's logs alike: what is said at a comparison and what follows from it, without sockets,
 * timers or store. Who carries the messages applies what comes out, in the order in which it comes, before anything
 * else happens.
 *
 *   request ─▶ answer   the other: "this is how far I have heard; what do I lack?"
 *   replied ◀─ reply    what was lacking, and how far the answering one has heard
 *   then                what the answering one lacks is told to it
 */
import { invalidationsOf, vectorOf, memberOfTeller, type Invalidation, type Vector } from "./invalidation.ts";
import type { InvalidationLog } from "./log.ts";
import type { Ages, Touch } from "./touch.ts";

/** A member as a view has it: which of its lives is meant. */
export interface Fellow {
  readonly name: string;
  readonly startedMs: number;
}

/** What both sides say of themselves. */
interface Said {
  readonly epoch: number;
  /** Of the life that speaks. */
  readonly startedMs: number;
  /** Whether the other is in the speaker's view. */
  readonly knows: boolean;
  readonly vector: Vector;
  readonly ages: Ages;
  /** For how long the speaker goes on telling whoever it has told that it may count on it: seconds. */
  readonly limit: number;
}

export interface Request extends Said {
  /** The last time that the other has named, by its own clock, in the life that it has begun then; null for none. */
  readonly echo: { readonly stamp: number; readonly startedMs: number } | null;
}

export interface Reply extends Said {
  readonly stamp: number;
  readonly entries: readonly Invalidation[];
  readonly forgotten: Vector;
  readonly more: boolean;
}

/** What has to be applied to the store, first the doubt. */
export interface News {
  /** Everything stored up to now may have missed something that nobody can tell any more. */
  readonly doubt: boolean;
  readonly entries: readonly Invalidation[];
}

export interface AfterReply extends News {
  /** To be told to the other, which lacks them. */
  readonly owed: readonly Invalidation[];
  /** More is lacking, here or there: compare again at once. */
  readonly again: boolean;
}

/** Bytes of entries in one message. */
const stepBytesMax = 48 * 1024;
/** Out of touch for longer, and what was told meanwhile may have been forgotten by everybody. Seconds. */
const absentSecondsMax = 600;

/** One member's part. */
export class Correspondence {
  readonly log: InvalidationLog;
  readonly touch: Touch;
  readonly #self: Fellow;
  #epoch = 0;
  #members: ReadonlyMap<string, number> = new Map();
  /** The latest life seen of each name. */
  readonly #lives = new Map<string, number>();
  readonly #stamps = new Map<string, { readonly stamp: number; readonly startedMs: number }>();
  /** When what is stored was last known to have heard of everything. */
  #trustedAt: number | null = null;

  constructor(self: Fellow, log: InvalidationLog, touch: Touch) {
    this.#self = self;
    this.log = log;
    this.touch = touch;
  }

  /** Follows a view. */
  follow(epoch: number, members: readonly Fellow[], now: number): void {
    this.#epoch = epoch;
    this.#members = new Map(members.map(({ name, startedMs }) => [name, startedMs]));
    const names = members.map(({ name }) => name);
    // Those found at one's own beginning have been there before.
    const isFirst = this.#lives.size === 0;
    const fresh = members.filter(({ name, startedMs }) => startedMs > (this.#lives.get(name) ?? -Infinity));
    for (const { name, startedMs } of fresh) this.#lives.set(name, startedMs);
    this.touch.follow(epoch, names, isFirst ? [] : fresh.map(({ name }) => name), now);
    for (const name of this.#stamps.keys()) if (!this.#members.has(name)) this.#stamps.delete(name);
  }

  /** How far this member has heard. */
  vector(now: number): Vector {
    return this.log.vector(now, this.#isLiving);
  }

  /** What somebody must have heard without a gap whose stored responses are to be kept here. */
  reach(now: number): Vector {
    return this.log.reach(now, this.#isLiving);
  }

  /** What to ask another member. */
  request(to: string, now: number): Request {
    return { ...this.#say(to, this.#members.get(to), now), echo: this.#stamps.get(to) ?? null };
  }

  /** Answers another member. */
  answer(from: string, request: Request, now: number): { readonly reply: Reply; readonly news: News } {
    const news = this.#heardFrom(from, request, this.#echoed(request), now);
    const { entries, forgotten, more } = this.log.lacking(request.vector, now, this.#isLiving, stepBytesMax);
    const reply = { ...this.#say(from, request.startedMs, now), stamp: now, entries, forgotten, more };
    return { reply, news };
  }

  /** Takes in an answer to what was asked at `sentAt`. */
  replied(from: string, reply: Reply, sentAt: number, now: number): AfterReply {
    const lost = this.log.forget(reply.forgotten, now);
    const entries = reply.entries.filter((entry) => this.log.hear(entry, now));
    this.#stamps.set(from, { stamp: reply.stamp, startedMs: reply.startedMs });
    const { doubt } = this.#heardFrom(from, reply, sentAt, now);
    const owed = this.log.lacking(reply.vector, now, this.#isLiving, stepBytesMax);
    return { doubt: doubt || lost, entries, owed: owed.entries, again: reply.more || owed.more };
  }

  /** Takes in what another member tells of its own accord. @returns what is new. */
  heard(entries: readonly Invalidation[], now: number): Invalidation[] {
    return entries.filter((entry) => this.log.hear(entry, now));
  }

  /** At intervals: what is over is forgotten. */
  look(now: number): void {
    this.log.prune(now, this.#isLiving);
    if (now <= this.touch.until) this.#trustedAt = now;
  }

  readonly #isLiving = (teller: string): boolean => this.#members.has(memberOfTeller(teller));

  #say(to: string, startedMs: number | undefined, now: number): Said {
    const knows = startedMs !== undefined && this.#members.get(to) === startedMs;
    if (knows) this.touch.grant(to, now);
    return {
      epoch: this.#epoch,
      startedMs: this.#self.startedMs,
      knows,
      vector: this.vector(now),
      ages: this.touch.ages(now),
      limit: this.touch.limitSeconds,
    };
  }

  /** What the other has heard counts as known here if it is; then it counts as of when it was said at the earliest. */
  #heardFrom(from: string, { epoch, knows, ages, vector, limit }: Said, saidAt: number | null, now: number): News {
    if (saidAt === null || !this.log.covers(vector)) return { doubt: false, entries: [] };
    const before = this.touch.until;
    // Who tells for a shorter time than this member counts on is trusted for that time.
    const asOf = saidAt - Math.max(0, this.touch.limitSeconds - limit);
    this.touch.compared({ from, epoch, knows, ages, asOf });
    const isBack = before < now && this.touch.until >= now;
    const doubt = isBack && this.#trustedAt !== null && now - this.#trustedAt > absentSecondsMax;
    if (this.touch.until >= now) this.#trustedAt = now;
    return { doubt, entries: [] };
  }

  /** The other has said this after having got the stamp that it sends back. */
  #echoed({ echo }: Request): number | null {
    return echo !== null && echo.startedMs === this.#self.startedMs ? echo.stamp : null;
  }
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
  const { stamp, entries, forgotten, more } = value as Record<string, unknown>;
  const [read, lost] = [invalidationsOf(entries), vectorOf(forgotten)];
  if (typeof stamp !== "number" || read === null || lost === null) return null;
  return { ...said, stamp, entries: read, forgotten: lost, more: more === true };
}

function saidOf(value: unknown): Said | null {
  if (typeof value !== "object" || value === null) return null;
  const { epoch, startedMs, knows, vector, ages, limit } = value as Record<string, unknown>;
  const read = vectorOf(vector);
  if (typeof epoch !== "number" || typeof startedMs !== "number" || typeof limit !== "number" || read === null)
    return null;
  const isAges =
    typeof ages === "object" && ages !== null && Object.values(ages).every((age) => typeof age === "number");
  return isAges ? { epoch, startedMs, knows: knows === true, vector: read, ages: ages as Ages, limit } : null;
}
