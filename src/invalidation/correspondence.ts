/**
 * How members keep each other's logs alike: what is said at a comparison and what follows from it, without sockets,
 * timers or store. Who carries the messages applies what comes out, in the order in which it comes, before anything
 * else happens.
 *
 *   request ─▶ answer   the other: "this is how far I have heard; what do I lack?"
 *   replied ◀─ reply    what was lacking, and how far the answering one has heard
 *   then                what the answering one lacks is told to it
 */
import { lifeOf, type Ahead, type Invalidation, type Vector } from "./invalidation.ts";
import type { InvalidationLog, LogState } from "./log.ts";
import { livesMax, type Fellow, type Reply, type Request, type Said } from "./said.ts";
import type { Touch } from "./touch.ts";

/** What somebody has said of its lives, with nothing that it has heard lacking here. */
interface GoesOn {
  readonly startedMs: number;
  readonly continues: readonly number[];
  /** Lives without which that does not count. */
  readonly awaits: readonly Fellow[];
}

/** What a life leaves to the next one of its name. */
export interface EarlierLife {
  readonly log: LogState;
  readonly members: readonly Fellow[];
  readonly lives: readonly number[];
  /** By the next one's clock: seconds. */
  readonly stoppedAt: number;
}

/** How far somebody has heard. */
export interface Reach {
  readonly vector: Vector;
  readonly ahead: Ahead;
}

/** What has to be applied to the store, first the doubt. */
export interface News {
  /** Everything stored up to now may have missed something that nobody can tell any more. */
  readonly doubt: boolean;
  readonly entries: readonly Invalidation[];
}

export interface AfterReply extends News {
  /** To be told to the other, which lacks them, with how long their tellers have been silent. */
  readonly owed: readonly Invalidation[];
  readonly silences: Vector;
  /** More is lacking, here or there: compare again at once. */
  readonly again: boolean;
}

