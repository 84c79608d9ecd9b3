/**
 * What has come in whole, put into the store: as the owner's, as a hot copy, or as a part that may grow together with
 * another.
 */
import { fieldValue } from "../../http/fields.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import { copySeconds } from "../../ring/hot-keys.ts";
import { owner } from "../../ring/ring.ts";
import type { Keepsake } from "../../store/port.ts";
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
  /** The store's position when it was asked for. */
  readonly position: number;
  readonly source: PeerSource | null;
}

/** The part of the room for hot copies that one of them may take. */
const copyShareMax = 1 / 4;

/** The largest content that may be kept of what comes from there. */
export function keepableBytes({ objectBytesMax, store }: FetchNeeds, source: PeerSource | null): number {
  return source?.kind === "copy" ? Math.min(objectBytesMax, store.copiesBytesMax * copyShareMax) : objectBytesMax;
}

/** What has come is stored, or it is counted why not. */
export function conclude(needs: FetchNeeds, ticket: Ticket, intake: Intake, brought: Brought): void {
  const { source, judgement } = brought;
  if (intake.storing) keep(needs, ticket, intake, brought);
  else notKept(ticket, source, judgement.reason ?? "no-room");
}

/** An origin's answer is not stored. */
export function notKept({ desk }: Ticket, source: PeerSource | null, why: string): void {
  if (source === null) desk.recorder.notStored(why);
}

/** Stores what has been taken in, unless it has been invalidated, or the key's place has changed, meanwhile. */
function keep(needs: FetchNeeds, ticket: Ticket, intake: Intake, brought: Brought): void {
  const { store, current, objectBytesMax } = needs;
  const { target, desk } = ticket;
  const { hash, judgement, inner, position, source } = brought;
  const { head, part, tags } = judgement;
  const copied = source?.kind === "copy";
  if (copied && owner(current.view.ring, hash).name !== source.member) return;
  if (copied) desk.recorder.copyMade();
  else if (source !== null) desk.recorder.peekFound();
  const kept: Keepsake = {
    key: target.key,
    hash,
    head,
    inner,
    tags,
    position,
    copyUntil: copied ? desk.nowSeconds() + copySeconds : null,
    part,
    outdated: false,
    lasting: target.caching.disk,
  };
  if (target.coding !== null && source === null && isReplaced(store, target.key, ticket)) return;
  const larger = part === null ? null : grown(needs, ticket, intake, kept, objectBytesMax);
  if (larger === null) {
    if (intake.commit(kept) && source === null) desk.recorder.stored();
    if (target.route !== null && target.route.compression !== null && target.coding === null && part === null)
      discardCoded(store, target.key);
    return;
  }
  intake.abandon();
  const writer = store.begin(larger.content.length);
  if (writer === null) return;
  writer.body.append(larger.content);
  writer.body.finish();
  const changed = { head: larger.head, part: larger.part, inner: larger.inner, tags: larger.tags };
  if (writer.commit({ ...kept, ...changed }) && source === null) desk.recorder.stored();
  writer.over();
}

/**
 * What has been compressed here was made of what has been replaced just now. What is not in memory may be that: it goes
 * too.
 */
function discardCoded(store: FetchNeeds["store"], key: string): void {
  store.discardAbsent(key);
  for (const stored of store.variants(key).slice()) if (isCodedHere(stored.head)) store.discard(stored);
}

/** Whether this member has coded it: it was asked for with just this coding. */
function isCodedHere({ fields, variant }: StoredHead): boolean {
  const coding = fieldValue(fields, "content-encoding");
  return coding !== undefined && variant.includes(`accept-encoding:${coding}\n`);
}

/** Whether what a coded response was made of is stored no more, and something else is. */
function isReplaced(store: FetchNeeds["store"], key: string, { codedFrom }: Ticket): boolean {
  const plain = store.variants(key).filter(({ head }) => !isCodedHere(head));
  const made = codedFrom?.shown ?? null;
  return plain.length > 0 && (made === null || !plain.some(({ head }) => isSame(head, made)));
}

function isSame(one: StoredHead, other: StoredHead): boolean {
  return one.requestSeconds === other.requestSeconds && one.responseSeconds === other.responseSeconds;
}

/** The part joined on to one that is stored already, or null where there is none to join. */
function grown({ store }: FetchNeeds, { target, selecting }: Ticket, intake: Intake, kept: Keepsake, bytesMax: number) {
  const earlier = store.find(target.key, selecting, ({ part }) => part !== null);
  if (earlier === null) return null;
  const { stored } = earlier;
  const joined = combined({ head: kept.head, body: intake.body, part: kept.part }, stored, bytesMax);
  earlier.release();
  if (joined === null) return null;
  const tags = [...new Set([...kept.tags, ...stored.tags])];
  return { ...joined, inner: kept.inner || stored.inner, tags };
}
