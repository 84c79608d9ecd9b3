/**
 * Where a cluster's members are, as a client sees it: the newest view, and who leads. Kept up to date by its
 * coordinator.
 */
import type { Waiters } from "../base/waiters.ts";
import type { Member, PublishedView } from "../ring/view.ts";

export interface Directory {
  /** For people. */
  readonly address: string;
  /** The newest view seen; null before the first. */
  readonly view: PublishedView | null;
  /** The leader's name as published now; null where nobody leads, or nothing is known. */
  readonly leader: string | null;
  /** Resolves when a view is known. @throws Error saying what could not be reached, after `limitMs`. */
  ready(limitMs: number): Promise<void>;
  /** Resolves when the view or the leader has changed since the call, or after `limitMs`. */
  changed(limitMs: number): Promise<void>;
  close(): Promise<void>;
}

/** The members that can be asked, the leader first. Draining ones come last. */
export function leaderFirst({ view, leader }: Pick<Directory, "view" | "leader">): Member[] {
  return [...(view?.members ?? [])].sort(
    (a, b) =>
      Number(a.state === "draining") - Number(b.state === "draining") ||
      Number(b.name === leader) - Number(a.name === leader),
  );
}

/** Waits until a condition holds, looking again at each wake. @throws Error with the sentence given. */
export async function waitUntil(
  condition: () => boolean,
  waiters: Waiters,
  limitMs: number,
  sentence: () => string,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    const left = deadline - performance.now();
    if (left <= 0) throw new Error(sentence());
    await waiters.wait(left);
  }
}
