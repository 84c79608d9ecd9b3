/**
 * What has come in whole, put into the store: as the owner's, as a hot copy, or as a part that may grow together with
 * another.
 */
import { groupsOf } from "../../http/groups.ts";
import { originText } from "../../http/uri.ts";
import { copySeconds } from "../../ring/hot-keys.ts";
import { owner } from "../../ring/ring.ts";
import { groupKey, type Keepsake } from "../../store/port.ts";
import { combined } from "../answer/parts.ts";
import type { Ticket } from "../request/ticket.ts";
import type { Intake } from "./intake.ts";
import type { Judgement } from "./judging.ts";
import type { FetchNeeds } from "./needs.ts";
import type { PeerSource } from "./peer-source.ts";

/** What is known of it beside its content. */
export interface Brought {
  readonly hash: number;
  readonly judgement: Judgement;
  readonly inner: boolean;
  readonly trustedEpoch: number;
  readonly source: PeerSource | null;
}

/** The part of the room for hot copies that one of them may take. */
const copyShareMax = 1 / 4;

/** The largest content that may be kept of what comes from there. */
export function keepableBytes({ objectBytesMax, store }: FetchNeeds, source: PeerSource | null): number {
  return source?.kind === "copy" ? Math.min(objectBytesMax, store.copiesBytesMax * copyShareMax) : objectBytesMax;
}

/** Stores what has been taken in, unless its groups, or the key's place, have changed meanwhile. */
export function keep(needs: FetchNeeds, ticket: Ticket, intake: Intake, brought: Brought): void {
  const { store, dropped, current, objectBytesMax } = needs;
  const { target, desk } = ticket;
  const { hash, judgement, inner, trustedEpoch, source } = brought;
  const { head, part } = judgement;
  // Its group may have been invalidated since the origin was asked.
  const groups = groupsOf(head.fields).map((group) => groupKey(originText(target.uri), group));
  if (groups.length > 0 && dropped.since(groups, head.requestSeconds)) return;
  const copied = source?.kind === "copy";
  if (copied && owner(current.view.ring, hash).name !== source.member) return;
  if (copied) desk.recorder.copyMade();
  else if (source !== null) desk.recorder.peekFound();
  const kept: Keepsake = {
    key: target.key,
    hash,
    head,
    inner,
    trustedEpoch,
    copyUntil: copied ? desk.nowSeconds() + copySeconds : null,
    part,
    outdated: false,
  };
  const larger = part === null ? null : grown(needs, ticket, intake, kept, objectBytesMax);
  if (larger === null) {
    intake.commit(kept);
    return;
  }
  intake.abandon();
  const writer = store.begin(larger.content.length);
  if (writer === null) return;
  writer.body.append(larger.content);
  writer.body.finish();
  writer.commit({ ...kept, head: larger.head, part: larger.part, inner: larger.inner });
  writer.over();
}

/** The part joined on to one that is stored already, or null where there is none to join. */
function grown({ store }: FetchNeeds, { target, selecting }: Ticket, intake: Intake, kept: Keepsake, bytesMax: number) {
  const earlier = store.find(target.key, selecting, ({ part }) => part !== null);
  if (earlier === null) return null;
  const { stored } = earlier;
  const joined = combined({ head: kept.head, body: intake.body, part: kept.part }, stored, bytesMax);
  earlier.release();
  return joined === null ? null : { ...joined, inner: kept.inner || stored.inner };
}
