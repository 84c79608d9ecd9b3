/** What a route is for: a host and the beginning of a path, each as a router reads those of requests. */
import { z } from "zod";
import { authority, routedPath } from "../http/uri.ts";

/** A host, or all below one; without a dot at its end, with which clients may write it or not. */
export const routeHost = z
  .string()
  .toLowerCase()
  .refine((text) => text !== "*", "leave host out: a route without one is for all hosts")
  .refine((text) => text === "*" || isHost(text), "write a host name, or *.example.com for all below it")
  .refine((text) => !/:\d*$/.test(text), "write the host without a port: a route is for all ports")
  .transform((text) => text.replace(/\.$/, ""));

/** What is written otherwise than a router reads it would never match. */
export const routePath = z
  .string()
  .startsWith("/")
  .refine((path) => !path.includes("?"), "a route goes by the path: leave the query out")
  .refine((path) => path.includes("?") || readAs(path) === path, {
    error: ({ input }) => `no request would match it: write ${readAs(String(input))}`,
  });

/** One asterisk, at the beginning, stands for names: anywhere else it would stand for itself. */
function isHost(text: string): boolean {
  const name = text.replace(/^\*\./, "");
  return !name.includes("*") && authority(name, "http") !== null;
}

function readAs(path: string): string {
  return routedPath(path.replace(/[^\x21-\x7e]/gu, encodeURIComponent));
}
