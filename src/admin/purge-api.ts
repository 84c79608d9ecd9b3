/**
 * Purges over the admin port.
 *
 *   POST /api/purge       { "selectors": [{ "uri": … }, { "prefix": … }, { "host": … }, { "tag": …, "origin": … },
 *                           { "everything": true }], "soft": true, "id": …, "by": …, "dryRun": true }
 *   GET  /api/purge/ID    what has become of it by now
 */
import type { IncomingMessage } from "node:http";
import { selectorOf, type Selector } from "../invalidation/selector.ts";
import { contentOf, wrong, type ApiAnswer } from "./answers.ts";
import { selectorsMax, type PurgeReport, type Purges } from "../proxy/invalidation/purges.ts";

/** Bytes of a request. */
const bodyBytesMax = 1024 * 1024;
const idPattern = /^\w[\w.:-]{0,99}$/;
const statuses = { conflict: 409, rate: 429, "too-many": 400, joining: 503 } as const;
const again = { "retry-after": "1" };
/** What has become of purges elsewhere, and what is stored there, cannot be asked yet. */
const joining = wrong(503, "this member is just joining: ask another one, or again", again);

/** Answers what is about purges; null for everything else. The caller has admitted the request. */
export async function purgeApi(
  { purges }: { readonly purges: Purges },
  request: IncomingMessage,
  { pathname }: URL,
): Promise<ApiAnswer | null> {
  const id = /^\/api\/purge\/([^/]+)$/.exec(pathname)?.[1];
  if (id !== undefined) {
    if (request.method !== "GET" && request.method !== "HEAD")
      return { ...wrong(405, "ask for a purge with GET"), fields: { allow: "GET, HEAD" } };
    const report = await purges.find(decoded(id));
    if (report === null && !purges.joined) return joining;
    return report === null
      ? wrong(404, `no purge ${id} is known here: it may have been forgotten`)
      : { status: 200, value: report };
  }
  if (pathname !== "/api/purge") return null;
  if (request.method !== "POST") return { ...wrong(405, "purge with POST"), fields: { allow: "POST" } };
  const body = await contentOf(request, bodyBytesMax);
  if (body === null) return wrong(413, `a purge takes ${bodyBytesMax} bytes at most`);
  const asked = orderOf(body);
  if (typeof asked === "string") return wrong(400, asked);
  const { dryRun, ...order } = asked;
  if (dryRun && !purges.joined) return joining;
  if (dryRun) return { status: 200, value: { dryRun: true, members: await purges.count(order.selectors) } };
  const address = request.socket.remoteAddress ?? "";
  const report = await purges.order({ ...order, by: order.by ?? `the admin port, from ${address}` });
  if (!("refused" in report)) return { status: 200, value: report satisfies PurgeReport };
  const { refused, reason } = report;
  return wrong(statuses[refused], reason, refused === "rate" || refused === "joining" ? again : {});
}

interface Asked {
  readonly id: string | null;
  readonly selectors: readonly Selector[];
  readonly mode: "drop" | "outdate";
  readonly by: string | null;
  readonly dryRun: boolean;
}

/** What is asked for, or what is wrong with it. */
function orderOf(text: string): Asked | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `the content is not JSON: ${(error as Error).message}`;
  }
  if (typeof value !== "object" || value === null) return "the content is no JSON object";
  const { selectors, soft = false, id = null, by = null, dryRun = false, ...more } = value as Record<string, unknown>;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) return `"${unknown}" is not known: selectors, soft, id, by, dryRun are`;
  if (!Array.isArray(selectors) || selectors.length === 0)
    return 'name what to purge: "selectors": [{ "uri": "https://example.com/page" }]';
  if (selectors.length > selectorsMax) return `${selectors.length} selectors: ${selectorsMax} at most in one purge`;
  if (id !== null && (typeof id !== "string" || !idPattern.test(id)))
    return "id: letters, digits and _ . : - only, 100 at most, a letter or digit first";
  if (by !== null && (typeof by !== "string" || by.length > 200)) return "by: a text of 200 characters at most";
  if (typeof soft !== "boolean" || typeof dryRun !== "boolean") return "soft and dryRun are true or false";
  const read: Selector[] = [];
  for (const [index, one] of selectors.entries()) {
    const selector = selectorOf(one);
    if ("wrong" in selector) return `selectors[${index}]: ${selector.wrong}`;
    read.push(selector);
  }
  return { id, selectors: read, mode: soft ? "outdate" : "drop", by, dryRun };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // The decoder's way to say that nothing is escaped there.
  }
}
