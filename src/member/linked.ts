/** A joiner's wait for the others: only then do they hear of what it changes, and it of what they do. */
import type { Waiters } from "../base/waiters.ts";
import type { PeerAcceptor } from "../peer/acceptor.ts";
import type { Member } from "../ring/view.ts";
import type { DataPlane } from "./data-plane.ts";
import { StartError } from "./start-error.ts";

/** How long it waits, and how often it looks whether somebody has been given up. */
const linkedMsMax = 3000;
const linkedLookMs = 100;
/** What a member says, since the first version, to who speaks another one: first that one's, then its own. */
const otherVersion = /^protocol version (\d+); this member speaks (\d+)$/;

/**
 * Resolves when links with all others of the view are up, both ways, and all has been heard that they have, but with
 * those who do not answer. @throws StartError, after `leave`, where one speaks another version of the protocol: it
 * would not hear of what is invalidated here, nor this member of what is there. ZooKeeper lets both in.
 */
export async function allLinked(
  self: string,
  { peers, current, correspondence, desk }: DataPlane,
  acceptor: Pick<PeerAcceptor, "hasLinkFrom">,
  changed: Waiters,
  leave: () => Promise<void> | undefined,
): Promise<void> {
  const deadline = performance.now() + linkedMsMax;
  const awaited = ({ name }: Member): boolean =>
    name !== self && (peers.isDialling(name) || (peers.isUp(name) && !acceptor.hasLinkFrom(name)));
  const hasHeard = (): boolean => desk.nowSeconds() <= correspondence.touch.heardUntil;
  const isWaiting = (): boolean => current.view.members.some(awaited) || !hasHeard();
  const foreign = (): string | null => current.view.members.map(({ name }) => foreignTo(name)).find(Boolean) ?? null;
  const foreignTo = (name: string): string | null => {
    const [, own, its] = otherVersion.exec(peers.unlinked(name) ?? "") ?? [];
    return its === undefined ? null : `${name} speaks version ${its} of the peer protocol, and this member ${own}`;
  };
  while (foreign() === null && performance.now() < deadline && isWaiting()) await changed.wait(linkedLookMs);
  const found = foreign();
  if (found === null) return;
  await leave();
  throw new StartError(`${found}: they cannot be one cluster. Stop all of its members before you start any anew`);
}
