/** One life of a member in the simulated world: what it has stored, heard and can say. */
import { Correspondence, type EarlierLife, type Reach } from "../../src/invalidation/correspondence.ts";
import type { Reply, Request } from "../../src/invalidation/said.ts";
import { lifeOf, tellerOf, type Invalidation } from "../../src/invalidation/invalidation.ts";
import { InvalidationLog } from "../../src/invalidation/log.ts";
import { Touch } from "../../src/invalidation/touch.ts";

export const limitSeconds = 4;

interface Stored {
  readonly version: number;
  /** The position up to which it has heard. */
  position: number;
  doubted: boolean;
  /** By an earlier life. */
  readonly isKept?: boolean;
}

/** What a member finds on its disk. */
export interface Left {
  readonly store: ReadonlyMap<string, Stored>;
  readonly lives: readonly string[];
  /** Null where it did not stop in order. */
  readonly state: {
    readonly applied: readonly (Invalidation | "doubt")[];
    readonly life: EarlierLife;
  } | null;
}

/** What lives say to each other. */
export type Message =
  | { readonly kind: "compare"; readonly request: Request; readonly sentAt: number }
  | { readonly kind: "compared"; readonly reply: Reply; readonly sentAt: number }
  | {
      readonly kind: "invalidate";
      readonly entries: unknown;
      readonly told: readonly string[] | null;
      readonly id: number;
    }
  | { readonly kind: "relay"; readonly entries: unknown; readonly to: string; readonly id: number }
  | { readonly kind: "heard"; readonly id: number; readonly who: string }
  | { readonly kind: "ask"; readonly key: string; readonly reach: Reach; readonly id: number }
  | { readonly kind: "give"; readonly version: number | null; readonly id: number };

/** A life. */
export class Process {
  readonly name: string;
  readonly life: string;
  readonly startedMs: number;
  readonly correspondence: Correspondence;
  readonly store = new Map<string, Stored>();
  /** What has been applied, by position. */
  readonly applied: (Invalidation | "doubt")[] = [];
  /** Its own, and those before it whose store it has. */
  readonly lives: readonly string[];
  view: { readonly epoch: number; readonly names: readonly string[]; readonly lives: ReadonlyMap<string, string> };
  joined = false;
  stoppedUntil = -1;
  /** Messages that have come while it stood still. */
  readonly held: (() => void)[] = [];
  readonly waiting = new Map<number, (message: Message | null, who?: string) => void>();
  sinceTeller = new Map<string, number>();

  constructor(name: string, life: number, now: number, logBytes: number, left: Left | null) {
    this.name = name;
    this.startedMs = Math.round(now * 1000) + life;
    this.life = tellerOf(name, this.startedMs, `l${life}`);
    const log = new InvalidationLog(this.life, logBytes);
    this.correspondence = new Correspondence({ name, startedMs: this.startedMs }, log, new Touch(name, limitSeconds));
    this.correspondence.touch.coordinatorKnown(now);
    this.lives = [this.life, ...(left?.state == null ? [] : left.lives)];
    if (left?.state != null) {
      const { applied, life: earlier } = left.state;
      this.applied.push(...applied);
      this.correspondence.goOnFrom(earlier, now);
    }
    for (const [key, { version, position, doubted }] of left?.store ?? [])
      this.store.set(
        key,
        left!.state === null ? { version, position: 0, doubted: true } : { version, position, doubted, isKept: true },
      );
    this.view = { epoch: 0, names: [name], lives: new Map() };
  }

  get position(): number {
    return this.applied.length;
  }

  /** What is found on its disk when it has ended. */
  left(now: number, how: "in order" | "dead"): Left {
    const store = new Map([...this.store].map(([key, stored]) => [key, { ...stored }]));
    if (how === "dead") return { store, lives: this.lives, state: null };
    const members = [...this.view.lives].map(([name, life]) => ({ name, startedMs: lifeOf(life).startedMs }));
    const state = { applied: this.applied, life: this.correspondence.earlierLife(members, now) };
    // As it is written to a file.
    return { store, lives: this.lives, state: JSON.parse(JSON.stringify(state)) as NonNullable<Left["state"]> };
  }

  take(news: { readonly doubt: boolean; readonly entries: readonly Invalidation[] }): void {
    if (news.doubt) this.applied.push("doubt");
    this.applied.push(...news.entries);
  }

  inTouch(now: number): boolean {
    return now <= this.correspondence.touch.until;
  }

  /** What is found under a key now: what has been invalidated is not. */
  find(key: string): Stored | null {
    const stored = this.store.get(key);
    if (stored === undefined) return null;
    for (const one of this.applied.slice(stored.position)) {
      if (one === "doubt") stored.doubted = true;
      else if (one.selector.kind === "uri" && one.selector.uri === uriOf(key)) {
        this.store.delete(key);
        return null;
      }
    }
    stored.position = this.position;
    return stored;
  }

  /** Keeps what has come, unless it has been invalidated since it was asked for. */
  keep(key: string, version: number, position: number): void {
    for (const one of this.applied.slice(position))
      if (one === "doubt" || (one.selector.kind === "uri" && one.selector.uri === uriOf(key))) return;
    this.store.set(key, { version, position: this.position, doubted: false });
  }
}

/** A key as a URI. */
export function uriOf(key: string): string {
  return `http://o/${key}`;
}
