/**
 * Telling others of invalidations: each directly, and whoever cannot be reached so through those who can. What has been
 * told to nobody is not lost: members compare their logs (comparing.ts).
 */
import { inSteps } from "../../base/steps.ts";
import type { Peers } from "../../peer/peers.ts";
import type { Invalidation, Vector } from "../../invalidation/invalidation.ts";

/** What became of telling one member: it has applied all; it is out of reach; nobody listens there any more. */
export type Told = "applied" | "pending" | "gone";

export interface TellingNeeds {
  readonly self: string;
  readonly peers: Pick<Peers, "call" | "isUp" | "isGone">;
}

/** A member that has not answered by then is tried through others as well. */
const relayAfterMs = 250;
/** Others through whom one is tried. */
const relaysMax = 8;
/** Of entries in one call, and of each beside its selector. */
const stepCharactersMax = 64 * 1024;
const entryCharacters = 100;

/** One member's telling. */
export class Telling {
  readonly #needs: TellingNeeds;

  constructor(needs: TellingNeeds) {
    this.#needs = needs;
  }

  /**
   * Resolves when each of these has heard, is known to be gone, or has had the time. `known`: who has been told by
   * somebody else, beside these.
   */
  async tell(
    entries: readonly Invalidation[],
    names: readonly string[],
    limitMs: number,
    told?: (name: string, how: Told) => void,
    known: readonly string[] = [],
  ): Promise<void> {
    if (entries.length === 0 || names.length === 0) return;
    const deadline = performance.now() + limitMs;
    const all = [...names, ...known];
    await Promise.all(
      names.map(async (name) => {
        const applied = await this.#reach(entries, name, all, deadline);
        told?.(name, applied ? "applied" : this.#needs.peers.isGone(name) ? "gone" : "pending");
      }),
    );
  }

  /** Tells one member, without going round. @returns whether it has heard. */
  async directly(
    entries: readonly Invalidation[],
    name: string,
    how: {
      readonly limitMs: number;
      /** Who is told besides; null where that does not matter. */
      readonly told: readonly string[] | null;
      /** For how long tellers have been silent: what is handed on is no sign of their lives. */
      readonly silences?: Vector;
    },
  ): Promise<boolean> {
    const { limitMs, told, silences = {} } = how;
    const { peers } = this.#needs;
    const deadline = performance.now() + limitMs;
    for (const some of stepsOf(entries)) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      const value = { entries: some, told, limitMs: left, silences };
      const heard = await peers.call(name, "invalidate", value, left).then(
        () => true,
        () => false,
      );
      if (!heard) return false;
    }
    return true;
  }

  async #reach(
    entries: readonly Invalidation[],
    name: string,
    all: readonly string[],
    deadline: number,
  ): Promise<boolean> {
    const direct = this.directly(entries, name, { limitMs: deadline - performance.now(), told: all });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), relayAfterMs);
    });
    const atOnce = await Promise.race([direct, late]);
    clearTimeout(timer);
    if (atOnce) return true;
    return anyOf([direct, this.#through(entries, name, deadline)]);
  }

  #through(entries: readonly Invalidation[], to: string, deadline: number): Promise<boolean> {
    const { self, peers } = this.#needs;
    const left = deadline - performance.now();
    const relays = this.#relays.filter((name) => name !== to && name !== self && peers.isUp(name)).slice(0, relaysMax);
    if (left <= 0 || relays.length === 0) return Promise.resolve(false);
    return anyOf(
      relays.map(async (relay) => {
        for (const some of stepsOf(entries)) {
          const limitMs = deadline - performance.now();
          const value = { entries: some, to, limitMs };
          const answer = await peers.call(relay, "relay", value, Math.max(1, limitMs)).catch(() => null);
          if ((answer as { applied?: boolean } | null)?.applied !== true) return false;
        }
        return true;
      }),
    );
  }

  #relays: readonly string[] = [];

  /** Members that may hand on: those of the view. */
  follow(names: readonly string[]): void {
    this.#relays = names;
  }
}

/** Resolves with true as soon as one does, with false when all have come to nothing. */
function anyOf(tries: readonly Promise<boolean>[]): Promise<boolean> {
  return Promise.any(tries.map(async (one) => ((await one) ? true : Promise.reject(new Error("no"))))).then(
    () => true,
    () => false,
  );
}

/** Invalidations in steps that a call carries well. */
function stepsOf(entries: readonly Invalidation[]): Generator<Invalidation[]> {
  return inSteps(entries, ({ selector }) => JSON.stringify(selector).length + entryCharacters, stepCharactersMax);
}
