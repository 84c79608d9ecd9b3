/** What is stored for a URL at this member, and what a plain GET would do now, with every reason and its clause. */
import { concealedFields } from "../base/concealed.ts";
import { mustAskOrigin } from "../http/conditional.ts";
import { requestDirectives, type Directives } from "../http/directives.ts";
import { fieldValue, type FieldList } from "../http/fields.ts";
import { currentAge } from "../http/freshness.ts";
import { overridesMethod } from "../http/method-override.ts";
import { doubtOf, doubts, reuse, reuseReasons, staleOnError } from "../http/reuse.ts";
import { storableReasons } from "../http/storable.ts";
import type { Unshared } from "../proxy/fetch/uncacheable.ts";
import { httpUri, uriText, type HttpUri } from "../http/uri.ts";
import type { AdministeredPlane } from "./administered.ts";
import { toldFields } from "./told-fields.ts";
import type { FieldChanges } from "../http/field-changes.ts";
import { covers } from "../proxy/answer/parts.ts";
import { cachingRules, type CachingRules, type FixedAnswer, type Route } from "../proxy/request/routes.ts";
import { selectingOf } from "../proxy/request/selecting.ts";
import { isPersonal, targetOf, type Asking, type Target } from "../proxy/request/target.ts";
import type { StoredResponse } from "../store/port.ts";
import type { Cause, Mode } from "../invalidation/invalidation.ts";
import { selectorText } from "../invalidation/selector.ts";
import { keyHash, owner } from "../ring/ring.ts";

export interface ExplainedVariant {
  readonly status: number;
  readonly vary: readonly string[];
  readonly variant: string;
  readonly ageSeconds: number;
  readonly lifetimeSeconds: number;
  readonly lifetimeSource: string;
  readonly directivesFrom: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly bodyBytes: number;
  readonly contentIn: "memory" | "disk";
  readonly hits: number;
  readonly tags: readonly string[];
  /** Of the invalidations that this member has heard of, the last that it has been held against. */
  readonly position: number;
  /** Whether it is what the next request would be answered with, or validated by. */
  readonly selected: boolean;
  readonly decision: string;
  readonly reason: string;
  readonly clause: string;
}

export interface ExplainedEnd {
  /** For people. */
  readonly what: string;
  readonly mode: Mode;
  readonly cause: Cause;
  /** ISO 8601. */
  readonly at: string;
  readonly teller: string;
  readonly number: number;
}

export interface Explanation {
  readonly url: string;
  /** The same as it is written in logs. */
  readonly uri: string;
  readonly key: string;
  readonly route: string | null;
  /** The caching rules in effect, as configured. */
  readonly rules: Readonly<Record<string, unknown>>;
  readonly owner: string;
  readonly member: string;
  readonly variants: readonly ExplainedVariant[];
  /** Stored as well, on the disk alone: they are brought back when somebody asks. */
  readonly onDisk: number;
  /** Whether this member knows what the others have been told: else everything is validated before use. */
  readonly isInTouch: boolean;
  /** The last invalidation that ended something stored under the key, or null where none is remembered. */
  readonly endedBy: ExplainedEnd | null;
  /** How many invalidations this member has heard of. */
  readonly position: number;
  readonly next: string;
}

/** What is looked at to explain a URL. */
export type ExplainedPlane = Omit<AdministeredPlane, "peers" | "disk" | "correspondence" | "purges"> & {
  readonly peers: Pick<AdministeredPlane["peers"], "isUp">;
};

/**
 * Explains a URL by this member's store, for a GET of these fields; an error where the text is no URL or no route leads
 * there.
 */
