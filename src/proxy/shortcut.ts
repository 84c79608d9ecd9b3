/**
 * The shortcut of a hit: a plain GET for one fresh stored response is answered before anything of it is parsed further.
 * It decides nothing: the whole way has answered the same form of request for the same key before, under the same
 * settings, and has left word of it with what is stored (`memo`). What is anything but plain, fresh and ours takes the
 * whole way.
 */
import { cacheStatus } from "../http/cache-status.ts";
import { currentAge } from "../http/freshness.ts";
import type { View } from "../ring/view.ts";
import type { Store, StoredResponse } from "../store/port.ts";
import type { Exchange } from "../wire/exchange.ts";
import { mayBeShown } from "./answer/inside.ts";
import type { Desk } from "./request/desk.ts";
import type { Routing } from "./request/routes.ts";

export interface ShortcutNeeds {
  readonly desk: Desk;
  readonly current: { readonly view: View; readonly routing: Routing; readonly joined: boolean };
  readonly store: Store;
}

/** Forms of request that lead to the same key by different rules: each has to be found to be one by itself. */
const forms = { origin: 1, absolute: 2, routed: 4, proxied: 8 } as const;

/** The form of a request; `forward` is known of one from another member. */
export function shortcutForm({ head, hop }: Exchange, forward: boolean | null): number {
  if (hop === 1) return forward === true ? forms.proxied : forms.routed;
  return head.form === "absolute" ? forms.absolute : forms.origin;
}

/** The key that a request leads to where nothing of it has to be changed. */
export function shortcutKey({ head, client }: Exchange): string {
  return head.form === "absolute" ? head.target : `${client.scheme}://${head.host}${head.target}`;
}

/** Answers, or returns false. */
export function serveShortcut(needs: ShortcutNeeds, exchange: Exchange, form: number, settings = 0): boolean {
  const { desk, current, store } = needs;
  const stored = store.single(shortcutKey(exchange));
  if (stored === undefined || stored.outdated || !current.joined) return false;
  const { memo, body } = stored;
  if (memo.settings !== current.routing || (memo.forms & form) === 0) return false;
  if (settings !== 0 && settings !== memo.way) return false;
  const now = desk.nowSeconds();
  if (now >= stored.freshUntil || stored.trustedEpoch !== current.view.epoch) return false;
  if (stored.part !== null || stored.head.varyNames.length > 0 || !mayBeShown(stored.inner, exchange)) return false;
  if (body.segments.length > 1 || desk.recorder.logsNext) return false;
  exchange.inner = stored.inner;
  exchange.answer(stored.answerHead, hitLines(desk, stored, now), body.segments[0] ?? null);
  store.used(stored);
  if (stored.copyUntil !== null) desk.recorder.copyUsed();
  desk.recorder.hit(body.bytes);
  return true;
}

/** Age and Cache-Status change once a second; so long the lines are kept. */
function hitLines({ self, viaLine }: Desk, { head, copyUntil, memo }: StoredResponse, now: number): string {
  const age = Math.floor(currentAge(head, now));
  if (memo.ageSeconds === age) return memo.lines;
  memo.ageSeconds = age;
  const ttlSeconds = head.lifetime.seconds - age;
  const detail = copyUntil === null ? undefined : "hot-copy";
  memo.lines = `age: ${age}\r\ncache-status: ${cacheStatus(self, { hit: true, ttlSeconds, detail })}\r\n${viaLine}`;
  return memo.lines;
}