/** For how long those are waited for whom an earlier life had beside it: they may be starting as well. Seconds. */
const foundAgainSeconds = 15;
/** Bytes of entries in one message. */
const stepBytesMax = 48 * 1024;
/** A process that goes on after a pause has what had come meanwhile behind it after so long. */
const backlogSeconds = 1;
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
  /** Earlier lives of this member, whose store and log this one has, without a gap: when they began, the last first. */
  #continues: readonly number[] = [];
  /** Lives that the last of them had beside it at its end, until all are found again. */
  #before: ReadonlyMap<string, number> | null = null;
  /** What others have said of theirs meanwhile. */
  readonly #goOn = new Map<string, GoesOn>();
  #beforeUntil = 0;
  /** When this life has last looked at the time. */
  #lookedAt: number | null = null;
  /** Since when it has done so regularly. */
  #steadySince = -Infinity;
  /** When what is stored was last known to have heard of everything. */
  #trustedAt: number | null = null;

  constructor(self: Fellow, log: InvalidationLog, touch: Touch) {
    this.#self = self;
    this.log = log;
    this.touch = touch;
  }

  /**
   * Goes on from an earlier life of this member: what it had stored and heard is here. It counts when all whom that had
   * beside it have been found again, themselves or lives that go on from theirs: else what they had told and heard
   * since may be known to nobody.
   */
  goOnFrom({ log, members, lives, stoppedAt }: EarlierLife, now: number): void {
    this.log.restore(log);
    this.#trustedAt = stoppedAt;
    this.#continues = lives;
    const others = members.filter(({ name }) => name !== this.#self.name);
    if (others.length === 0) return;
    this.#before = new Map(others.map(({ name, startedMs }) => [name, startedMs]));
    this.#beforeUntil = now + foundAgainSeconds;
    this.touch.hold(true);
  }

  /** What the next life of this member goes on from. */
  earlierLife(members: readonly Fellow[], now: number): EarlierLife {
    const lives = [this.#self.startedMs, ...this.#continues].slice(0, livesMax);
    const fellows = members.map(({ name, startedMs }) => ({ name, startedMs }));
    return { log: this.log.state, members: fellows, lives, stoppedAt: now };
  }

  /** Follows a view. */
  follow(epoch: number, members: readonly Fellow[], now: number): News {
    this.#epoch = epoch;
    this.#members = new Map(members.map(({ name, startedMs }) => [name, startedMs]));
    const names = members.map(({ name }) => name);
    // Those found at one's own beginning have been there before.
    const isFirst = this.#lives.size === 0;
    const fresh = members
      .filter(({ name, startedMs }) => startedMs > (this.#lives.get(name) ?? -Infinity))
      .map(({ name, startedMs }) => ({
        name,
        startedMs,
        again: this.#lives.has(name) && !this.#isAwaited(name) && name !== this.#self.name,
      }));
    for (const { name, startedMs } of fresh) this.#lives.set(name, startedMs);
    // A process that has stood still gets its views late.
    const lookedAt = this.#lookedAt ?? now;
    const isLate = now - lookedAt > this.touch.limitSeconds / 2 || now - this.#steadySince < backlogSeconds;
    const since = isLate ? null : lookedAt;
    const isUnknown = this.touch.follow(epoch, names, isFirst ? [] : fresh, now, since);
    for (const name of this.#stamps.keys()) if (!this.#members.has(name)) this.#stamps.delete(name);
    return { doubt: this.#regained(now) || isUnknown, entries: [] };
  }

  /** How far this member has heard. */
  vector(now: number): Vector {
    return this.log.vector(now, this.#isLiving);
  }

  /** What somebody must have heard whose answer is to be kept here. */
  reach(now: number): Reach {
    return { vector: this.vector(now), ahead: this.log.ahead(now, this.#isLiving) };
  }

  /** The same of those heard so lately that others may not have heard them yet; null where that is nobody. */
  recentReach(now: number): Reach | null {
    const tellers = this.log.heardSince(now - this.touch.limitSeconds);
    if (tellers.length === 0) return null;
    const { vector, ahead } = this.reach(now);
    const only = <T>(all: Readonly<Record<string, T>>): Record<string, T> =>
      Object.fromEntries(tellers.filter((teller) => teller in all).map((teller) => [teller, all[teller]!]));
    return { vector: only(vector), ahead: only(ahead) };
  }

  /**
   * Nobody listens at a member's address any more. Whom an earlier life had beside it may be starting as well: it is
   * waited for, and nothing counts until then.
   */
  gone(name: string, now: number): News {
    const isUnknown = this.touch.gone(name, now) && !this.#isAwaited(name);
    return { doubt: this.#regained(now) || isUnknown, entries: [] };
  }

  /** What to ask another member. */
  request(to: string, now: number): Request {
    return { ...this.#say(to, this.#members.get(to), now), echo: this.#stamps.get(to) ?? null };
  }

  /** Answers another member. */
  answer(from: string, request: Request, now: number): { readonly reply: Reply; readonly news: News } {
    const news = this.#heardFrom(from, request, this.#echoed(request), now);
    const lacking = this.log.lacking(request, now, this.#isLiving, stepBytesMax);
    return { reply: { ...this.#say(from, request.startedMs, now), stamp: now, ...lacking }, news };
  }

  /** Takes in an answer to what was asked at `sentAt`. */
  replied(from: string, reply: Reply, sentAt: number, now: number): AfterReply {
    const lost = this.log.forget(reply.forgotten, now, reply.silences);
    const entries = this.heard(reply.entries, now, reply.silences);
    this.#stamps.set(from, { stamp: reply.stamp, startedMs: reply.startedMs });
    const { doubt } = this.#heardFrom(from, reply, sentAt, now);
    const owed = this.log.lacking(reply, now, this.#isLiving, stepBytesMax);
    // Whoever sends the same again has nothing that helps.
    const isNews = lost || entries.length > 0;
    return {
      doubt: doubt || lost,
      entries,
      owed: owed.entries,
      silences: owed.silences,
      again: (reply.more && isNews) || owed.more,
    };
  }

  /** Takes in what another member tells of its own accord. @returns what is new. */
  heard(entries: readonly Invalidation[], now: number, silences: Vector = {}): Invalidation[] {
    return entries.filter((entry) => this.log.hear(entry, now, Math.max(0, silences[entry.teller] ?? 0)));
  }

  /** At intervals: what is over is forgotten. */
  look(now: number): News {
    const pause = now - (this.#lookedAt ?? now);
    if (pause > this.touch.limitSeconds / 2) this.#steadySince = now;
    this.#lookedAt = now;
    this.log.prune(now, this.#isLiving);
    const isGivenUp = this.log.giveUpGaps(now, this.#isLiving);
    const isMissed = this.#before !== null && now > this.#beforeUntil && this.#givenUp();
    return { doubt: this.#regained(now) || isGivenUp || isMissed, entries: [] };
  }

  /** A teller that may still tell: the very life that a view names. */
  readonly #isLiving = (teller: string): boolean => {
    const { name, startedMs } = lifeOf(teller);
    return this.#members.get(name) === startedMs;
  };

  /** Whether what is stored counts again after an absence in which everybody may have forgotten something. */
  #regained(now: number): boolean {
    if (now > this.touch.until) return false;
    // Who is alone has nobody who could have told it anything.
    const isAlone = this.#members.size < 2;
    const doubt = !isAlone && this.#trustedAt !== null && now - this.#trustedAt > absentSecondsMax;
    this.#trustedAt = now;
    return doubt;
  }

  #say(to: string, startedMs: number | undefined, now: number): Said {
    const knows = startedMs !== undefined && this.#members.get(to) === startedMs;
    if (knows) this.touch.grant(to, now);
    return {
      epoch: this.#epoch,
      startedMs: this.#self.startedMs,
      knows,
      vector: this.vector(now),
      ahead: this.log.ahead(now, this.#isLiving),
      ages: this.touch.ages(now),
      limit: this.touch.limitSeconds,
      continues: this.#before === null ? this.#continues : null,
      awaiting: this.#before === null ? null : { continues: this.#continues, fellows: fellowsOf(this.#before) },
    };
  }

  /** Whether an earlier life had it beside it, and it has not been found again yet. */
  #isAwaited(name: string): boolean {
    return this.#before?.has(name) === true && !this.#goOn.has(name);
  }

  /** Not all of an earlier life's fellows are found again. @returns true: everything is in doubt. */
  #givenUp(): true {
    this.#continues = [];
    this.#settled();
    return true;
  }

  #settled(): void {
    this.#before = null;
    this.#goOn.clear();
    this.touch.hold(false);
  }

  /** Another life has been heard. @returns whether it shows that something may be missing here. */
  #foundAgain(from: string, { startedMs, continues, awaiting }: Said): boolean {
    if (this.#before === null) return false;
    const then = this.#before.get(from);
    const lives = continues ?? awaiting?.continues ?? null;
    if (then !== undefined && startedMs !== then && lives?.includes(then) !== true)
      return lives !== null && this.#givenUp();
    this.#goOn.set(from, { startedMs, continues: lives ?? [], awaits: awaiting?.fellows ?? [] });
    if (this.#areFound(this.#before)) this.#settled();
    return false;
  }

  /**
   * Whether all are here again whom the earlier life had beside it, and all on whom those depend in turn: members that
   * were stopped together wait for each other, and none of them can be the first to know.
   */
  #areFound(before: ReadonlyMap<string, number>): boolean {
    const open = fellowsOf(before);
    const seen = new Set<string>();
    for (const { name, startedMs: then } of open) {
      if (seen.has(`${name} ${then}`)) continue;
      seen.add(`${name} ${then}`);
      const its = name === this.#self.name ? this.#own : this.#goOn.get(name);
      if (its === undefined || (its.startedMs !== then && !its.continues.includes(then))) return false;
      open.push(...its.awaits);
    }
    return true;
  }

  get #own(): GoesOn {
    return { startedMs: this.#self.startedMs, continues: this.#continues, awaits: [] };
  }

  /** What the other has heard counts as known here if it is; then it counts as of when it was said at the earliest. */
  #heardFrom(from: string, said: Said, saidAt: number | null, now: number): News {
    const { epoch, knows, ages, vector, ahead, limit } = said;
    const isMissed = this.log.covers(vector, ahead) && this.#foundAgain(from, said);
    if (saidAt !== null && this.log.covers(vector, ahead)) {
      // Who tells for a shorter time than this member counts on is trusted for that time.
      const asOf = saidAt - Math.max(0, this.touch.limitSeconds - limit);
      this.touch.compared({ from, epoch, knows, ages, asOf });
    }
    return { doubt: this.#regained(now) || isMissed, entries: [] };
  }

  /** The other has said this after having got the stamp that it sends back. */
  #echoed({ echo }: Request): number | null {
    return echo !== null && echo.startedMs === this.#self.startedMs ? echo.stamp : null;
  }
}

function fellowsOf(lives: ReadonlyMap<string, number>): Fellow[] {
  return [...lives].map(([name, startedMs]) => ({ name, startedMs }));
}