export function explain(
  plane: ExplainedPlane,
  url: string,
  fields: FieldList = [],
): Explanation | { readonly error: string } {
  const uri = httpUri(url);
  if (uri === null) return { error: `"${url}" is not an http or https URL` };
  const asking = askingFor(uri, fields);
  const target = targetOf(asking, plane.current.routing, null);
  if ("refused" in target) return { error: target.reason };
  const { key, route, caching } = target;
  const directives = requestDirectives(fields);
  const now = plane.desk.nowSeconds();
  const isInTouch = plane.invalidations.isInTouch(now);
  const stored = plane.store.variants(key);
  const usable = usableFor(plane, asking, target, now);
  const selected = usable.find(({ part }) => part === null) ?? usable.find((one) => covers(one, asking, now));
  const variants = stored.map((one): ExplainedVariant => {
    const { head, body, hits, tags, position, outdated } = one;
    const decision = reuse(head, directives, now, {
      honourReload: caching.honourReload,
      graceSeconds: caching.graceSeconds,
    });
    const doubt = decision.kind === "validate" ? null : doubtOf(isInTouch, outdated);
    return {
      status: head.status,
      vary: head.varyNames,
      variant: head.variant,
      ageSeconds: Math.floor(currentAge(head, now)),
      lifetimeSeconds: head.lifetime.seconds,
      lifetimeSource: head.lifetime.source,
      directivesFrom: head.directives.source,
      etag: fieldValue(head.fields, "etag") ?? null,
      lastModified: fieldValue(head.fields, "last-modified") ?? null,
      bodyBytes: body.bytes,
      contentIn: body.isElsewhere ? "disk" : "memory",
      hits,
      tags,
      position,
      selected: one === selected,
      decision: doubt === null ? decision.kind : "validate",
      reason: doubt ?? decision.reason,
      clause: doubt === null ? reuseReasons[decision.reason] : doubts[doubt],
    };
  });
  const onDisk = plane.store.absent(key);
  const owning = owner(plane.current.view.ring, keyHash(key)).name;
  const chosen = variants.find((variant) => variant.selected);
  const isGivenStale =
    chosen?.decision === "validate" &&
    route?.origins.isOpen(performance.now()) === true &&
    staleOnError(selected!.head, directives, now, "unreachable");
  return {
    url,
    uri: uriText(uri),
    key,
    route: route?.name ?? null,
    rules: { ...rulesOf(caching), ...(route === null ? {} : directivesAsWritten(route)) },
    owner: owning,
    member: plane.desk.self,
    variants,
    onDisk,
    isInTouch,
    endedBy: endedBy(plane, key),
    position: plane.store.position,
    next:
      route?.fixed != null
        ? fixedText(route.fixed)
        : (passedOnText(target, fields) ??
          (chosen !== undefined
            ? isGivenStale
              ? "stale: all origins of the route rest, and what is stored may be given meanwhile (RFC 9111 §4.2.4)"
              : `${chosen.decision} (${chosen.clause})`
            : onDisk > 0
              ? "looked up on the disk first: something is stored there"
              : missText(plane, key, { stored, usable, directives }, now))),
  };
}

/** Why such a request takes nothing from the store (proxy/request/decide.ts); null where it may. */
function passedOnText(target: Target, fields: FieldList): string | null {
  if (mustAskOrigin(fields))
    return "goes to the origin, which alone can judge the request's conditions (RFC 9110 §13.1)";
  if (overridesMethod({ method: "GET", fields }))
    return "goes to the origin, past the store: it asks to be taken for another method";
  return isPersonal(target, fields)
    ? "goes to the origin, past the store: it sends a cookie that pass-cookies names"
    : null;
}

/** The same for another member, which has looked at the fields already. */
export function explainedTo(
  plane: ExplainedPlane,
  { url, fields }: { readonly url?: unknown; readonly fields?: unknown },
): Explanation | { readonly error: string } {
  const told = toldFields(fields);
  return explain(plane, String(url), "fields" in told ? told.fields : []);
}

/** A request that might come. */
function askingFor(uri: HttpUri, fields: FieldList): Asking {
  const text = uriText(uri);
  const host = fieldValue(fields, "host") ?? "";
  return {
    head: { method: "GET", target: text, form: "absolute", minor: 1, fields, host, plain: false, conditional: false },
    client: { address: "127.0.0.1", local: true, scheme: uri.scheme },
    body: null,
  };
}

/** What is stored for it, parts too, as the whole way finds it (proxy/fetch/here.ts). */
function usableFor(
  { desk, store }: ExplainedPlane,
  exchange: Asking,
  target: Target,
  now: number,
): readonly StoredResponse[] {
  const selecting = selectingOf({
    desk,
    exchange,
    target,
    content: null,
    trusted: false,
    requestId: null,
    trace: null,
  });
  return store
    .variants(target.key)
    .filter(({ head, copyUntil }) => head.variant === selecting(head.varyNames) && (copyUntil ?? Infinity) > now);
}

function unsharedText(why: NonNullable<Unshared>): string {
  if (why === "never-fresh") return "it is never fresh";
  return why === "no-room" ? "it is larger than object-max, or there was no room for it" : storableReasons[why];
}

