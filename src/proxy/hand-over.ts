/**
 * Stored responses that change hands with their keys, so that a change of members costs the origin nothing.
 *
 * - A new owner *peeks* at the previous one before it asks the origin (`peekHere` answers).
 * - A member that leaves *hands over* all it has to the new owners, what is used most first: it offers keys (`handOver`), they take
 *   what they have not (`takeOver`), by key and with everything that was known of it (`give`).
 */
import { requestDirectives, responseDirectives } from "../http/directives.ts";
import { fieldBlock, fieldsOfBlock, fieldValue, withoutFields } from "../http/fields.ts";
import { currentAge, type FreshnessLifetime } from "../http/freshness.ts";
import { reuse } from "../http/reuse.ts";
import { hasValidator } from "../http/validators.ts";
import { keyHash, owner, ringOf } from "../ring/ring.ts";
import { Body } from "../store/body.ts";
import { variantsMax } from "../store/memory-store.ts";
import { StoredResponse } from "../store/stored-response.ts";
import { preparedHead, type Exchange } from "../wire/exchange.ts";
import { Reservation } from "../store/reservation.ts";
import { inSteps } from "./invalidate.ts";
import type { Plane } from "./plane.ts";
import { targetOf } from "./target.ts";

/** Keys, and bytes of content, offered at a time: what was not taken when the limit passes is lost, so steps are small. */
const offerKeysMax = 100;
const offerBytesMax = 8 * 1024 * 1024;
/** Stored responses that a new owner fetches at once. */
const takingMax = 8;
const aboutField = "gyre-stored";
const variantField = "gyre-variant";

/** What a hand-over did. */
export interface HandedOver {
  readonly responses: number;
  readonly bytes: number;
  /** What nobody took before the limit had passed. */
  readonly left: number;
}

/** What goes with a stored response beside its fields; times as ages, since clocks differ. */
interface About {
  readonly ageSeconds: number;
  /** Since its origin was asked for it: an invalidation after that makes it useless. */
  readonly askedSeconds: number;
  readonly dateSeconds: number;
  readonly lifetime: FreshnessLifetime;
  readonly varyNames: readonly string[];
  readonly variant: string;
  readonly part: StoredResponse["part"];
  readonly outdated: boolean;
}

/** Answers a new owner's peek from what is stored here, or breaks it off where that would not do. */
export function peekHere(plane: Plane, exchange: Exchange, forward: boolean): void {
  const target = targetOf(exchange, plane.routing, forward);
  if ("refused" in target) return exchange.abort();
  const now = plane.nowSeconds();
  const { fields } = exchange.head;
  const stored = plane.store
    .selected(target.key, fields)
    .find(({ part, copyUntil }) => part === null && copyUntil === null);
  const policy = { honourReload: target.caching.honourReload, graceSeconds: 0 };
  const usable =
    stored !== undefined &&
    stored.body.complete &&
    !stored.outdated &&
    plane.ownership.trusts(stored) &&
    reuse(stored.head, requestDirectives(fields), now, policy).kind === "hit" &&
    (!stored.inner || exchange.client.local || target.route !== null);
  if (!usable) return exchange.abort();
  plane.recorder.counts.peeksAnswered++;
  exchange.inner = stored.inner;
  const lines = `age: ${Math.max(0, Math.floor(currentAge(stored.head, now)))}\r\n`;
  send(exchange, stored, stored.prepared, lines);
}

/** Gives another member a stored response by its key, whole and as it is. */
export function give(plane: Plane, exchange: Exchange): void {
  const { target, fields } = exchange.head;
  const worth = plane.store.variants(target).filter((one) => isWorthGiving(plane, one));
  const stored = worth[Number(fieldValue(fields, variantField) ?? 0)];
  if (stored === undefined) return exchange.abort();
  const { head } = stored;
  const now = plane.nowSeconds();
  const about: About = {
    ageSeconds: now - head.born,
    askedSeconds: now - head.requestSeconds,
    dateSeconds: head.dateSeconds,
    lifetime: head.lifetime,
    varyNames: head.varyNames,
    variant: head.variant,
    part: stored.part,
    outdated: stored.outdated,
  };
  exchange.inner = stored.inner;
  const block = fieldBlock([...head.fields, aboutField, JSON.stringify(about)]);
  send(exchange, stored, preparedHead(head.status, block, stored.body.bytes), "");
}

/** Offers all that is stored here to those who own it once this member is gone, until they have it or `limitMs` has passed. */
export async function handOver(plane: Plane, limitMs: number): Promise<HandedOver> {
  const others = plane.view.members.filter(
    ({ name, state }) => name !== plane.self && state === "active" && plane.peers.isUp(name),
  );
  if (others.length === 0) return { responses: 0, bytes: 0, left: 0 };
  const ring = ringOf(others);
  const deadline = performance.now() + limitMs;
  const stored = [...plane.store.all()].filter((one) => isWorthGiving(plane, one)).sort((a, b) => b.hits - a.hits);
  const byOwner = new Map<string, StoredResponse[]>();
  for (const one of stored) {
    const { name } = owner(ring, one.hash);
    const list = byOwner.get(name);
    if (list === undefined) byOwner.set(name, [one]);
    else list.push(one);
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
        for (const some of inSteps([...keys])) {
          const taken = await plane.peers.call(name, "take-over", { keys: some }, left).catch(() => null);
          // It may have died, or its link: who asks for these keys later asks the origin.
          if (taken === null) return;
        }
        done.responses += offer.length;
        done.bytes += offer.reduce((sum, { body }) => sum + body.bytes, 0);
      }
    }),
  );
  plane.recorder.counts.handedOver += done.responses;
  return { ...done, left: stored.length - done.responses };
}

