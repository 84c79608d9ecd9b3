/**
 * The last view of a member that hosts the coordinator, kept across its restart: without it, it would begin in a view
 * of itself, answer and invalidate alone, until the others had found it again. A hint, not a truth: members in it that
 * do not answer are left out of the next view.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { publishedViewOf, type Member, type PublishedView } from "../ring/view.ts";

/** Where a member remembers the last view. */
export interface LastView {
  /** What was remembered, or null. */
  read(): PublishedView | null;
  write(view: PublishedView): void;
}

/** The last view in a file of the run folder; one for each member of each cluster. */
export function lastViewIn(folder: string, cluster: string, name: string): LastView {
  const file = join(folder, `view-${cluster}-${name}.json`);
  return {
    read: () => {
      try {
        return publishedViewOf(JSON.parse(readFileSync(file, "utf8")));
      } catch {
        return null; // Not there, or not readable: a hint that is missing costs a moment, nothing more.
      }
    },
    write: (view) => {
      // Alone, there is nobody to find again.
      if (view.members.length < 2) return rmSync(file, { force: true });
      writeFileSync(`${file}.new`, JSON.stringify(view), { mode: 0o600 });
      return renameSync(`${file}.new`, file);
    },
  };
}

/**
 * What is remembered of the last view, or null where it is of no use: where the member is found elsewhere than before,
 * the members of then look for another one, and the view is theirs.
 */
export function lastViewOf({ name, peer }: Pick<Member, "name" | "peer">, kept?: LastView): PublishedView | null {
  const view = kept?.read() ?? null;
  return view?.members.some((then) => then.name === name && then.peer === peer) === true ? view : null;
}
