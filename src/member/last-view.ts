/**
 * The last view of a member that hosts the coordinator, kept across its restart: without it, it would begin in a view
 * of itself, answer and invalidate alone, until the others had found it again. A hint, not a truth: members in it that
 * do not answer are left out of the next view.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asError } from "../base/background.ts";
import { publishedViewOf, type Member, type PublishedView } from "../ring/view.ts";

/** What a host of the coordinator knows of before it was started. */
export interface Remembered {
  readonly lastView: PublishedView | null;
  readonly fellows: readonly Member[];
}

/** Where a member remembers the last view. */
export interface LastView {
  /** What was remembered, or null. */
  read(): PublishedView | null;
  /** Who was there last, and whoever was lost before that: all but those that left in order. */
  fellows(): readonly Member[];
  /** Never throws: it is done while views are handed on. */
  write(view: PublishedView): void;
}

/** So many members that were lost are remembered. */
const lostMax = 64;

/**
 * The last view in a file of the run folder; one for each member of each cluster. Where it cannot be written, `failed`
 * is told, and all else goes on: the folder may be full, or somebody has tidied it away.
 */
export function lastViewIn(folder: string, cluster: string, name: string, failed: (error: Error) => void): LastView {
  const file = join(folder, `view-${cluster}-${name}.json`);
  const earlier = join(folder, `view-${cluster}-${name}.earlier.json`);
  /** By name, those that were lost earliest first. */
  const known = (leavers: "with leavers" | "without leavers"): ReadonlyMap<string, Member> => {
    const last =
      viewIn(file, cluster)?.members.filter(({ state }) => leavers === "with leavers" || state === "active") ?? [];
    const all = [...(viewIn(earlier, cluster)?.members ?? []), ...last];
    return new Map(all.filter((member) => member.name !== name).map((member) => [member.name, member]));
  };
  return {
    read: () => viewIn(file, cluster),
    fellows: () => [...known("with leavers").values()],
    write: (view) => {
      // Whoever is cut off loses the others one by one: each of them may have gone on, and be the host by now.
      const present = new Set(view.members.map((member) => member.name));
      const lost = [...known("without leavers").values()].filter((member) => !present.has(member.name));
      try {
        keep(earlier, lost.length === 0 ? null : { ...view, members: lost.slice(-lostMax) });
        // Alone, there is nobody to go on with.
        keep(file, view.members.every((member) => member.name === name) ? null : view);
      } catch (error) {
        failed(asError(error));
      }
    },
  };
}

function keep(file: string, view: PublishedView | null): void {
  if (view === null) return rmSync(file, { force: true });
  writeFileSync(`${file}.new`, JSON.stringify(view), { mode: 0o600 });
  return renameSync(`${file}.new`, file);
}

/** What a file holds of this cluster: `a-b` of c and `a` of b-c have the same one. */
function viewIn(file: string, cluster: string): PublishedView | null {
  try {
    const view = publishedViewOf(JSON.parse(readFileSync(file, "utf8")));
    return view?.cluster === cluster ? view : null;
  } catch {
    return null; // Not there, or not readable: a hint that is missing costs a moment, nothing more.
  }
}

/**
 * What is remembered of the last view, or null where it is of no use: where the member is found elsewhere than before,
 * the members of then look for another one, and the view is theirs. And who was there, to be asked for the host.
 */
export function rememberedOf({ name, peer }: Pick<Member, "name" | "peer">, kept?: LastView): Remembered {
  const view = kept?.read() ?? null;
  const isThere = view?.members.some((then) => then.name === name && then.peer === peer) === true;
  return { lastView: isThere ? view : null, fellows: kept?.fellows() ?? [] };
}