interface Missed {
  readonly stored: readonly StoredResponse[];
  /** What would be used of that, but for its being a part. */
  readonly usable: readonly StoredResponse[];
  readonly directives: Directives;
}

/** Why it is a miss, and where that looks before it asks the origin. */
function missText(
  { ownership, peers, uncacheable }: ExplainedPlane,
  key: string,
  { stored, usable, directives }: Missed,
  now: number,
): string {
  if (directives.has("only-if-cached")) return "refused with 504: only-if-cached, and nothing stored answers it";
  if (stored.length === 0 && uncacheable.has(key, now)) {
    const why = uncacheable.reason(key);
    return `miss: the last response served nobody else${why === null ? "" : ` (${unsharedText(why)})`}, so requests go to the origin side by side`;
  }
  const previous = ownership.previousOwners(keyHash(key), now).find((name) => peers.isUp(name));
  const lately = previous === undefined ? "" : `; ${previous} owned the key lately and is asked before the origin`;
  if (stored.length === 0) return `miss: nothing is stored${previous === undefined ? "" : " here"}${lately}`;
  if (usable.length > 0) return `miss: only a part of it is stored${lately}`;
  const names = new Set(stored.flatMap(({ head }) => head.varyNames));
  return `miss: what is stored is for requests that say something else (it varies by ${[...names].join(", ")})${lately}`;
}

function endedBy({ store, invalidations }: ExplainedPlane, key: string): ExplainedEnd | null {
  const invalidation = invalidations.at(store.endedBy(key));
  if (invalidation === null) return null;
  const { selector, mode, cause, atMs, teller, number } = invalidation;
  return { what: selectorText(selector), mode, cause, at: new Date(atMs).toISOString(), teller, number };
}

/** What the route changes, as it is configured; of fields that origins get, the names alone. */
function directivesAsWritten({ request, response, rewrite, compression }: Route): Record<string, unknown> {
  const set = (changes: FieldChanges | null): Record<string, string> | undefined =>
    changes === null || changes.set.length === 0
      ? undefined
      : Object.fromEntries(changes.set.flatMap((name, at) => (at % 2 === 0 ? [[name, changes.set[at + 1]!]] : [])));
  const removed = (changes: FieldChanges | null): readonly string[] | undefined =>
    changes === null || changes.remove.size === 0 ? undefined : [...changes.remove];
  const sent = set(request);
  const written = {
    "set-fields of requests": sent === undefined ? undefined : concealedFields(sent),
    "set-fields of responses": set(response),
    "remove-fields of requests": removed(request),
    "remove-fields of responses": removed(response),
    rewrite: rewrite ?? undefined,
    compress: compression?.codings,
  };
  return Object.fromEntries(Object.entries(written).filter(([, value]) => value !== undefined));
}

function fixedText(fixed: FixedAnswer): string {
  return fixed.kind === "redirect"
    ? `sent on to ${fixed.to}${fixed.rest ? " and what stands behind the route's path" : ""} with status ${fixed.status}, as configured`
    : `answered with status ${fixed.status} and a text, as configured`;
}

/** The rules that differ from the defaults, as people write them. */
function rulesOf(caching: CachingRules): Record<string, unknown> {
  const {
    freshness,
    graceSeconds,
    cookies,
    store,
    disk,
    honourReload,
    passCookies,
    query,
    keyFields,
    tagFields,
    stripTags,
  } = caching;
  const rules: Record<string, unknown> = {
    freshness: freshness.lifetimeSeconds,
    "default-freshness": freshness.defaultSeconds,
    "negative-freshness": freshness.negativeSeconds || undefined,
    grace: graceSeconds || undefined,
    cookies: cookies === cachingRules.cookies ? undefined : cookies,
    store: store ? undefined : false,
    disk: disk ? undefined : false,
    "honour-reload": honourReload ? undefined : false,
    "pass-cookies": passCookies.length > 0 ? passCookies : undefined,
    "key-fields": keyFields.length > 0 ? keyFields : undefined,
    "query-ignore": query !== null && "ignore" in query ? [...query.ignore] : undefined,
    tags: tagFields === cachingRules.tagFields ? undefined : tagFields,
    "strip-tags": stripTags || undefined,
    "query-select": query !== null && "select" in query ? [...query.select] : undefined,
  };
  return Object.fromEntries(Object.entries(rules).filter(([, value]) => value !== undefined));
}
