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
  const stored = plane.store.selected(target.key, fields).find(({ part }) => part === null);
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
  const stored = plane.store.variants(target)[Number(fieldValue(fields, variantField) ?? 0)];
  if (stored === undefined || !isWorthGiving(plane, stored)) return exchange.abort();
  const { head } = stored;
  const about: About = {
    ageSeconds: plane.nowSeconds() - head.born,
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
      for (const offer of offers(list)) {
        const left = deadline - performance.now();
        if (left <= 0) return;
        const keys = [...new Set(offer.map(({ key }) => key))];
        const taken = await plane.peers.call(name, "take-over", { keys }, left).catch(() => null);
        // It may have died, or its link: who asks for these keys later asks the origin.
        if (taken === null) return;
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
  const wanted = keys.filter((key) => plane.store.variants(key).every(({ copyUntil }) => copyUntil !== null));
  let taken = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < wanted.length) {
      const key = wanted[next++]!;
      for (let variant = 0; variant < variantsMax; variant++) {
        if (!(await take(plane, from, key, variant))) break;
        taken++;
      }
    }
  };
  await Promise.all(Array.from({ length: takingMax }, worker));
  plane.recorder.counts.takenOver += taken;
  return taken;
}

/** Fetches one stored response. @returns false where there is none (any more). */
function take(plane: Plane, from: string, key: string, variant: number): Promise<boolean> {
  const arrival = { invalidated: false };
  plane.arriving.set(key, arrival);
  return new Promise<boolean>((resolve) => {
    const end = (taken: boolean): void => {
      if (plane.arriving.get(key) === arrival) plane.arriving.delete(key);
      resolve(taken);
    };
    let body: Body | null = null;
    let keep: ((content: Body) => void) | null = null;
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
          const stored = arrived(plane, key, status, fieldsOfBlock(fields.toString("latin1")), inner);
          if (stored === null) {
            stream?.cancel();
            return end(false);
          }
          keep = (content) => {
            if (!arrival.invalidated) plane.store.put(stored(content));
            end(true);
          };
          if (whole !== null) return keep(Body.of(Buffer.from(whole)));
          body = new Body("keeping", contentBytes);
          return undefined;
        },
        data: (chunk) => body?.append(chunk),
        end: () => {
          body!.finish();
          keep!(body!);
        },
        failed: () => end(false),
      },
    );
    if (stream === null) end(false);
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
  let about: About;
  try {
    about = JSON.parse(fieldValue(received, aboutField) ?? "") as About;
  } catch {
    return null; // A member that speaks another dialect: what it has is not worth guessing at.
  }
  if (typeof about?.ageSeconds !== "number" || typeof about.lifetime?.seconds !== "number") return null;
  const fields = withoutFields(received, new Set([aboutField]));
  const born = plane.nowSeconds() - about.ageSeconds;
  const { dateSeconds, lifetime, varyNames, variant, part, outdated } = about;
  const head = {
    status,
    fields,
    directives: responseDirectives(fields),
    born,
    dateSeconds,
    lifetime,
    varyNames,
    variant,
    requestSeconds: born,
    responseSeconds: born,
  };
  const { trustedEpoch } = plane.ownership;
  return (body) => {
    const stored = new StoredResponse({ key, hash: keyHash(key), head, body, inner, trustedEpoch, part });
    stored.outdated = outdated;
    return stored;
  };
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
