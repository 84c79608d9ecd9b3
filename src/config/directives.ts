/** What a route does beside leading to an origin: fields set and removed, paths moved, answers of its own. */
import { z } from "zod";
import { codings, type Coding } from "../http/codings.ts";
import { isFieldText, wrongFieldName } from "../http/field-changes.ts";
import { httpUri } from "../http/uri.ts";
import { bytes } from "./values.ts";

const fieldName = z.string().superRefine((name, context) => {
  const message = wrongFieldName(name);
  if (message !== null) context.addIssue({ code: "custom", message });
});
const fieldText = z.string().refine(isFieldText, "a field's value is printable ASCII on one line");
const fields = z.record(fieldName, fieldText).superRefine((given, context) => {
  const seen = new Map<string, string>();
  for (const name of Object.keys(given)) {
    const other = seen.get(name.toLowerCase());
    // Both would be sent. RFC 9110 §5.1.
    if (other !== undefined)
      context.addIssue({ code: "custom", path: [name], message: `${name} and ${other} are one field: set it once` });
    seen.set(name.toLowerCase(), name);
  }
});
const path = z.string().regex(/^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/, "write a path as in /v2, without a query");
const target = z.string().superRefine((text, context) => {
  if (path.safeParse(text).success) return;
  const uri = httpUri(text);
  if (uri === null || uri.path.includes("?"))
    context.addIssue({ code: "custom", message: `"${text}" is no path and no URL without a query` });
});
const redirectStatus = z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]);

const mediaType = z
  .string()
  .toLowerCase()
  .regex(/^(?:[\w.+-]+\/(?:[\w.+-]+|\*)|\*\+[\w.-]+)$/, "write a media type: application/json, text/*, *+json");

/** What is compressed: of routes, and for all that say nothing else. */
export const compression = {
  compress: z
    .union([
      z.array(z.enum(codings)).refine(areOnce, "name each coding once"),
      z.literal("off").transform((): Coding[] => []),
    ])
    .optional()
    .describe("codings for clients that take them, the best first: [zstd, br, gzip], or off"),
  "compress-types": z.array(mediaType).optional().describe("media types that are worth it; text/* and *+json are many"),
  "compress-least": bytes.optional().describe("content of fewer bytes is left as it is; 1KB"),
};

function areOnce(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

/** The settings of a route that are neither about its origins nor about caching. */
export const directives = {
  "set-fields": z
    .strictObject({ request: fields.optional(), response: fields.optional() })
    .optional()
    .describe("fields that origins or clients get, in place of those that are there"),
  "remove-fields": z
    .strictObject({ request: z.array(fieldName).optional(), response: z.array(fieldName).optional() })
    .optional()
    .describe("fields that origins or clients do not get"),
  rewrite: path
    .optional()
    .describe(
      "what the origin gets in the place of the route's path: /api/x under /api is /v2/x with /v2; Location and Content-Location are turned back",
    ),
  redirect: z
    .union([
      target,
      z.strictObject({
        to: target.describe("a path, or a URL"),
        status: redirectStatus.optional(),
        rest: z
          .boolean()
          .optional()
          .describe("false: what stands behind the route's path, and the query, are left out"),
      }),
    ])
    .optional()
    .describe("an answer that sends clients elsewhere, with what stands behind the route's path; status 308"),
  respond: z
    .strictObject({
      status: z
        .number()
        .int()
        .min(200)
        .max(599)
        .refine((status) => status !== 206 && status !== 304, "206 and 304 are parts of other answers"),
      text: z
        .string()
        .max(64 * 1024)
        .optional(),
      type: fieldText.optional().describe("the content's media type; text/plain"),
    })
    // RFC 9110 §15.3.5, §15.3.6.
    .refine(({ status, text }) => text === undefined || (status !== 204 && status !== 205), {
      path: ["text"],
      message: "204 and 205 have no content: leave text out",
    })
    .optional()
    .describe("an answer of Gyre's own"),
};
