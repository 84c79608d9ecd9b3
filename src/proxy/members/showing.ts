/**
 * What this member shows to others of what it has stored, without fetching anything: to a new owner that peeks before
 * it asks the origin, and to one that takes over from a member that leaves.
 */
import { requestDirectives } from "../../http/directives.ts";
import { fieldValue } from "../../http/fields.ts";
import { currentAge } from "../../http/freshness.ts";
import { reuse } from "../../http/reuse.ts";
import { hasValidator } from "../../http/validators.ts";
import type { Lease, Store, StoredResponse } from "../../store/port.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { mayBeShown } from "../answer/inside.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import type { Desk } from "../request/desk.ts";
import type { Routing } from "../request/routes.ts";
import { targetOf, type Target } from "../request/target.ts";
import { tagsLine } from "../request/tags-line.ts";
import { selectingOf } from "../request/selecting.ts";
import { aboutField, aboutText, variantField } from "./about.ts";

export interface ShowingNeeds {
  readonly desk: Desk;
  readonly current: { readonly routing: Routing };
  readonly store: Store;
  readonly invalidations: Pick<Invalidations, "isInTouch">;
}

/** Who peeks, and with what settings. */
export interface Peeking {
  readonly forward: boolean;
  readonly settings: number;
}

/** Answers a new owner's peek from what is stored here, or breaks it off where that would not do. */
export function peekHere(needs: ShowingNeeds, exchange: Exchange, { forward, settings }: Peeking): void {
  const { current, store } = needs;
  const target = targetOf(exchange, current.routing, forward);
  if ("refused" in target || (settings !== 0 && target.settings !== settings)) return exchange.abort();
  const then = (): void => (exchange.closed ? undefined : showTarget(needs, exchange, target));
  if (!store.recall(target.key, then)) then();
}

/** The same, when what is stored has been brought back from where it was. */
function showTarget(needs: ShowingNeeds, exchange: Exchange, target: Target): void {
  const { desk, current, store, invalidations } = needs;
  const now = desk.nowSeconds();
  if (!invalidations.isInTouch(now)) return exchange.abort();
  const { fields } = exchange.head;
  const trusted = current.routing.trusts(exchange.client.address);
  const selecting = selectingOf({ desk, exchange, target, content: null, trusted, requestId: null, trace: null });
  const policy = { honourReload: target.caching.honourReload, graceSeconds: 0 };
  const lease = store.find(
    target.key,
    selecting,
    (stored) =>
      stored.part === null &&
      stored.copyUntil === null &&
      !stored.outdated &&
      mayBeShown(stored.inner, exchange) &&
      reuse(stored.head, requestDirectives(fields), now, policy).kind === "hit",
  );
  if (lease === null) return exchange.abort();
  desk.recorder.peekAnswered();
  const { stored } = lease;
  const lines = `${tagsLine(target.caching, stored.tags)}age: ${Math.max(0, Math.floor(currentAge(stored.head, now)))}\r\n`;
  return show(exchange, lease, stored.answerHead, lines);
}

/** Gives another member a stored response by its key, whole and as it is. */
export function give(needs: Omit<ShowingNeeds, "current">, exchange: Exchange): void {
  const { store, desk } = needs;
  const { target, fields } = exchange.head;
  const worth = store.variants(target).filter((one) => isWorthGiving(needs, one) && mayBeShown(one.inner, exchange));
  const stored = worth[Number(fieldValue(fields, variantField) ?? 0)];
  if (stored === undefined) return exchange.abort();
  const { head, body } = stored;
  const about = aboutText(stored, desk.nowSeconds());
  return show(
    exchange,
    store.lease(stored),
    AnswerHead.of(head.status, [...head.fields, aboutField, about], body.bytes),
    "",
  );
}

/** Fresh, or of use to a validation; and certain to have heard of every invalidation. */
export function isWorthGiving(
  { desk, invalidations }: Pick<ShowingNeeds, "desk" | "invalidations">,
  stored: StoredResponse,
): boolean {
  const now = desk.nowSeconds();
  if (stored.copyUntil !== null || !invalidations.isInTouch(now)) return false;
  return now < stored.freshUntil || hasValidator(stored.head.fields);
}

function show(exchange: Exchange, lease: Lease, head: AnswerHead, lines: string): void {
  const { body, inner } = lease.stored;
  exchange.inner = inner;
  if (body.isAtHand) {
    const [segment = null] = body.segments;
    exchange.answer(head, lines, segment, segment === null ? undefined : body.lend());
    return lease.release();
  }
  exchange.begin(head, lines);
  return body.read(exchange, 0, null, () => lease.release());
}
