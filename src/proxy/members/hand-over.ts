/**
 * Stored responses that change hands with their keys, so that a change of members costs the origin nothing.
 *
 * - A new owner *peeks* at the previous one before it asks the origin (showing.ts answers).
 * - A member that leaves *hands over* all it has to the new owners, what is used most first: it offers keys
 *   (`handOver`), they take what they have not (`takeOver`), by key and with everything that was known of
 *   it (about.ts).
 */
import { inSteps } from "../../base/steps.ts";
import { fieldsOfBlock, fieldValue, withoutFields } from "../../http/fields.ts";
import type { Peers } from "../../peer/peers.ts";
import { keyHash, owner, ringOf } from "../../ring/ring.ts";
import type { View } from "../../ring/view.ts";
import { variantsMax, type Keepsake, type Store, type Writer } from "../../store/port.ts";
import { shareAPlace } from "../fetch/peer-request.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import type { Desk } from "../request/desk.ts";
import { aboutField, aboutOf, headOf, variantField } from "./about.ts";
import { isWorthGiving } from "./showing.ts";

export interface HandOverNeeds {
  readonly desk: Desk;
  readonly current: { readonly view: View };
  readonly store: Store;
  readonly peers: Pick<Peers, "call" | "request" | "isUp">;
  readonly invalidations: Pick<Invalidations, "isInTouch" | "reachText">;
}

/**
 * Keys, and bytes of content, offered at a time: what was not taken when the limit passes is lost, so steps are small.
 */
const offerKeysMax = 100;
const offerBytesMax = 8 * 1024 * 1024;
/** Of keys in one call: JSON can make six bytes of a character. */
const stepCharactersMax = 64 * 1024;
/** Stored responses that a new owner fetches at once. */
const takingMax = 8;

/** What a hand-over did. */
export interface HandedOver {
  readonly responses: number;
  readonly bytes: number;
  /** What nobody took before the limit had passed. */
  readonly left: number;
}

/** What is offered: no stored response is held meanwhile. */
interface Offered {
  readonly key: string;
  readonly hash: number;
  readonly bytes: number;
  readonly hits: number;
}

/** More than this is not offered: it could not be handed over in any time that a member has. */
const offeredMax = 200_000;

/**
 * Offers all that is stored here to those who own it once this member is gone, until they have it or `limitMs` has
 * passed.
 */
export async function handOver(needs: HandOverNeeds, limitMs: number): Promise<HandedOver> {
  const { desk, current, peers, store } = needs;
  const others = current.view.members.filter(
    ({ name, state }) => name !== desk.self && state === "active" && peers.isUp(name),
  );
  if (others.length === 0) return { responses: 0, bytes: 0, left: 0 };
  const ring = ringOf(others);
  const deadline = performance.now() + limitMs;
  const { worth, total } = worthGiving(needs, store);
  const byOwner = new Map<string, Offered[]>();
  for (const offered of worth) {
    const { name } = owner(ring, offered.hash);
    const list = byOwner.get(name);
    if (list === undefined) byOwner.set(name, [offered]);
    else list.push(offered);
  }
  const done = { responses: 0, bytes: 0 };
  await Promise.all(
    [...byOwner].map(async ([name, list]) => {
      const offered = new Set<string>();
      for (const offer of offers(list)) {
        const left = deadline - performance.now();
        if (left <= 0) return;
        // A key is offered once: its variants go together.
        const keys = new Set(offer.map(({ key }) => key).filter((key) => !offered.has(key)));
        for (const key of keys) offered.add(key);
        for (const some of inSteps(keys, ({ length }) => length, stepCharactersMax)) {
          const taken = await peers.call(name, "take-over", { keys: some }, left).catch(() => null);
          // It may have died, or its link: who asks for these keys later asks the origin.
          if (taken === null) return;
        }
        done.responses += offer.length;
        done.bytes += offer.reduce((sum, { bytes }) => sum + bytes, 0);
      }
    }),
  );
  desk.recorder.handedOver(done.responses);
  return { ...done, left: total - done.responses };
}

/** What the others may want, what is used most first, and how much there is of it in all. */
function worthGiving(
  needs: HandOverNeeds,
  store: Store,
): { readonly worth: readonly Offered[]; readonly total: number } {
  let worth: Offered[] = [];
  let total = 0;
  const usedMost = (): Offered[] => worth.sort((a, b) => b.hits - a.hits).slice(0, offeredMax);
  for (const stored of store.all()) {
    if (!isWorthGiving(needs, stored)) continue;
    total++;
    const { key, hash, bytes, hits } = stored;
    worth.push({ key, hash, bytes, hits });
    if (worth.length === offeredMax * 2) worth = usedMost();
  }
  return { worth: usedMost(), total };
}

