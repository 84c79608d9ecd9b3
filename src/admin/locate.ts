/** Where URLs live: their owner now, and who would take over. */
import { httpUri, uriText } from "../http/uri.ts";
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

/** Locates up to 1,000 URLs by the view in use. */
export function locate(
  view: View,
  urls: readonly string[],
): { readonly epoch: number; readonly urls: readonly Location[] } {
  return {
    epoch: view.epoch,
    urls: urls.slice(0, 1000).map((url) => {
      const uri = httpUri(url);
      if (uri === null) return { url, key: null, hash: null, owner: null, successors: [] };
      const key = uriText(uri);
      const hash = keyHash(key);
      const [owner, ...rest] = [...successors(view.ring, hash)].map(({ name }) => name);
      return { url, key, hash, owner: owner ?? null, successors: rest.slice(0, 3) };
    }),
  };
}
