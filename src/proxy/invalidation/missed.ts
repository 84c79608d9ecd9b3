/**
 * What members could not be told: kept for each until it can be, bounded in bytes; beyond that it validates all that it
 * has.
 */

/** What one invalidation names: URIs as they stand in keys, and groups with their origin. */
export interface Named {
  readonly uris: readonly string[];
  readonly groups: readonly string[];
}

interface Owed {
  readonly uris: Set<string>;
  readonly groups: Set<string>;
  bytes: number;
}

/** For each member; a name costs its characters and a place in a set. */
const bytesMax = 1024 * 1024;
const nameBytes = 100;

/** Invalidations that members still have to hear of, by member. */
export class Missed {
  readonly #owed = new Map<string, Owed | "all">();

  add(member: string, { uris, groups }: Named): void {
    const owed = this.#owed.get(member) ?? { uris: new Set(), groups: new Set(), bytes: 0 };
    if (owed === "all") return;
    for (const [names, into] of [
      [uris, owed.uris],
      [groups, owed.groups],
    ] as const) {
      for (const name of names) {
        if (into.has(name)) continue;
        into.add(name);
        owed.bytes += name.length * 2 + nameBytes;
      }
    }
    this.#owed.set(member, owed.bytes > bytesMax ? "all" : owed);
  }

  addAll(member: string): void {
    this.#owed.set(member, "all");
  }

  /** What a member has missed, taken out: whoever cannot tell it puts it back. */
  take(member: string): Named | "all" | null {
    const owed = this.#owed.get(member);
    if (owed === undefined) return null;
    this.#owed.delete(member);
    return owed === "all" ? "all" : { uris: [...owed.uris], groups: [...owed.groups] };
  }

  /** Members that have left the view validate what they have when they come back, whatever it was. */
  keepOnly(members: ReadonlyMap<string, unknown>): void {
    for (const member of this.#owed.keys()) if (!members.has(member)) this.#owed.delete(member);
  }
}