/** Takes what a member that leaves has under these keys and this one has not. @returns how many stored responses. */
export async function takeOver(plane: Plane, from: string, keys: readonly string[]): Promise<number> {
  let taken = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < keys.length) {
      const key = keys[next++]!;
      const variants: StoredResponse[] = [];
      while (variants.length < variantsMax) {
        const variant = await take(plane, from, key, variants.length);
        if (variant === null) break;
        variants.push(variant);
      }
      // They come newest first, and the store prefers what came last.
      for (const variant of variants.reverse()) if (isNews(plane, variant) && plane.store.put(variant)) taken++;
    }
  };
  await Promise.all(Array.from({ length: takingMax }, worker));
  plane.recorder.counts.takenOver += taken;
  return taken;
}

/** Neither older than an invalidation nor than what has been stored here meanwhile. */
function isNews({ store, dropped }: Plane, { key, groups, head }: StoredResponse): boolean {
  if (dropped.suspects([key, ...groups], head.requestSeconds)) return false;
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
function take(plane: Plane, from: string, key: string, variant: number): Promise<StoredResponse | null> {
  const room = new Reservation(plane.store);
  return new Promise((resolve) => {
    let over = false;
    let make: ((content: Body) => StoredResponse) | null = null;
    let body: Body | null = null;
    const end = (content: Body | null): void => {
      if (over) return;
      over = true;
      room.release();
      resolve(content === null || make === null ? null : make(content));
    };
    const stream = plane.peers.request(
      from,
      {
        asking: "by-key",
        hops: 1,
        epoch: plane.view.epoch,
        method: "GET",
        uri: key,
        client: "",
        local: true,
        secure: false,
        plain: false,
        forward: false,
        fields: [variantField, String(variant)],
        content: null,
      },
      {
        interim: () => {},
        head: ({ status, fields, contentBytes, inner }, whole) => {
          make = arrived(plane, key, status, fieldsOfBlock(fields.toString("latin1")), inner);
          if (whole !== null) return end(make === null ? null : Body.of(Buffer.from(whole)));
          if (make === null || contentBytes === null || !room.take(contentBytes)) {
            stream?.cancel();
            return end(null);
          }
          body = new Body("keeping", contentBytes);
          return undefined;
        },
        data: (chunk) => body?.append(chunk),
        end: () => {
          body?.finish();
          end(body);
        },
        failed: () => end(null),
      },
    );
    if (stream === null) end(null);
  });
}

/** A stored response in the making: its content is still to come. Null where its head cannot be read. */
function arrived(
  plane: Plane,
  key: string,
  status: number,
  received: readonly string[],
  inner: boolean,
): ((body: Body) => StoredResponse) | null {
  const about = aboutOf(fieldValue(received, aboutField) ?? "");
  if (about === null) return null;
  const fields = withoutFields(received, new Set([aboutField]));
  const now = plane.nowSeconds();
  const { dateSeconds, lifetime, varyNames, variant, part, outdated } = about;
  const head = {
    status,
    fields,
    directives: responseDirectives(fields),
    born: now - about.ageSeconds,
    dateSeconds,
    lifetime,
    varyNames,
    variant,
    requestSeconds: now - about.askedSeconds,
    responseSeconds: now - about.askedSeconds,
  };
  const { trustedEpoch } = plane.ownership;
  return (body) => {
    const stored = new StoredResponse({ key, hash: keyHash(key), head, body, inner, trustedEpoch, part });
    stored.outdated = outdated;
    return stored;
  };
}

/** What came with a stored response, or null from a member that speaks another dialect. */
function aboutOf(text: string): About | null {
  let about: Partial<About> | null;
  try {
    about = JSON.parse(text) as Partial<About> | null;
  } catch {
    return null; // The only way JSON.parse has to say "not JSON".
  }
  const { ageSeconds, askedSeconds, dateSeconds, lifetime, varyNames, variant, part } = about ?? {};
  const numbers = [ageSeconds, askedSeconds, dateSeconds, lifetime?.seconds];
  const range = part === null ? [] : [part?.first, part?.last, part?.total];
  return [...numbers, ...range].every((value) => typeof value === "number") &&
    Array.isArray(varyNames) &&
    varyNames.every((name) => typeof name === "string") &&
    typeof variant === "string"
    ? (about as About)
    : null;
}

/** In steps that an owner can take in a moment. */
function* offers(list: readonly StoredResponse[]): Generator<StoredResponse[]> {
  let offer: StoredResponse[] = [];
  let bytes = 0;
  for (const one of list) {
    if (offer.length > 0 && (offer.length === offerKeysMax || bytes + one.body.bytes > offerBytesMax)) {
      yield offer;
      offer = [];
      bytes = 0;
    }
    offer.push(one);
    bytes += one.body.bytes + one.key.length;
  }
  if (offer.length > 0) yield offer;
}

/** Fresh, or of use to a validation; and certain to have heard of every invalidation. */
function isWorthGiving(plane: Plane, stored: StoredResponse): boolean {
  if (stored.copyUntil !== null || !stored.body.complete || !plane.ownership.trusts(stored)) return false;
  return plane.nowSeconds() < stored.freshUntil || hasValidator(stored.head.fields);
}

function send(
  exchange: Exchange,
  { body }: StoredResponse,
  head: ReturnType<typeof preparedHead>,
  lines: string,
): void {
  if (body.segments.length <= 1) return exchange.answerPrepared(head, lines, body.segments[0] ?? null);
  exchange.beginPrepared(head, lines);
  const reader = body.read(exchange, 0, null, () => {
    exchange.onClose = null;
  });
  if (!exchange.closed) exchange.onClose = () => reader.leave();
  return undefined;
}
