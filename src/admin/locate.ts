/** Where URLs live: their owner now, and who would take over. */
import { httpUri, uriText, type HttpUri } from "../http/uri.ts";
import { routeOf, type CachingRules, type Routing } from "../proxy/request/routes.ts";
import { cacheKey } from "../proxy/request/target.ts";
import { keyHash, successors } from "../ring/ring.ts";
import type { View } from "../ring/view.ts";

export interface Location {
  readonly url: string;
  /** Null where the text is no http URL. */
  readonly key: string | null;
  readonly hash: number | null;
  readonly owner: string | null;
  /** Those after the owner, in order, three at most. */
  readonly successors: readonly string[];
}

/** Locates up to 1,000 URLs by the view in use, each by the key that its route makes of it. */
export function locate(
  { view, routing }: { readonly view: View; readonly routing: Routing },
  urls: readonly string[],
): { readonly epoch: number; readonly urls: readonly Location[] } {
  return {
    epoch: view.epoch,
    urls: urls.slice(0, 1000).map((url) => {
      const uri = httpUri(url);
      if (uri === null) return { url, key: null, hash: null, owner: null, successors: [] };
      const caching = routeOf(routing.routes, uri)?.caching ?? routing.forward?.caching;
      const key = caching === undefined ? uriText(uri) : plainKey(uri, caching);
      const hash = keyHash(key);
      const [owner, ...rest] = [...successors(view.ring, hash)].map(({ name }) => name);
      return { url, key, hash, owner: owner ?? null, successors: rest.slice(0, 3) };
    }),
  };
}

/** The key of a GET that carries no field of its own. */
export function plainKey(uri: HttpUri, caching: CachingRules): string {
  return cacheKey(uriText(uri), uri, caching, [], false);
}
