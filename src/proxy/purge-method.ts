/**
 * The PURGE method on the client port, as people have used it with other caches: the request's own URI, or the tags
 * that its fields name, for those whom `purge-allow` names.
 *
 *   PURGE /page              everything under the URI
 *   Soft-Purge: 1            its lifetime ends, it is not dropped (also Fastly-Soft-Purge)
 *   Cache-Tag: a, b          tags instead of the URI, in the whole cache (also Cache-Tags, Surrogate-Key, xkey,
 *                            xkey-purge, and Cache-Groups)
 */
import { fieldValue, hasField, type FieldList } from "../http/fields.ts";
import { tagsIn } from "../http/tags.ts";
import { tagSelector, uriSelector, type Selector } from "../invalidation/selector.ts";
import { AnswerHead } from "../wire/answer-head.ts";
import type { Exchange } from "../wire/exchange.ts";
import { endedEarly, leftEarly } from "./answer/early.ts";
import { refuseEarly } from "./answer/refuse.ts";
import type { Purges } from "./invalidation/purges.ts";
import type { Desk } from "./request/desk.ts";
import { background } from "../base/background.ts";

export interface PurgeMethodNeeds {
  readonly desk: Desk;
  readonly purges: Pick<Purges, "order">;
  readonly failed: (error: Error) => void;
}

const tagNames = ["cache-tag", "cache-tags", "surrogate-key", "xkey", "xkey-purge", "cache-groups"] as const;

/** Purges what the request names, and answers when it has been heard of: 200 by all, 202 where somebody is pending. */
export function purgeByMethod({ desk, purges, failed }: PurgeMethodNeeds, exchange: Exchange, uri: string): void {
  const { fields } = exchange.head;
  const startedMs = performance.now();
  const selectors = selectorsOf(fields, uri);
  if ("wrong" in selectors) return refuseEarly(desk, exchange, { status: 400, reason: selectors.wrong });
  const softly = fieldValue(fields, "soft-purge") ?? fieldValue(fields, "fastly-soft-purge") ?? "0";
  if (softly !== "0" && softly !== "1")
    return refuseEarly(desk, exchange, { status: 400, reason: `Soft-Purge: ${softly}: write 1, or leave it out` });
  const soft = softly === "1";
  const order = {
    id: null,
    selectors,
    mode: soft ? "outdate" : "drop",
    by: `PURGE from ${exchange.client.address}`,
  } as const;
  const hold = exchange.hold({ left: () => leftEarly(desk, exchange, { uri, startedMs }) });
  background(
    purges.order(order).then((report) => {
      hold.release();
      if (exchange.closed) return;
      if ("refused" in report) {
        const { refused, reason } = report;
        const isLater = refused === "rate" || refused === "joining";
        const status = refused === "rate" ? 429 : refused === "joining" ? 503 : 400;
        const fields = isLater ? ["retry-after", "1"] : [];
        return refuseEarly(desk, exchange, { status, reason, fields });
      }
      const content = Buffer.from(`${JSON.stringify(report)}\n`);
      const status = report.complete ? 200 : 202;
      const answered = ["content-type", "application/json; charset=utf-8", "cache-control", "no-store"];
      exchange.answer(AnswerHead.of(status, answered, content.length), desk.viaLine, content);
      endedEarly(desk, exchange, { status, reason: "purge", uri, startedMs });
    }),
    failed,
  );
}

function selectorsOf(fields: FieldList, uri: string): readonly Selector[] | { readonly wrong: string } {
  const named = tagNames.filter((name) => hasField(fields, name));
  const tags = named
    .flatMap((name) => tagsIn(name === "xkey-purge" ? "xkey" : name, fields))
    .filter((tag) => tag !== "");
  if (named.length > 0 && tags.length === 0) return { wrong: `${named.join(", ")}: no tag is named` };
  const selectors: Selector[] = [];
  for (const selector of tags.length > 0 ? tags.map((tag) => tagSelector(tag, null)) : [uriSelector(uri)]) {
    if ("wrong" in selector) return selector;
    selectors.push(selector);
  }
  return selectors;
}
