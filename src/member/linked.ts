/** A joiner's wait for the others: only then do they hear of what it changes, and it of what they do. */
import type { Waiters } from "../base/waiters.ts";
import type { PeerAcceptor } from "../peer/acceptor.ts";
import type { Member } from "../ring/view.ts";
import type { DataPlane } from "./data-plane.ts";

/** How long it waits, and how often it looks whether somebody has been given up. */
const linkedMsMax = 3000;
const linkedLookMs = 100;

/**
 * Resolves when links with all others of the view are up, both ways, and all has been heard that they have, but with
 * those who do not answer.
 */
export async function allLinked(
  self: string,
  { peers, current, correspondence, desk }: DataPlane,
  acceptor: Pick<PeerAcceptor, "hasLinkFrom">,
  changed: Waiters,
): Promise<void> {
  const deadline = performance.now() + linkedMsMax;
  const awaited = ({ name }: Member): boolean =>
    name !== self && (peers.isDialling(name) || (peers.isUp(name) && !acceptor.hasLinkFrom(name)));
  const hasHeard = (): boolean => desk.nowSeconds() <= correspondence.touch.heardUntil;
  const isWaiting = (): boolean => current.view.members.some(awaited) || !hasHeard();
  while (performance.now() < deadline && isWaiting()) await changed.wait(linkedLookMs);
}
