/** What can be configured of how responses are kept and used: for routes, and for all that say nothing else. */
import { z } from "zod";
import { negativeStatuses } from "../http/stored-head.ts";
import { tagFields } from "../http/tags.ts";
import { flag, seconds } from "./values.ts";

const parameter = z
  .string()
  .regex(/^[^*]*\*?$/, "write names of parameters: one that ends in * is all that begin so")
  .min(1);

/** How responses are kept and used, beyond what they say themselves. */
export const caching = z.strictObject({
  freshness: seconds.optional().describe("replaces the freshness lifetime that the origin gives"),
  "default-freshness": seconds.optional().describe("freshness lifetime where the origin gives none"),
  "negative-freshness": z
    .union([seconds, z.partialRecord(z.enum([...negativeStatuses].map(String)), seconds)], {
      error: "write a time, as in 1m, or one for each status, as in { 404: 1m }",
    })
    .optional()
    .describe(
      "freshness lifetime of errors where the origin gives none: one, or one for each status as in { 404: 1m }",
    ),
  grace: seconds.optional().describe("stale-while-revalidate where the origin gives none"),
  cookies: z
    .enum(["safe", "rfc"])
    .optional()
    .describe("safe: Set-Cookie is stored only where the origin says public, s-maxage or a targeted field"),
  store: flag.optional().describe("false: nothing is stored"),
  disk: flag.optional().describe("false: what is stored is kept in memory alone, where there is a disk (--disk)"),
  "honour-reload": flag.optional().describe("false: a client's no-cache and max-age are ignored"),
  "pass-cookies": z
    .array(
      z
        .string()
        .regex(/^[^\s;,=*]*\*?$/, "write names of cookies: one that ends in * is all that begin so")
        .min(1),
    )
    .optional()
    .describe("requests with one of these cookies go past the store: names, or as in wordpress_logged_in_*"),
  "query-ignore": z
    .array(parameter)
    .optional()
    .describe("query parameters that do not belong to the key: names, or as in utm_*"),
  "query-select": z
    .array(parameter)
    .optional()
    .describe("the only query parameters that belong to the key: names, or as in page_*"),
  "key-fields": z.array(z.string().toLowerCase()).optional().describe("request fields whose values belong to the key"),
  tags: z
    .array(z.enum(tagFields))
    .optional()
    .describe("fields of responses that name tags to purge by; default all four"),
  "strip-tags": flag.optional().describe("true: clients do not get to see those fields"),
});
