/**
 * Whether a member may answer from what it has stored: only while it knows, of every other member of its view, all that
 * this one had told a short while ago. It knows by comparing logs with it, or with somebody who has; a member whose
 * process is gone tells nothing any more.
 *
 *   in touch   for every fellow: compared with it, or heard of it through others, at most `limit` ago, or it is gone;
 *              and the same of the coordinator: without it nobody knows who has joined
 *   cut off    otherwise: everything is validated before use
 *
 * A comparison counts only between members that tell each other: the other's view is no newer than one's own and holds
 * this member. Who has let somebody count on it goes on telling that member until the trust so given has run out,
 * whatever becomes of the view meanwhile. docs/decisions/0009 has the argument.
 *
 * Pure: times are one's own steady seconds; those of others come as ages.
 */

/** What members know of each other's logs: for each name, the age of the knowledge in seconds. */
export type Ages = Readonly<Record<string, number>>;

/** Members that have left and are remembered. */
const namesMax = 1000;
/** Knowledge is no older than this part of the limit while all is well: two comparisons. */
const usualPart = 1 / 2;

/** A comparison's worth. */
export interface Compared {
  readonly from: string;
  /** The epoch of the other's view, and whether this member is in it. */
  readonly epoch: number;
  readonly knows: boolean;
  readonly ages: Ages;
  /** The other has said this no earlier than then. */
  readonly asOf: number;
}

/** One member's trust. */
export class Touch {
  readonly limitSeconds: number;
  readonly #self: string;
  #epoch = 0;
  #fellows: readonly string[] = [];
  /** As of when all that a member has told is known here, through comparisons. */
  readonly #asOf = new Map<string, number>();
  /** When a member's process was last found to be gone. */
  readonly #goneAt = new Map<string, number>();
  /** Members whose last life's end has been reckoned with. */
  readonly #settled = new Set<string>();
  /** Until when a member may count on hearing from here. */
  readonly #granted = new Map<string, number>();
  /** When the coordinator was last heard, or found to be gone; null where there is none. */
  #coordinatorAt: number | null = null;
  #until = Infinity;
  #isHeld = false;
  /** Told whenever `until` may have changed. */
  changed: (() => void) | null = null;

  constructor(self: string, limitSeconds: number) {
    this.#self = self;
    this.limitSeconds = limitSeconds;
  }

  /** Until when, as things stand, this member may answer from what it has stored. */
  get until(): number {
    return this.#isHeld ? -Infinity : this.#until;
  }

  /** The same, held or not: all that others have told up to a short while ago has been heard. */
  get heardUntil(): number {
    return this.#until;
  }

  /** While held, nothing counts: what an earlier life knew has to be made sure of first. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.changed?.();
  }

  /**
   * Follows a view: its epoch, and the names of its members. `fresh` are those whose process has just begun: until now
   * they have told nothing; `again`: another one had that name before. The view may have waited here since `since`;
   * null: for long. @returns whether a life has ended of which not all may be known.
   */
  follow(
    epoch: number,
    members: readonly string[],
    fresh: readonly { readonly name: string; readonly again: boolean }[],
    now: number,
    since: number | null = now,
  ): boolean {
    const wasInTouch = now <= this.until;
    this.#epoch = epoch;
    this.#fellows = members.filter((name) => name !== this.#self);
    let doubt = false;
    for (const { name, again } of fresh) {
      if (again && this.#endsUnknown(name, now)) doubt = true;
      this.#settled.delete(name);
      // Who has been cut off may have learnt late of it, and must ask first.
      if (wasInTouch && since !== null) this.#raise(name, since);
      else this.#asOf.delete(name);
    }
    this.#weigh();
    return doubt;
  }

  /** A comparison after which nothing is lacking here of what the other has heard. */
  compared({ from, epoch, knows, ages, asOf }: Compared): void {
    if (!knows || epoch > this.#epoch) return;
    this.#raise(from, asOf);
    this.#settled.delete(from);
    for (const name in ages) if (name !== this.#self && ages[name]! >= 0) this.#raise(name, asOf - ages[name]!);
    this.#weigh();
  }

  /** The coordinator has been heard, or its process found to be gone. */
  coordinatorKnown(at: number): void {
    this.#coordinatorAt = Math.max(at, this.#coordinatorAt ?? -Infinity);
    this.#weigh();
  }

  /**
   * Nobody listens at a member's address: its process is gone. @returns whether what it told at the end may be unknown
   * here: it had not been heard of for longer than usual, and nobody else may have heard it either.
   */
  gone(name: string, now: number): boolean {
    const doubt = this.#endsUnknown(name, now);
    this.#settled.add(name);
    this.#goneAt.set(name, now);
    this.#weigh();
    return doubt;
  }

  /** What may be told to others of one's own knowledge. What is taken from a refused connection is not. */
  ages(now: number): Ages {
    const ages: Record<string, number> = {};
    for (const name of this.#fellows) {
      const asOf = this.#asOf.get(name);
      if (asOf !== undefined && !this.#settled.has(name)) ages[name] = Math.max(0, now - asOf);
    }
    return ages;
  }

  /** Another member is told that it may count on hearing from here: it may do so until the limit has passed. */
  grant(name: string, now: number): void {
    this.#granted.set(name, now + this.limitSeconds);
  }

  /** Everybody who is to hear of an invalidation. */
  told(now: number): string[] {
    for (const [name, until] of this.#granted) if (until < now) this.#granted.delete(name);
    return [...new Set([...this.#fellows, ...this.#granted.keys()])];
  }

  /** What has been heard of too long ago: fellows, and "the coordinator". */
  silent(now: number): string[] {
    const fellows = this.#fellows.filter((name) => this.#last(name) + this.limitSeconds < now);
    return (this.#coordinatorAt ?? Infinity) + this.limitSeconds < now ? ["the coordinator", ...fellows] : fellows;
  }

  /** Whether a member's last life has ended, or ends now, with something told that has not been heard here. */
  #endsUnknown(name: string, now: number): boolean {
    const asOf = this.#asOf.get(name) ?? -Infinity;
    return !this.#settled.has(name) && now - asOf > this.limitSeconds * usualPart;
  }

  #raise(name: string, asOf: number): void {
    if (asOf > (this.#asOf.get(name) ?? -Infinity)) this.#asOf.set(name, asOf);
  }

  #last(name: string): number {
    return Math.max(this.#asOf.get(name) ?? -Infinity, this.#goneAt.get(name) ?? -Infinity);
  }

  #weigh(): void {
    // Of those who have left something has to be known when they come back.
    for (const map of [this.#asOf, this.#goneAt]) {
      for (const name of map.keys()) {
        if (map.size <= namesMax) break;
        if (!this.#fellows.includes(name)) map.delete(name);
      }
    }
    let oldest = this.#coordinatorAt ?? Infinity;
    for (const name of this.#fellows) oldest = Math.min(oldest, this.#last(name));
    this.#until = oldest + this.limitSeconds;
    this.changed?.();
  }
}
