/** From who is announced to the view that should stand: the leader's whole decision, pure. */
import { placementVersion } from "../ring/ring.ts";
import type { Member, PublishedView } from "../ring/view.ts";

/**
 * The view to publish, or null where the current one is right already.
 * @param epochFloor the epoch that the new one must exceed by one.
 */
export function nextView(
  cluster: string,
  current: PublishedView | null,
  announced: readonly Member[],
  leader: string,
  epochFloor: number,
  /** Members to keep though they are not announced. */
  held: readonly Member[] = [],
): PublishedView | null {
  const epoch = epochFloor + 1;
  const members = [...announced, ...held].sort((a, b) => (a.name < b.name ? -1 : 1));
  const same =
    current !== null &&
    current.epoch === epochFloor &&
    current.leader === leader &&
    current.cluster === cluster &&
    JSON.stringify(current.members) === JSON.stringify(members);
  return same ? null : { cluster, epoch, leader, placement: placementVersion, members };
}