/** A stored response on its way from another member: its content has come, and lies in room of its own. */
interface Arrived {
  readonly kept: Keepsake;
  readonly writer: Writer;
}

/** Takes what a member that leaves has under these keys and this one has not. @returns how many stored responses. */
export async function takeOver(needs: HandOverNeeds, from: string, keys: readonly string[]): Promise<number> {
  let taken = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < keys.length) {
      const key = keys[next++]!;
      const variants: Arrived[] = [];
      while (variants.length < variantsMax) {
        const variant = await take(needs, from, key, variants.length);
        if (variant === null) break;
        variants.push(variant);
      }
      // They come newest first, and the store prefers what came last.
      for (const { kept, writer } of variants.reverse()) {
        if (isNews(needs, kept) && writer.commit(kept)) taken++;
        writer.abandon();
        writer.over();
      }
    }
  };
  await Promise.all(Array.from({ length: takingMax }, worker));
  needs.desk.recorder.takenOver(taken);
  return taken;
}

/**
 * Not older than what has been stored here meanwhile. (The store sees to it that it is not older than an invalidation.)
 */
function isNews({ store }: HandOverNeeds, { key, head }: Keepsake): boolean {
  return store
    .variants(key)
    .every(
      (other) =>
        other.copyUntil !== null ||
        other.outdated ||
        other.head.variant !== head.variant ||
        other.head.requestSeconds < head.requestSeconds,
    );
}

/** Fetches one stored response, or null where there is none (any more), or no room. */
function take(needs: HandOverNeeds, from: string, key: string, variant: number): Promise<Arrived | null> {
  const { peers, current, store, desk, invalidations } = needs;
  const { position } = store;
  return new Promise((resolve) => {
    let over = false;
    let kept: Keepsake | null = null;
    let writer: Writer | null = null;
    const end = (complete: boolean): void => {
      if (over) return;
      over = true;
      if (complete && kept !== null && writer !== null) return resolve({ kept, writer });
      writer?.abandon();
      writer?.over();
      return resolve(null);
    };
    const stream = peers.request(
      from,
      {
        asking: "by-key",
        hops: 1,
        epoch: current.view.epoch,
        method: "GET",
        uri: key,
        client: "",
        // What lies inside at its place is of no use at another.
        local: shareAPlace(current.view, desk.self, from),
        secure: false,
        plain: false,
        forward: false,
        settings: 0,
        heard: invalidations.reachText(),
        keeps: true,
        fields: [variantField, String(variant)],
        content: null,
      },
      {
        interim: () => {},
        head: ({ status, fields, contentBytes, inner }, whole) => {
          kept = arrived(needs, { key, position, inner }, status, fieldsOfBlock(fields.toString("latin1")));
          const bytes = whole?.length ?? contentBytes;
          writer = kept === null || bytes === null ? null : store.begin(bytes);
          if (writer === null) {
            stream?.cancel();
            return end(false);
          }
          if (whole === null) return undefined;
          if (whole.length > 0) writer.body.append(whole);
          writer.body.finish();
          return end(true);
        },
        data: (chunk) => writer?.body.append(chunk),
        end: () => {
          writer?.body.finish();
          end(true);
        },
        failed: () => end(false),
      },
    );
    if (stream === null) end(false);
  });
}

/** What is known of a stored response that arrives, or null where its head cannot be read. */
function arrived(
  { desk }: HandOverNeeds,
  known: Pick<Keepsake, "key" | "position" | "inner">,
  status: number,
  received: readonly string[],
): Keepsake | null {
  const about = aboutOf(fieldValue(received, aboutField) ?? "");
  if (about === null) return null;
  const fields = withoutFields(received, new Set([aboutField]));
  return {
    ...known,
    hash: keyHash(known.key),
    head: headOf(about, status, fields, desk.nowSeconds()),
    tags: about.tags,
    copyUntil: null,
    lasting: about.lasting,
    part: about.part,
    outdated: about.outdated,
  };
}

/** In steps that an owner can take in a moment. */
function* offers(list: readonly Offered[]): Generator<Offered[]> {
  let offer: Offered[] = [];
  let bytes = 0;
  for (const one of list) {
    if (offer.length > 0 && (offer.length === offerKeysMax || bytes + one.bytes > offerBytesMax)) {
      yield offer;
      offer = [];
      bytes = 0;
    }
    offer.push(one);
    bytes += one.bytes + one.key.length;
  }
  if (offer.length > 0) yield offer;
}
