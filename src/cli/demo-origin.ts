/** A small origin to try things with: pages that may be cached, and one that may not. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { httpUri, uriText } from "../http/uri.ts";
import { keyHash, owner, ringOf } from "../ring/ring.ts";

/** Starts it on a free port of this machine. @returns its URL. */
export async function startDemoOrigin(): Promise<string> {
  let served = 0;
  const server = createServer((request, response) => {
    served++;
    const path = request.url ?? "/";
    const cacheable = !path.startsWith("/time");
    const text = cacheable
      ? `Hello from the demo origin. You asked for ${path}.\nThis is the origin's answer number ${served}: a cached one keeps its number.\n`
      : `It is ${new Date().toISOString()}. This page may not be cached.\n`;
    response.writeHead(200, {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": cacheable ? "public, max-age=300" : "no-store",
      etag: `"demo-${path.length}-${served}"`,
    });
    response.end(request.method === "HEAD" ? undefined : text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A page of the demo that a member other than the leader owns, so that killing its owner tells a simple story. */
export function demoUrl<T extends { readonly name: string }>(
  origin: string,
  view: readonly T[],
  leader: string | null,
): { readonly url: string; readonly owner: T } {
  const ring = ringOf(view.map(({ name }) => ({ name, weight: 1 })));
  let chosen = { url: `${origin}/hello`, owner: view[0]! };
  for (const page of ["hello", "story", "poem", "recipe", "letter", "song", "map", "photo", "essay", "joke"]) {
    const url = uriText(httpUri(`${origin}/${page}`)!);
    const name = owner(ring, keyHash(url)).name;
    chosen = { url, owner: view.find((member) => member.name === name)! };
    if (name !== leader) return chosen;
  }
  return chosen;
}
