/** Where requests go: routes by host and path prefix to configured origins, or to wherever a forward proxy is told. */
import { tagFields, type TagField } from "../../http/tags.ts";
import type { CompressionRules } from "../../http/codings.ts";
import type { FieldChanges } from "../../http/field-changes.ts";
import type { FreshnessOverride } from "../../http/stored-head.ts";
import { httpUri, routedPath, type HttpUri } from "../../http/uri.ts";
import type { Networks } from "../../origin/destinations.ts";
import type { OriginChoice } from "../../origin/origin-choice.ts";
import type { TurnRules } from "../../origin/turns.ts";
import type { OriginSettings } from "../../origin/fetch.ts";
import type { OriginClient } from "../../origin/origin-client.ts";

/** How responses of a route are kept and used, beyond what they say themselves. */
export interface CachingRules {
  readonly freshness: FreshnessOverride;
  /** Seconds of stale-while-revalidate where the origin gives none. */
  readonly graceSeconds: number;
  readonly cookies: "safe" | "rfc";
  readonly store: boolean;
  /** Where there is a disk: whether what is stored goes to it as well. */
  readonly disk: boolean;
  /** Whether a client's no-cache or max-age=0 makes the origin be asked. */
  readonly honourReload: boolean;
  /** Requests that send one of these are of one user: they go past the store, and nothing is kept of their answers. */
  readonly passCookies: readonly string[];
  /** Query parameters that do not belong to the key, or the only ones that do (`a*`: that begin so); null for all. */
  readonly query: { readonly ignore: ReadonlySet<string> } | { readonly select: ReadonlySet<string> } | null;
  /** Request fields whose values belong to the key. */
  readonly keyFields: readonly string[];
  /** Fields of responses that name their tags. */
  readonly tagFields: readonly TagField[];
  /** Whether clients do not get to see them. */
  readonly stripTags: boolean;
}

export const cachingRules: CachingRules = {
  freshness: {},
  graceSeconds: 0,
  cookies: "safe",
  store: true,
  disk: true,
  honourReload: true,
  passCookies: [],
  query: null,
  keyFields: [],
  tagFields,
  stripTags: false,
};

/**
 * What decides a request's key and way, as a number: members whose numbers differ for a request do not answer it for
 * each other.
 */
interface Way {
  readonly settings: number;
  readonly caching: CachingRules;
}

/** What a route answers for. */
export interface RoutePlace {
  readonly name: string;
  /** Lower case; null for any host. */
  readonly host: string | null;
  readonly path: string;
}

/** An answer that a route gives itself. */
export type FixedAnswer =
  | {
      readonly kind: "redirect";
      readonly status: number;
      /** A path, or a URL. */
      readonly to: string;
      /** What stands behind the route's path is appended, and the query. */
      readonly rest: boolean;
    }
  | { readonly kind: "text"; readonly status: number; readonly text: string; readonly type: string };

export interface Route extends Way, RoutePlace {
  /** By which it is counted. */
  readonly number: number;
  /** What is changed of requests to origins, and of what they answer, before anybody judges it. */
  readonly request: FieldChanges | null;
  readonly response: FieldChanges | null;
  /** What origins get in the place of the route's path; null for that itself. */
  readonly rewrite: string | null;
  /** What is compressed here, or null. */
  readonly compression: CompressionRules | null;
  /** What is answered instead of asking an origin. */
  readonly fixed: FixedAnswer | null;
  readonly origins: OriginChoice;
  readonly turns: TurnRules;
  /** Whether requests that go on get a name (X-Request-Id). */
  readonly namesRequests: boolean;
  /** The Host that the origin gets: the client's, the origin's own, or a fixed one. */
  readonly hostField: "preserve" | "origin" | { readonly name: string };
  readonly client: OriginClient;
}

/** The two ways out of a forward proxy: for clients on this machine and for all others. */
export interface ForwardWay extends Way {
  readonly local: OriginClient;
  readonly remote: OriginClient;
}

/** What the configuration says of requests; replaced as a whole on reload. */
export interface Routing {
  /** No two have the same in one process: what was worked out under one is not used under another. */
  readonly number: number;
  readonly routes: readonly Route[];
  /** Null where this member is only a reverse proxy. */
  readonly forward: ForwardWay | null;
  /** Whether a client may say where from it speaks for others (X-Forwarded-For). */
  readonly trusts: (address: string) => boolean;
  /** Whether a client may purge by the PURGE method; null where nobody may, and it is a method like any other. */
  readonly purges: ((address: string) => boolean) | null;
  readonly tunnels: {
    readonly settings: OriginSettings;
    /** Ports that CONNECT may reach. */
    readonly ports: ReadonlySet<number> | "any";
    readonly idleMs: number;
    readonly allowed: Networks | null;
    /** Whether an address is one of this machine's own. */
    readonly own: (address: string) => boolean;
  };
}

/** The route of a URI: the longest path prefix among those whose host matches, a named host before any host. */
export function routeOf<Placed extends RoutePlace>(routes: readonly Placed[], uri: HttpUri): Placed | null {
  let best: Placed | null = null;
  let path: string | null = null;
  for (const route of routes) {
    if (route.host !== null && !hostMatches(route.host, uri.host)) continue;
    if (route.path !== "/" && !pathMatches(route.path, (path ??= routedPath(uri.path)))) continue;
    if (best === null || rank(route) > rank(best)) best = route;
  }
  return best;
}

/** The name of the route that a URI leads to, as text; null where none does, or it is no URI. */
export function routeNameOf(routes: readonly RoutePlace[], text: string): string | null {
  const uri = routes.length === 0 ? null : httpUri(text);
  return uri === null ? null : (routeOf(routes, uri)?.name ?? null);
}

function hostMatches(pattern: string, named: string): boolean {
  // The same name, written as one that nothing is added to. RFC 3986 §3.2.2.
  const host = named.endsWith(".") && !pattern.endsWith(".") ? named.slice(0, -1) : named;
  return pattern.startsWith("*.")
    ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1
    : pattern === host;
}

/** A prefix matches at segment borders only: /api is not a prefix of /apis. */
function pathMatches(prefix: string, path: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path[prefix.length];
  return prefix.endsWith("/") || next === undefined || next === "/";
}

function rank({ host, path }: RoutePlace): number {
  const exact = host === null ? 0 : host.startsWith("*.") ? 1 : 2;
  return exact * 100_000 + path.length;
}
